// Picture, timeline and player of a card, and playing several cards one after the other.

let playing = null; // only one clip plays at a time

// `spans` are the parts in seconds that the card is about; sound and picture are loaded when the card comes into view.
function listen(number, spans, view, data, source) {
  const { id } = data.tracks[number];
  const ends = data.rowsOfTrack[number].map((row) => data.span(row)[1]);
  let seconds = data.tracks[number].seconds ?? (ends.includes(null) ? null : Math.max(0, ...ends)) ?? null;
  if (seconds === 0) seconds = null;
  const audio = h("audio", { controls: true, preload: "metadata", "aria-label": `Sound of ${id}` });
  const playhead = h("div", { class: "gx-playhead" });
  const image = h("img", { alt: `Mel-spectrogram of ${id}`, class: "gx-image" });
  const share = (time) => `${(100 * Math.max(0, Math.min(1, seconds === null ? 0 : time / seconds))).toFixed(2)}%`;
  const marks = h("div", {});
  const under = h("div", { class: "gx-under" });
  const buttons = h("div", { class: "gx-player" });
  const waiting = h("p", { class: "gx-soft gx-waiting" }, "Loading sound and picture …");
  let until = null; // where playback of a segment ends
  let asked = null; // where this code jumped to last
  let finished = null; // told when what was asked for has ended, or was stopped
  let broken = false; // the browser cannot play the sound

  const done = (whole) => {
    finished?.(whole);
    finished = null;
  };
  const follow = () => {
    playhead.style.left = share(audio.currentTime);
    if (until !== null && audio.currentTime >= until) {
      until = null;
      const tell = finished;
      finished = null;
      audio.pause();
      tell?.(true);
    }
    if (!audio.paused) requestAnimationFrame(follow);
  };
  const ready = () => new Promise((resolve) => {
    if (audio.readyState >= 1 || broken) resolve();
    else for (const event of ["loadedmetadata", "error"]) audio.addEventListener(event, resolve, { once: true });
  });
  const say = (text) => {
    waiting.textContent = text;
    whole.append(waiting);
  };
  const play = async (from, to) => {
    done(false);
    if (!await arrival) return false;
    await ready();
    if (broken) return false;
    asked = from;
    audio.currentTime = from;
    until = to !== null && to < audio.duration - 0.05 ? to : null;
    const ended = new Promise((resolve) => { finished = resolve; });
    try {
      await audio.play();
    } catch (error) {
      if (error.name === "NotAllowedError") say("This browser plays a sound only after a click on its own player. Click there.");
      done(false);
    }
    return ended;
  };
  audio.addEventListener("play", () => {
    if (playing !== null && playing !== audio) playing.pause();
    playing = audio;
    if (!broken) waiting.remove();
    follow();
  });
  audio.addEventListener("error", () => {
    broken = true;
    audio.hidden = true;
    say(unplayable(audio));
    done(false);
  });
  audio.addEventListener("ended", () => done(true));
  audio.addEventListener("pause", () => audio.ended || !audio.paused || done(false)); // not paused: the next part plays already
  audio.addEventListener("timeupdate", follow);
  audio.addEventListener("seeking", () => {
    if (asked === null || Math.abs(audio.currentTime - asked) > 0.01) until = null; // the listener's own jump
    follow();
  });

  const pictured = h("div", { class: "gx-picture", onclick: (event) => {
    const box = pictured.getBoundingClientRect();
    if (seconds !== null) play(seconds * (event.clientX - box.left) / box.width, null);
  } }, image, marks, playhead);
  const whole = h("div", { class: "gx-sound" },
    h("div", { class: "gx-spectrogram" },
      h("div", { class: "gx-hz", "aria-hidden": "true" }, h("span", { class: "gx-unit" }, "Hz"),
        data.scale.hz.map(([hz, height]) => h("span", { style: { bottom: `${100 * height}%` } },
          hz >= 1000 ? `${hz / 1000}k` : hz))),
      pictured,
      h("div", { class: "gx-db", "aria-hidden": "true" },
        h("span", {}, "0 dB"), h("span", { class: "gx-ramp" }), h("span", {}, `−${data.scale.top_db}`))),
    under,
    buttons,
    waiting);

  // Plays the card's parts one after the other; true if nobody stopped them.
  const all = async () => {
    load();
    for (const [start, stop] of spans.length > 0 ? spans : [[0, null]]) if (!await play(start, stop)) return false;
    return true;
  };
  const several = data.rowsOfTrack[number].length > 1;
  const draw = () => { // once the length is known
    const parts = spans.map(([start, stop]) => [start, stop ?? seconds]);
    const part = parts.length > 0 && !(parts.length === 1 && parts[0][0] === 0 && parts[0][1] === seconds);
    marks.replaceChildren(...(part ? parts : []).map(([start, stop]) =>
      h("div", { class: "gx-marked", style: { left: share(start), width: share(stop - start) } })));
    under.replaceChildren(...[several && timeline(number, view, data, share, play), secondsAxis(seconds)].filter(Boolean));
    buttons.replaceChildren(...[part && h("button", { type: "button", onclick: all }, parts.length === 1
      ? `▶ ${parts[0].map(clock).join(" to ")}` : `▶ these ${counted(parts.length, data.words.segment)}`), audio].filter(Boolean));
  };
  buttons.append(audio);
  if (seconds !== null) draw();

  let arrived;
  const arrival = new Promise((resolve) => { arrived = resolve; });
  const show = ({ audio: sound, picture, seconds: length, fault, absent }) => {
    if (fault !== undefined || absent !== undefined) {
      waiting.textContent = absent ?? `There is no sound and no picture, because the file ${fault}`;
      audio.hidden = true;
      whole.classList.add("gx-silent");
      arrived(false);
      return;
    }
    waiting.remove();
    if (seconds === null || length < seconds - 0.05) {
      seconds = length;
      draw();
    }
    image.src = picture;
    audio.src = sound;
    ready().then(() => {
      if (!broken && audio.currentTime === 0 && until === null && spans[0]?.[0]) asked = audio.currentTime = spans[0][0];
    });
    arrived(true);
  };
  let requested = false;
  const load = () => {
    if (requested) return;
    requested = true;
    source.media(number).then(show, (error) => {
      waiting.textContent = `No sound and no picture: ${error}`;
      arrived(false);
    });
  };
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    load();
  });
  watch.observe(whole);
  return {
    node: whole,
    play: all,
    silent: () => broken || whole.classList.contains("gx-silent"),
    stop: () => audio.pause(),
    isPlaying: () => !audio.paused,
  };
}

// Why there is no sound, and what to do.
function unplayable(audio) {
  if (audio.canPlayType('audio/ogg; codecs="vorbis"') === "") {
    return "There is no sound, because this browser does not play Ogg Vorbis. Open the page in Firefox or Chrome.";
  }
  if (audio.readyState > 0) return "The sound cannot be played on: its file is damaged, or the computer has no sound output. Reload the page to try again.";
  const file = audio.src.startsWith("data:") || audio.src.startsWith("blob:") ? "" : ` ${audio.getAttribute("src")}`;
  return `There is no sound, because the browser cannot play its file${file}: it is missing or damaged, or an extension blocks it.`;
}

// The predicted genre of each segment of the track, under the picture and on the same axis.
function timeline(number, view, data, share, play) {
  const run = shownRuns(view, data).at(-1).segment;
  const results = chosen(run, view);
  const truth = data.tracks[number].genre;
  return h("div", { class: "gx-timeline", role: "group", "aria-label": `Predicted ${data.words.genre} of each ${data.words.segment}` },
    data.rowsOfTrack[number].map((row) => {
      const [from, to] = data.span(row);
      const right = run.predicted[row] === truth;
      const genre = data.genres[run.predicted[row]];
      const sure = results === null ? "" : percent(partsOf(results, row, run.predicted[row]) / PARTS);
      const text = `${clock(from)} to ${clock(to)}: predicted ${genre}, ${sure && `${probability(run, view)} ${sure}, `}${right ? "right" : "wrong"}. Play`;
      return h("button", {
        type: "button", class: right ? "gx-is-right" : "gx-is-wrong", title: text, "aria-label": text,
        style: { left: share(from), width: share(to - from) }, onclick: () => play(from, to),
      }, h("span", {}, genre), h("span", {}, sure.replace(" ", "")));
    }));
}

// Ticks at round distances.
function secondsAxis(seconds) {
  const every = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60].find((step) => seconds / step <= 7) ?? seconds;
  const ticks = Array.from({ length: Math.floor(seconds / every + 1e-6) + 1 }, (_, index) => index * every);
  return h("div", { class: "gx-seconds", "aria-hidden": "true" }, ticks.map((tick) =>
    h("span", { style: { left: `${100 * tick / seconds}%` } }, tick === ticks.at(-1) ? `${+tick.toFixed(2)} s` : +tick.toFixed(2))));
}

// Plays lists of cards: all of one, or of two in turn, until somebody stops it. `told` hears when it begins and ends.
function queue(told) {
  let turn = 0;
  const stop = () => {
    turn += 1;
    playing?.pause();
    told(false);
  };
  const start = async (lists) => {
    stop();
    const mine = turn;
    told(true);
    const longest = Math.max(...lists.map((list) => list.length()));
    for (let place = 0; place < longest; place += 1) {
      for (const list of lists) {
        if (place >= list.length()) continue;
        const card = list.card(place);
        list.mark(place);
        const whole = await card.play();
        if (mine !== turn) return;
        if (!whole && !card.silent()) { // somebody paused it
          told(false);
          return;
        }
      }
    }
    told(false);
  };
  return { start, stop };
}
