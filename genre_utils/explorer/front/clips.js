// Clips: the rows of a cell, and a card for each with sound, spectrogram and prediction.

const AT_ONCE = 20;

// Rows (segments or tracks) of a selection: the most confidently wrong first, the most confidently right last.
function rowsOf(selection, view, data) {
  const [kind, first, second] = selection;
  const runs = data.runs.map((run) => run[view.level]);
  const shown = shownRuns(view, data).at(-1)[view.level];
  const truth = truths(view.level, data);
  const [a, b] = [data.genres.indexOf(first), data.genres.indexOf(second)];
  const tests = {
    cell: (row) => truth[row] === a && (view.run === "difference"
      ? (runs[0].predicted[row] === b) !== (runs[1].predicted[row] === b)
      : shown.predicted[row] === b),
    row: (row) => truth[row] === a,
    column: (row) => (view.run === "difference" ? runs.some((run) => run.predicted[row] === a) : shown.predicted[row] === a),
    change: (row) => first === change(row, truth, runs),
  };
  const rows = [...truth.keys()].filter(tests[kind]);
  const { p } = chosen(shown, view);
  const sure = (row) => p[row][shown.predicted[row]] * (shown.predicted[row] === truth[row] ? -1 : 1);
  return rows.sort((one, other) => sure(other) - sure(one));
}

function truths(level, data) {
  return level === "track"
    ? data.tracks.map((track) => track.genre)
    : data.segments.track.map((track) => data.tracks[track].genre);
}

function change(row, truth, runs) {
  const [before, after] = runs.map((run) => run.predicted[row] === truth[row]);
  return before ? (after ? "both" : "lost") : (after ? "won" : "neither");
}

// Rows of the predictions table (always segments), which is what Python gets.
function segmentRows(rows, level, data) {
  if (level === "segment") return [...rows].sort((one, other) => one - other);
  const wanted = new Set(rows);
  return [...data.segments.track.keys()].filter((row) => wanted.has(data.segments.track[row]));
}

function csv(rows, view, data) {
  const probabilities = data.genres.map((genre) => `p_${genre}`);
  const kind = (level) => (chosen(level, view) === level.raw ? "raw" : "calibrated");
  const segment = view.level === "segment";
  const lines = [["run", "track_id", ...(segment ? ["segment", "start_seconds"] : []), "genre", "predicted",
    "probabilities", ...probabilities, "artist", "title"]];
  for (const run of shownRuns(view, data)) {
    for (const row of rows) {
      const track = data.tracks[segment ? data.segments.track[row] : row];
      const number = data.segments.number[row];
      const { predicted } = run[view.level];
      const { p } = chosen(run[view.level], view);
      lines.push([run.name, track.id, ...(segment ? [number, number * data.segment_seconds] : []),
        data.genres[track.genre], data.genres[predicted[row]], kind(run[view.level]),
        ...p[row].map((value) => value / PARTS), track.artist, track.title]);
    }
  }
  const quoted = (value) => (typeof value === "number" ? String(value) : `"${value.replaceAll('"', '""')}"`);
  return lines.map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";
}

// A list of cards, twenty at a time.
function clipList(rows, view, data, source) {
  const list = h("ol", { class: "gx-clips" });
  const more = h("button", { type: "button", class: "gx-more", onclick: () => grow(true) });
  const grow = (focus) => {
    const from = list.children.length;
    list.append(...rows.slice(from, from + AT_ONCE).map((row) => card(row, view, data, source)));
    const left = rows.length - list.children.length;
    more.hidden = left === 0;
    more.textContent = `Show ${Math.min(left, AT_ONCE)} more of ${left.toLocaleString("en")}`;
    if (focus) list.children[from].querySelector("h4").focus();
  };
  grow(false);
  return [list, more];
}

function card(row, view, data, source) {
  const segment = view.level === "segment";
  const number = segment ? data.segments.track[row] : row;
  const track = data.tracks[number];
  const start = segment ? data.segments.number[row] * data.segment_seconds : 0;
  const stop = segment ? start + data.segment_seconds : track.seconds;
  const by = [track.artist, track.title].filter((text) => text !== "").join(" – ");
  const player = listen(number, start, stop, view, data, source);
  return h("li", { class: "gx-clip" },
    h("h4", { tabindex: -1 }, track.id, segment && h("span", { class: "gx-soft" }, ` ${clock(start)} to ${clock(stop)}`)),
    by !== "" && h("p", { class: "gx-by" }, by),
    track.badges.length > 0 && h("ul", { class: "gx-badges" },
      track.badges.map((badge) => h("li", {}, h("strong", {}, badge.kind), badge.text !== "" && `: ${badge.text}`))),
    data.runs.map((run, index) => prediction(run, index, row, track, view, data)),
    player);
}

// The prediction of one run: true and predicted genre, and the three most probable genres.
function prediction(run, index, row, track, view, data) {
  const level = run[view.level];
  const { predicted } = level;
  const { p } = chosen(level, view);
  const order = [...data.genres.keys()].sort((one, other) => p[row][other] - p[row][one]).slice(0, 3);
  const right = predicted[row] === track.genre;
  return h("div", { class: "gx-prediction" },
    h("p", {}, data.runs.length === 2 && h("strong", {}, `${"AB"[index]}: `),
      "true ", h("strong", {}, data.genres[track.genre]), ", predicted ", h("strong", {}, data.genres[predicted[row]]),
      h("span", { class: right ? "gx-ok" : "gx-no" }, right ? " ✓ right" : " ✗ wrong")),
    h("p", { class: "gx-soft gx-kind" }, probability(level, view)),
    h("ul", { class: "gx-top" }, order.map((genre) => h("li", {},
      h("span", {}, data.genres[genre]),
      h("span", { class: "gx-meter" }, h("span", {
        class: genre === track.genre ? "gx-of-true" : "gx-of-other", style: { width: `${100 * p[row][genre] / PARTS}%` },
      })),
      h("span", {}, percent(p[row][genre] / PARTS, 1))))));
}

let playing = null; // only one clip plays at a time

// Picture, timeline and player of a track; sound and picture are loaded when the card comes into view.
function listen(number, start, stop, view, data, source) {
  const { seconds, id } = data.tracks[number];
  const audio = h("audio", { controls: true, preload: "metadata", "aria-label": `Sound of ${id}` });
  const playhead = h("div", { class: "gx-playhead" });
  const image = h("img", { alt: `Mel-spectrogram of ${id}`, class: "gx-image" });
  const share = (time) => `${(100 * Math.max(0, Math.min(1, time / seconds))).toFixed(2)}%`;
  const marked = h("div", { class: "gx-marked", style: { left: share(start), width: share(stop - start) } });
  const waiting = h("p", { class: "gx-soft gx-waiting" }, "Loading sound and picture …");
  let until = null; // where playback of a segment ends
  let asked = null; // where this code jumped to last

  const follow = () => {
    playhead.style.left = share(audio.currentTime);
    if (until !== null && audio.currentTime >= until) {
      until = null;
      audio.pause();
    }
    if (!audio.paused) requestAnimationFrame(follow);
  };
  const ready = () => new Promise((resolve) => {
    if (audio.readyState >= 1) resolve();
    else audio.addEventListener("loadedmetadata", resolve, { once: true });
  });
  const play = async (from, to) => {
    await loaded;
    await ready();
    asked = from;
    audio.currentTime = from;
    until = to;
    await audio.play();
  };
  audio.addEventListener("play", () => {
    if (playing !== null && playing !== audio) playing.pause();
    playing = audio;
    follow();
  });
  audio.addEventListener("timeupdate", follow);
  audio.addEventListener("seeking", () => {
    if (asked === null || Math.abs(audio.currentTime - asked) > 0.01) until = null; // the listener's own jump
    follow();
  });

  const pictured = h("div", { class: "gx-picture", onclick: (event) => {
    const box = pictured.getBoundingClientRect();
    play(seconds * (event.clientX - box.left) / box.width, null);
  } }, image, marked, playhead);
  const whole = h("div", { class: "gx-sound" },
    h("div", { class: "gx-spectrogram" },
      h("div", { class: "gx-hz", "aria-hidden": "true" }, h("span", { class: "gx-unit" }, "Hz"),
        data.scale.hz.map(([hz, height]) => h("span", { style: { bottom: `${100 * height}%` } },
          hz >= 1000 ? `${hz / 1000}k` : hz))),
      pictured,
      h("div", { class: "gx-db", "aria-hidden": "true" },
        h("span", {}, "0 dB"), h("span", { class: "gx-ramp" }), h("span", {}, `−${data.scale.top_db}`))),
    h("div", { class: "gx-under" },
      timeline(number, view, data, share, play),
      secondsAxis(seconds, data.segment_seconds)),
    h("div", { class: "gx-player" },
      view.level === "segment" && h("button", { type: "button", onclick: () => play(start, stop) },
        `▶ ${clock(start)} to ${clock(stop)}`),
      audio),
    waiting);
  let arrived;
  const loaded = new Promise((resolve) => { arrived = resolve; });
  const show = ({ audio: sound, picture, fault }) => {
    if (fault !== undefined) {
      waiting.textContent = `There is no sound and no picture, because the file ${fault}`;
      audio.hidden = true;
      return;
    }
    waiting.remove();
    image.src = picture;
    audio.src = sound;
    ready().then(() => {
      if (audio.currentTime === 0 && until === null) asked = audio.currentTime = start;
    });
    arrived();
  };
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    source.media(number).then(show, (error) => { waiting.textContent = `No sound and no picture: ${error}`; });
  });
  watch.observe(whole);
  return whole;
}

// The predicted genre of each segment of the track, under the picture and on the same axis.
function timeline(number, view, data, share, play) {
  const run = shownRuns(view, data).at(-1).segment;
  const { p } = chosen(run, view);
  const truth = data.tracks[number].genre;
  const rows = [...data.segments.track.keys()].filter((row) => data.segments.track[row] === number);
  return h("div", { class: "gx-timeline", role: "group", "aria-label": "Predicted genre of each segment" },
    rows.map((row) => {
      const from = data.segments.number[row] * data.segment_seconds;
      const to = from + data.segment_seconds;
      const right = run.predicted[row] === truth;
      const genre = data.genres[run.predicted[row]];
      const sure = percent(p[row][run.predicted[row]] / PARTS);
      const text = `${clock(from)} to ${clock(to)}: predicted ${genre}, ${probability(run, view)} ${sure}, ${right ? "right" : "wrong"}. Play`;
      return h("button", {
        type: "button", class: right ? "gx-is-right" : "gx-is-wrong", title: text, "aria-label": text,
        style: { left: share(from), width: share(data.segment_seconds) }, onclick: () => play(from, to),
      }, h("span", {}, genre), h("span", {}, sure.replace(" ", "")));
    }));
}

function secondsAxis(seconds, step) {
  const every = step * Math.ceil(seconds / step / 7);
  const ticks = Array.from({ length: Math.floor(seconds / every) + 1 }, (_, index) => index * every);
  return h("div", { class: "gx-seconds", "aria-hidden": "true" }, ticks.map((tick) =>
    h("span", { style: { left: `${100 * tick / seconds}%` } }, tick === ticks.at(-1) ? `${+tick.toFixed(2)} s` : +tick.toFixed(2))));
}
