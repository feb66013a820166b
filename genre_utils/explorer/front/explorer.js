// The explorer: controls, matrix, and details of the selection. `source` provides the data and stores the view; it is
// the only difference between a page and a notebook's widget.

async function start(root, source) {
  const data = prepared(await source.facts());
  const two = data.runs.length === 2;
  const levels = data.runs.flatMap((run) => data.levels.map((level) => run[level]));
  const both = levels.some((level) => level.calibrated !== null);
  const noun = () => data.words[view.level];
  let view = null; // by restore()
  let refused = [];
  let lists = []; // of clips that are shown: the selection's, then the pinned one's
  const parts = Object.fromEntries(["sentence", "matrix", "figures", "tab", "status"].map((name) =>
    [name, h("div", { class: `gx-${name}` })]));
  parts.status.setAttribute("role", "status");

  const rows = (selection) => rowsOf(selection, view, data);
  const remember = () => source.remember(view, () => segmentRows(rows(view.select), view.level, data));
  const show = (changes) => {
    player.stop();
    view = { ...view, ...changes };
    render();
    remember();
  };
  const select = (selection) => {
    const ofGenre = selection[0] === "row" || selection[0] === "column";
    const tab = ofGenre && view.tab === "genre" ? "genre" : view.tab === "map" && selection[0] === "one" ? "map" : "clips";
    show({ select: selection, tab, ...(ofGenre && { genre: selection[1] }) });
    parts.status.textContent = `${named(selection, data)}: ${counted(rows(selection).length, noun())}`;
    (parts.tab.querySelector(".gx-panel h3") ?? parts.tab.querySelector("h3")).scrollIntoView({ block: "nearest" }); // far below on a narrow screen
    if (selection[0] === "one") lists[0]?.card(0).play();
  };
  const restore = () => {
    ({ view, refused } = checked(source.view(), data));
    if (view.select === null) view.select = worst(view, data);
    controls.sync(view);
    render();
    remember();
  };

  const doubts = doubtList(data, source, () => {
    lists.forEach((list) => list.syncDoubts());
    tabs.label("doubts", `Doubts${doubts.size() ? ` (${doubts.size()})` : ""}`);
    if (view.tab === "doubts") render();
  });
  const player = queue((plays) => root.classList.toggle("gx-queue", plays));
  const controls = controlBar(data, two, both, (changes) => show(changes));
  const tabs = tabBar(data, (tab) => show({ tab }));
  tabs.label("doubts", `Doubts${doubts.size() ? ` (${doubts.size()})` : ""}`);

  function render() {
    parts.sentence.replaceChildren(...shownRuns(view, data).map((one) =>
      h("p", {}, two && h("strong", {}, `${"AB"[data.runs.indexOf(one)]}, ${one.name}: `), one[view.level].sentence)));
    renderMatrix(parts.matrix, view, data, select, show);
    parts.figures.replaceChildren(...figures(view, data));
    tabs.sync(view.tab);
    const panels = { clips: clipsTab, map: mapTab, genre: genreTab, trust: trustTab, runs: runsTab, doubts: doubtsTab };
    parts.tab.setAttribute("aria-labelledby", `${tabs.id}-${view.tab}`);
    const focused = parts.tab.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    lists = [];
    parts.tab.replaceChildren(...h("div", {}, panels[view.tab]()).childNodes); // h() leaves out what is absent
    if (focused !== null) { // keyboard users keep their place
      const again = [...parts.tab.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused);
      (again ?? parts.tab).focus({ preventScroll: true });
    }
    if (refused.length > 0) {
      parts.status.textContent = `Not available in this explorer: ${refused.join("; ")}.`;
      refused = [];
    }
  }

  function clipsTab() {
    const panels = [!sameSelection(view.select, view.pin) && panel(view.select, false),
      view.pin !== null && panel(view.pin, true)];
    const pair = panels.every(Boolean);
    return [
      h("p", { class: "gx-actions" },
        h("button", { type: "button", "data-key": "play-all", onclick: () => player.start(lists.slice(0, 1)) }, "▶ Play all"),
        pair && h("button", { type: "button", "data-key": "play-both", onclick: () => player.start(lists) }, "▶ Play both in turn (A/B)"),
        h("button", { type: "button", class: "gx-stop", onclick: player.stop }, "■ Stop"),
        h("button", { type: "button", "data-key": "all", "aria-pressed": String(view.select[0] === "all"), onclick: () => select(["all"]) }, `All ${plural(noun())}`),
        h("span", { class: "gx-soft gx-keys" }, "Keys: ", h("kbd", {}, "J"), " next, ", h("kbd", {}, "K"), " previous, ",
          h("kbd", {}, "P"), " play or pause, ", h("kbd", {}, "D"), " doubt, ", h("kbd", {}, "/"), " search")),
      filterBar(view, data, show, rows(view.select).length),
      h("div", { class: `gx-panels${pair ? " gx-pair" : ""}` }, panels),
    ];
  }

  function panel(selection, pinned) {
    const clips = rows(selection);
    const list = clipList(clips, view, data, source, doubts);
    lists.push(list);
    const of = list.length() < clips.length ? ` of ${counted(list.length(), data.words.track)}` : "";
    return h("section", { class: "gx-panel", "aria-label": `${pinned ? "Pinned: " : ""}${named(selection, data)}` },
      h("h3", {}, pinned && h("span", { class: "gx-soft" }, "pinned: "), named(selection, data)),
      h("p", {}, `${counted(clips.length, noun())}${of}${clips.length > 1 ? `, ${ordered(selection, view, data)}` : ""}.`),
      h("p", { class: "gx-actions" },
        h("button", {
          type: "button", "data-key": JSON.stringify(selection), onclick: () => show({ pin: pinned ? null : selection }),
        }, pinned ? "Unpin" : "Pin to compare"),
        h("button", {
          type: "button", disabled: clips.length === 0, onclick: () => download(csv(clips, view, data), fileName(selection, view, two, plural(noun()))),
        }, "Save as CSV"),
        source.link && h("a", { href: `#${toQuery(view)}` }, "Link to this view")),
      list.nodes,
      references(selection, view, data, source));
  }

  function mapTab() {
    const nodes = mapView(view, data, select);
    if (view.select[0] !== "one") return nodes;
    const list = clipList(rows(view.select), view, data, source, doubts);
    lists.push(list);
    return [...nodes, h("section", { class: "gx-panel", "aria-label": named(view.select, data) }, list.nodes)];
  }

  function doubtsTab() {
    const track = new Map(data.tracks.slice(0, data.tested).map((one) => [one.id, one]));
    return [h("h3", {}, "Doubted labels"),
      h("p", {}, `A label that you doubt is kept ${source.link ? "in this browser" : "in this notebook, as matrix.doubts"}. Saved as CSV, the list can be read back: `,
        h("code", {}, "python -m genre_utils explore … --doubts doubts.csv"), "."),
      !doubts.kept() && h("p", { class: "gx-notice" }, "This browser does not keep them: save the list before you close the page."),
      doubts.size() === 0 ? h("p", {}, "None yet. A card's button, or the key D, doubts its label.")
        : [h("p", { class: "gx-actions" },
          h("button", { type: "button", onclick: () => download(doubts.csv(), "doubts.csv") }, "Save as CSV"),
          h("button", { type: "button", onclick: doubts.clear }, "Remove all")),
        h("ul", { class: "gx-changes" }, doubts.entries().map(([id, note]) => h("li", { class: "gx-doubted" },
          track.has(id) ? h("button", { type: "button", onclick: () => select(["one", id]) }, id,
            h("span", { class: "gx-soft" }, ` ${data.genres[track.get(id).genre]}`)) : h("span", {}, id),
          h("span", { class: "gx-soft" }, note), h("button", { type: "button", "aria-label": `Remove ${id}`, onclick: () => doubts.toggle(id) }, "✕"))))]];
  }

  // Keys for the clips, wherever the focus is in the explorer, except in a field.
  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea, audio, [contenteditable]")) return;
    const key = event.key.toLowerCase();
    if (!["j", "k", "p", "d", "/"].includes(key) || lists.length === 0) return;
    event.preventDefault();
    const list = lists.find((one) => one.current() !== undefined) ?? lists[0];
    const plays = list.current()?.isPlaying();
    if (key === "/") {
      const search = parts.tab.querySelector("[data-search]");
      search.closest("details").open = true;
      search.focus();
      return;
    }
    if (key === "j" || key === "k") {
      player.stop();
      const card = list.step(key === "j" ? 1 : -1);
      if (plays) card?.play();
      return;
    }
    const card = list.current() ?? list.step(1);
    if (key === "d") card?.node.querySelector("[data-doubt]").click();
    else if (plays) player.stop();
    else card?.play();
  }

  function genreTab() {
    const genre = view.genre ?? view.select?.find((name) => data.genres.includes(name)) ?? data.genres[0];
    const run = shownRuns(view, data).at(-1)[view.level];
    const index = data.genres.indexOf(genre);
    const what = probability(run, view);
    const { average_precision: average, curves: all } = chosen(run, view);
    const total = data.truths[view.level].length;
    const curves = thresholds(all[index]);
    const { most, start } = curves;
    const holder = h("div", {});
    const reading = h("p", { "aria-live": "polite" });
    const threshold = () => Math.min(view.threshold ?? start, most);
    const draw = () => {
      const at = Math.round(threshold() / most * STEPS);
      holder.replaceChildren(thresholdChart(curves, threshold(), genre, what));
      reading.textContent = `With a threshold of ${percent(threshold(), digits(most))}, ${counted(curves.predicted[at], noun())} `
        + `would be predicted as ${genre}: precision ${percent(curves.precision[at], 1)}, recall `
        + `${percent(curves.recall[at], 1)} of ${run.support[index]}.`;
    };
    draw();
    const slide = (event) => {
      view.threshold = Number(event.target.value);
      draw();
    };
    return [h("h3", {}, `${genre} against the rest`, two && ` (run ${view.run === "a" ? "A" : "B"})`),
      h("p", { class: "gx-actions" }, h("label", {}, `${capital(data.words.genre)} `, h("select", { "data-key": "genre", onchange: (event) => show({ genre: event.target.value }) },
        data.genres.map((name) => h("option", { selected: name === genre }, name)))),
      h("label", {}, "Threshold ", h("input", { type: "range", min: 0, max: most, step: most / STEPS, value: threshold(), oninput: slide, onchange: remember }))),
      holder,
      h("p", { class: "gx-legend" }, h("span", { class: "gx-key gx-precision" }), "precision ",
        h("span", { class: "gx-key gx-recall" }), "recall"),
      reading,
      h("p", { class: "gx-soft" }, `The highest ${what} of ${genre} is ${percent(curves.top, 1)}. Average precision `,
        `${percent(average[index], 1)}: how well the probability ranks ${genre} above all other ${plural(data.words.genre)}, whatever the `,
        `threshold; guessing has ${percent(run.support[index] / total, 1)}. The matrix uses the most probable `,
        `${data.words.genre} of each row and needs no threshold.`)];
  }

  function trustTab() {
    return [h("h3", {}, "Are the probabilities reliable?"),
      h("p", {}, `Of the ${plural(noun())} that are predicted with a probability of 80 %, 80 % should be right: points on the `,
        "dashed line. Points below the line show that the model is overconfident, points above it that it is ",
        `underconfident; the gap is orange. The bars show the number of ${plural(noun())}.`),
      ...shownRuns(view, data).filter((run) => run[view.level].raw !== null).map((run) => h("section", { class: "gx-run" }, two && h("h4", {}, run.name), calibrationOf(run),
        h("div", { class: "gx-panels" }, reliability(run, "raw"),
          run[view.level].calibrated !== null && reliability(run, "calibrated"))))];
  }

  function calibrationOf(run) {
    const { temperature, calibrated } = run[view.level];
    if (calibrated !== null) {
      return h("p", {}, `Temperature by which the logits of ${plural(noun())} are divided: ${temperature.toFixed(2)}, from validation. `,
        `It does not change the predicted ${plural(data.words.genre)}.`);
    }
    return h("p", {}, h("strong", {}, "Not calibrated: "), temperature === null
      ? data.words.uncalibrated ?? "the run has no model folder with its temperatures."
      : "no temperature improves the log loss on the validation split.");
  }

  function reliability(run, kind) {
    const { reliability: bins, ece } = run[view.level][kind];
    const title = run[view.level].calibrated === null ? "Not calibrated"
      : { raw: "Before calibration: raw", calibrated: "After calibration" }[kind];
    return h("section", { "aria-label": title }, h("h4", {}, title), reliabilityChart(bins, noun(), data.words.genre),
      h("p", {}, `Expected calibration error ${percent(ece.ece, 1)}, ${interval(ece, data.words)} `,
        `(${counted(ece.n, noun())}; with few of them the error is too large).`),
      h("details", {}, h("summary", {}, "Show as a table"), h("div", { class: "gx-wide", tabindex: 0 }, h("table", { class: "gx-table" },
        h("thead", {}, h("tr", {}, ["probability", plural(noun()), "mean probability", "accuracy"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, bins.n.map((n, bin) => n > 0 && h("tr", {},
          [`${percent(bins.low[bin])} to ${percent(bins.high[bin])}`, n,
            percent(bins.confidence[bin], 1), percent(bins.accuracy[bin], 1)].map((text) => h("td", {}, String(text))))))))));
  }

  function runsTab() {
    const runs = data.runs.map((run) => run[view.level]);
    const truth = data.truths[view.level];
    const sizes = Object.fromEntries(Object.keys(CHANGES).map((kind) => [kind, 0]));
    for (const row of truth.keys()) sizes[change(row, truth, runs)] += 1;
    const gain = data.paired[view.level];
    const test = data.paired.mcnemar;
    return [h("h3", {}, "Which clips changed"),
      h("p", {}, h("strong", {}, "A"), ` ${data.runs[0].name}; `, h("strong", {}, "B"), ` ${data.runs[1].name}.`),
      h("p", {}, `Accuracy of B minus A: ${signed(gain.difference)} of ${counted(gain.n, noun())}, ${interval(gain, data.words, signed)}. `,
        test !== null && view.level === data.levels.at(-1) && `McNemar's exact test: ${test.only_second} ${plural(noun())} right only in B, ${test.only_first} only in A, `
          + `p = ${test.p_value < 0.001 ? test.p_value.toExponential(1) : test.p_value.toFixed(3)}.`),
      h("ul", { class: "gx-changes" }, Object.entries(CHANGES).map(([kind, text]) =>
        h("li", {}, h("button", { type: "button", onclick: () => select(["change", kind]) },
          h("strong", {}, inEnglish.format(sizes[kind])), ` ${text}`))))];
  }

  root.classList.add("gx");
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab's own J and K
  root.replaceChildren(
    h("header", {}, h("h2", {}, data.title), data.notices.map((text) => h("p", { class: "gx-notice" }, text)), licenceNotice(source.licences, data), parts.sentence,
      data.notes.length > 0 && h("details", { class: "gx-soft" }, h("summary", {}, "About the table"), data.notes.map((text) => h("p", {}, text)))),
    controls.node,
    h("div", { class: "gx-columns" },
      h("section", { class: "gx-left", "aria-label": "Confusion matrix" }, parts.matrix, parts.figures),
      h("section", { class: "gx-right", "aria-label": "Details" }, tabs.node, parts.tab)),
    parts.status);
  parts.tab.id = `${tabs.id}-panel`;
  parts.tab.setAttribute("role", "tabpanel");
  parts.tab.tabIndex = -1;
  const keys = source.keys ?? root;
  keys.addEventListener("keydown", pressed);
  const stop = source.onview(restore);
  restore();
  return async () => {
    keys.removeEventListener("keydown", pressed);
    (await stop)?.();
  };
}

// Under which licences a page's sound may be passed on; null where no licence is known.
function licenceNotice(known, data) {
  if (!known) return null;
  const { heard, withheld, names, private: closed } = known;
  const tracks = (n) => counted(n, data.words.track);
  return h("details", { class: "gx-notice" },
    h("summary", {}, closed ? `The sound of ${tracks(heard)} is here, and some of it must not be passed on: keep this page for yourself. `
      : `The sound of ${tracks(heard)} is here, under licences that allow it. `,
      withheld > 0 && `That of ${tracks(withheld)} is left out, because the licence forbids changed versions or is not known.`),
    h("p", {}, "The sound is an excerpt, mixed to mono and compressed again. Each clip names its artist, title and licence. ",
      closed ? "The licences:" : "If you publish this page, keep them, and follow the licences:"),
    h("ul", {}, names.map(([name, address, n]) => h("li", {}, linked(name, address), `: ${tracks(n)}`))));
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function named([kind, first, second], data) {
  if (kind === "cell") return `${first}, predicted as ${second}${first === second ? " (right)" : ""}`;
  if (kind === "row") return `all ${first}`;
  if (kind === "column") return `all predicted as ${first}`;
  if (kind === "all") return `all ${plural(data.words.segment)}`;
  if (kind === "one") return first;
  return `${CHANGES[first]} (A ${data.runs[0].name}, B ${data.runs[1].name})`;
}

// The file name of a selection as CSV, in letters and digits of any script.
function fileName([kind, first, second], view, two, nouns) {
  const words = {
    cell: [first, "predicted as", second], row: ["all", first], column: ["predicted as", first], change: [CHANGES[first]],
    all: ["all"], one: [first],
  };
  const run = two && kind !== "change" && { a: "A", b: "B", difference: "A and B" }[view.run];
  const text = [...words[kind], nouns, ...(run ? [run] : [])].join("-");
  return `${text.normalize("NFC").toLowerCase().replace(/[^\p{L}\p{M}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 100)}.csv`;
}

// The order of clipList's rows as text.
const ordered = ([kind, first, second], view, data) => {
  if (view.sort !== "wrong") return SORTS[view.sort];
  if (sureness(view, data)(0) === null) return "wrong ones first";
  return (kind === "cell" && first === second) || (kind === "change" && first === "both") ? SORTS.unsure : SORTS.wrong;
};

let counter = 0; // several widgets in one notebook must not share names

function controlBar(data, two, both, show) {
  const id = `gx-${counter += 1}`;
  const texts = { level: Object.fromEntries(data.levels.map((level) => [level, plural(data.words[level])])) };
  const group = (name, legend) => h("fieldset", {}, h("legend", {}, legend), Object.entries(texts[name] ?? CHOICES[name]).map(([value, text]) =>
    h("label", {}, h("input", { type: "radio", name: `${id}-${name}`, value, onchange: () => show({ [name]: value }) }), h("span", {}, text))));
  const hide = h("input", { type: "checkbox", onchange: () => show({ diagonal: hide.checked ? "hidden" : "shown" }) });
  const node = h("div", { class: "gx-controls" },
    two && group("run", "Run"), data.levels.length > 1 && group("level", "Count"), both && group("probability", "Probability"), group("show", "Show"), group("order", "Order by"),
    h("fieldset", {}, h("legend", {}, "Diagonal"), h("label", {}, hide, h("span", {}, "hide"))));
  const sync = (now) => {
    for (const input of node.querySelectorAll("input[type=radio]")) {
      input.checked = now[input.name.slice(id.length + 1)] === input.value;
    }
    hide.checked = now.diagonal === "hidden";
  };
  return { node, sync };
}

function tabBar(data, choose) {
  const id = `gx-${counter += 1}`;
  const texts = { ...CHOICES.tab, genre: `One ${data.words.genre}` };
  const names = Object.keys(CHOICES.tab).filter((name) => available("tab", name, data));
  const buttons = names.map((name) => h("button", {
    type: "button", role: "tab", id: `${id}-${name}`, "aria-controls": `${id}-panel`, onclick: () => choose(name),
  }, texts[name]));
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = (buttons.indexOf(event.target) + step + buttons.length) % buttons.length;
    buttons[next].focus();
    choose(names[next]);
  };
  const node = h("div", { role: "tablist", class: "gx-tabs", "aria-label": "Views", onkeydown: move }, buttons);
  const sync = (now) => buttons.forEach((button, index) => {
    button.setAttribute("aria-selected", String(names[index] === now));
    button.tabIndex = names[index] === now ? 0 : -1;
  });
  const label = (name, text) => { buttons[names.indexOf(name)].textContent = text; };
  return { node, sync, id, label };
}
