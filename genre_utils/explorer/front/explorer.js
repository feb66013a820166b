// The explorer: controls, matrix, and details of the selection. `source` provides the data and stores the view; it is
// the only difference between a page and a notebook's widget.

async function start(root, source) {
  const data = await source.facts();
  const two = data.runs.length === 2;
  const both = data.runs.some((run) => run.segment.calibrated !== null || run.track.calibrated !== null);
  let view = null; // by restore()
  let refused = [];
  const parts = Object.fromEntries(["sentence", "matrix", "figures", "tab", "status"].map((name) =>
    [name, h("div", { class: `gx-${name}` })]));
  parts.status.setAttribute("role", "status");

  const rows = (selection) => (selection === null ? [] : rowsOf(selection, view, data));
  const remember = () => source.remember(view, segmentRows(rows(view.select), view.level, data));
  const show = (changes) => {
    view = { ...view, ...changes };
    render();
    remember();
  };
  const select = (selection) => {
    const ofGenre = selection[0] === "row" || selection[0] === "column";
    const tab = ofGenre && view.tab === "genre" ? "genre" : "clips";
    show({ select: selection, tab, ...(ofGenre && { genre: selection[1] }) });
    parts.status.textContent = `${named(selection, data)}: ${counted(rows(selection).length, view.level)}`;
    parts.tab.querySelector("h3").scrollIntoView({ block: "nearest" }); // far below on a narrow screen
  };
  const restore = () => {
    ({ view, refused } = checked(source.view(), data));
    controls.sync(view);
    render();
    remember();
  };

  const controls = controlBar(two, both, show);
  const tabs = tabBar(two, (tab) => show({ tab }));

  function render() {
    parts.sentence.replaceChildren(...shownRuns(view, data).map((one) =>
      h("p", {}, two && h("strong", {}, `${"AB"[data.runs.indexOf(one)]}, ${one.name}: `), one[view.level].sentence)));
    renderMatrix(parts.matrix, view, data, select);
    parts.figures.replaceChildren(...figures(view, data));
    tabs.sync(view.tab);
    const panels = { clips: clipsTab, genre: genreTab, trust: trustTab, runs: runsTab };
    parts.tab.setAttribute("aria-labelledby", `${tabs.id}-${view.tab}`);
    const focused = parts.tab.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    parts.tab.replaceChildren(...panels[view.tab]());
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
    if (view.select === null && view.pin === null) {
      return [h("p", {}, "Choose a cell or the name of a genre in the matrix to see its clips here, the most ",
        "confidently wrong first. Arrow keys move in the matrix, Enter chooses.")];
    }
    const panels = [view.select !== null && !sameSelection(view.select, view.pin) && panel(view.select, false),
      view.pin !== null && panel(view.pin, true)];
    return [h("div", { class: `gx-panels${panels.every(Boolean) ? " gx-pair" : ""}` }, panels)];
  }

  function panel(selection, pinned) {
    const clips = rows(selection);
    const save = () => {
      const address = URL.createObjectURL(new Blob([csv(clips, view, data)], { type: "text/csv" }));
      h("a", { href: address, download: fileName(selection, view, two) }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10000);
    };
    return h("section", { class: "gx-panel", "aria-label": `${pinned ? "Pinned: " : ""}${named(selection, data)}` },
      h("h3", {}, pinned && h("span", { class: "gx-soft" }, "pinned: "), named(selection, data)),
      h("p", {}, `${counted(clips.length, view.level)}${clips.length > 1 ? `, ${ordered(selection)}` : ""}.`),
      h("p", { class: "gx-actions" },
        h("button", {
          type: "button", "data-key": JSON.stringify(selection), onclick: () => show({ pin: pinned ? null : selection }),
        }, pinned ? "Unpin" : "Pin to compare"),
        h("button", { type: "button", onclick: save, disabled: clips.length === 0 }, "Save as CSV"),
        source.link && h("a", { href: `#${toQuery(view)}` }, "Link to this view")),
      clipList(clips, view, data, source));
  }

  function genreTab() {
    const genre = view.genre ?? view.select?.find((name) => data.genres.includes(name)) ?? data.genres[0];
    const run = shownRuns(view, data).at(-1)[view.level];
    const index = data.genres.indexOf(genre);
    const what = probability(run, view);
    const { p, average_precision: average } = chosen(run, view);
    const truth = truths(view.level, data);
    const curves = thresholds(p.map((row) => row[index]), truth.map((one) => one === index));
    const { most, start } = curves;
    const holder = h("div", {});
    const reading = h("p", { "aria-live": "polite" });
    const threshold = () => Math.min(view.threshold ?? start, most);
    const draw = () => {
      const at = Math.round(threshold() / most * STEPS);
      holder.replaceChildren(thresholdChart(curves, threshold(), genre, what));
      reading.textContent = `With a threshold of ${percent(threshold(), digits(most))}, ${counted(curves.predicted[at], view.level)} `
        + `would be predicted as ${genre}: precision ${percent(curves.precision[at], 1)}, recall `
        + `${percent(curves.recall[at], 1)} of ${run.support[index]}.`;
    };
    draw();
    const slide = (event) => {
      view.threshold = Number(event.target.value);
      draw();
    };
    return [h("h3", {}, `${genre} against the rest`, two && ` (run ${view.run === "a" ? "A" : "B"})`),
      h("p", { class: "gx-actions" }, h("label", {}, "Genre ", h("select", { "data-key": "genre", onchange: (event) => show({ genre: event.target.value }) },
        data.genres.map((name) => h("option", { selected: name === genre }, name)))),
      h("label", {}, "Threshold ", h("input", { type: "range", min: 0, max: most, step: most / STEPS, value: threshold(), oninput: slide, onchange: remember }))),
      holder,
      h("p", { class: "gx-legend" }, h("span", { class: "gx-key gx-precision" }), "precision ",
        h("span", { class: "gx-key gx-recall" }), "recall"),
      reading,
      h("p", { class: "gx-soft" }, `The highest ${what} of ${genre} is ${percent(curves.top, 1)}. Average precision `,
        `${percent(average[index], 1)}: how well the probability ranks ${genre} above all other genres, whatever the `,
        `threshold; guessing has ${percent(run.support[index] / truth.length, 1)}. The matrix uses the most probable `,
        "genre of each row and needs no threshold.")];
  }

  function trustTab() {
    return [h("h3", {}, "Are the probabilities reliable?"),
      h("p", {}, `Of the ${view.level}s that are predicted with a probability of 80 %, 80 % should be right: points on the `,
        "dashed line. Points below the line show that the network is overconfident, points above it that it is ",
        `underconfident; the gap is orange. The bars show the number of ${view.level}s.`),
      ...shownRuns(view, data).map((run) => h("section", { class: "gx-run" }, two && h("h4", {}, run.name), calibrationOf(run),
        h("div", { class: "gx-panels" }, reliability(run, "raw"),
          run[view.level].calibrated !== null && reliability(run, "calibrated"))))];
  }

  function calibrationOf(run) {
    const { temperature, calibrated } = run[view.level];
    if (calibrated !== null) {
      return h("p", {}, `Temperature by which the logits of ${view.level}s are divided: ${temperature.toFixed(2)}, from validation. `,
        "It does not change the predicted genres.");
    }
    return h("p", {}, h("strong", {}, "Not calibrated: "), temperature === null
      ? "the run has no model folder with its temperatures."
      : "no temperature improves the log loss on the validation split.");
  }

  function reliability(run, kind) {
    const { reliability: bins, ece } = run[view.level][kind];
    const title = run[view.level].calibrated === null ? "Not calibrated"
      : { raw: "Before calibration: raw", calibrated: "After calibration" }[kind];
    return h("section", { "aria-label": title }, h("h4", {}, title), reliabilityChart(bins, view.level),
      h("p", {}, `Expected calibration error ${percent(ece.ece, 1)}, ${interval(ece)} `,
        `(${counted(ece.n, view.level)}; with few of them the error is too large).`),
      h("details", {}, h("summary", {}, "Show as a table"), h("div", { class: "gx-wide", tabindex: 0 }, h("table", { class: "gx-table" },
        h("thead", {}, h("tr", {}, ["probability", `${view.level}s`, "mean probability", "accuracy"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, bins.n.map((n, bin) => n > 0 && h("tr", {},
          [`${percent(bins.low[bin])} to ${percent(bins.high[bin])}`, n,
            percent(bins.confidence[bin], 1), percent(bins.accuracy[bin], 1)].map((text) => h("td", {}, String(text))))))))));
  }

  function runsTab() {
    const runs = data.runs.map((run) => run[view.level]);
    const truth = truths(view.level, data);
    const sizes = Object.fromEntries(Object.keys(CHANGES).map((kind) => [kind, 0]));
    for (const row of truth.keys()) sizes[change(row, truth, runs)] += 1;
    const gain = data.paired[view.level];
    const test = data.paired.mcnemar;
    return [h("h3", {}, "Which clips changed"),
      h("p", {}, h("strong", {}, "A"), ` ${data.runs[0].name}; `, h("strong", {}, "B"), ` ${data.runs[1].name}.`),
      h("p", {}, `Accuracy of B minus A: ${signed(gain.difference)} of ${counted(gain.n, view.level)}, ${interval(gain, signed)}. `,
        view.level === "track" && `McNemar's exact test: ${test.only_second} tracks right only in B, ${test.only_first} only in A, `
          + `p = ${test.p_value < 0.001 ? test.p_value.toExponential(1) : test.p_value.toFixed(3)}.`),
      h("ul", { class: "gx-changes" }, Object.entries(CHANGES).map(([kind, text]) =>
        h("li", {}, h("button", { type: "button", onclick: () => select(["change", kind]) },
          h("strong", {}, sizes[kind].toLocaleString("en")), ` ${text}`))))];
  }

  root.classList.add("gx");
  root.replaceChildren(
    h("header", {}, h("h2", {}, data.title), data.notices.map((text) => h("p", { class: "gx-notice" }, text)), parts.sentence),
    controls.node,
    h("div", { class: "gx-columns" },
      h("section", { class: "gx-left", "aria-label": "Confusion matrix" }, parts.matrix, parts.figures),
      h("section", { class: "gx-right", "aria-label": "Details" }, tabs.node, parts.tab)),
    parts.status);
  parts.tab.id = `${tabs.id}-panel`;
  parts.tab.setAttribute("role", "tabpanel");
  parts.tab.tabIndex = -1;
  const stop = source.onview(restore);
  restore();
  return stop;
}

function named([kind, first, second], data) {
  if (kind === "cell") return `${first}, predicted as ${second}${first === second ? " (right)" : ""}`;
  if (kind === "row") return `all ${first}`;
  if (kind === "column") return `all predicted as ${first}`;
  return `${CHANGES[first]} (A ${data.runs[0].name}, B ${data.runs[1].name})`;
}

// The file name of a selection as CSV, in letters and digits of any script.
function fileName([kind, first, second], view, two) {
  const words = {
    cell: [first, "predicted as", second], row: ["all", first], column: ["predicted as", first], change: [CHANGES[first]],
  };
  const run = two && kind !== "change" && { a: "A", b: "B", difference: "A and B" }[view.run];
  const text = [...words[kind], `${view.level}s`, ...(run ? [run] : [])].join("-");
  return `${text.normalize("NFC").toLowerCase().replace(/[^\p{L}\p{M}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 100)}.csv`;
}

// The order of clipList's rows as text.
const ordered = ([kind, first, second]) =>
  ((kind === "cell" && first === second) || (kind === "change" && first === "both")
    ? "least sure first" : "most confidently wrong first");

let counter = 0; // several widgets in one notebook must not share names

function controlBar(two, both, show) {
  const id = `gx-${counter += 1}`;
  const group = (name, legend) => h("fieldset", {}, h("legend", {}, legend), Object.entries(CHOICES[name]).map(([value, text]) =>
    h("label", {}, h("input", { type: "radio", name: `${id}-${name}`, value, onchange: () => show({ [name]: value }) }), h("span", {}, text))));
  const hide = h("input", { type: "checkbox", onchange: () => show({ diagonal: hide.checked ? "hidden" : "shown" }) });
  const node = h("div", { class: "gx-controls" },
    two && group("run", "Run"), group("level", "Count"), both && group("probability", "Probability"), group("show", "Show"), group("order", "Order by"),
    h("fieldset", {}, h("legend", {}, "Diagonal"), h("label", {}, hide, h("span", {}, "hide"))));
  const sync = (now) => {
    for (const input of node.querySelectorAll("input[type=radio]")) {
      input.checked = now[input.name.slice(id.length + 1)] === input.value;
    }
    hide.checked = now.diagonal === "hidden";
  };
  return { node, sync };
}

function tabBar(two, choose) {
  const id = `gx-${counter += 1}`;
  const names = Object.keys(CHOICES.tab).filter((name) => two || name !== "runs");
  const buttons = names.map((name) => h("button", {
    type: "button", role: "tab", id: `${id}-${name}`, "aria-controls": `${id}-panel`, onclick: () => choose(name),
  }, CHOICES.tab[name]));
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
  return { node, sync, id };
}
