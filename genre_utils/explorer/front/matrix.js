// The matrix, and the numbers of the selected cell, row and column.

const overviews = new WeakMap(); // of holders with many classes

// The matrix: a grid of buttons. Tab reaches one of them, arrow keys reach the others.
function renderMatrix(holder, view, data, select, show) {
  const { run, level, show: what, order, diagonal } = view;
  const key = JSON.stringify([run, level, what, order, diagonal]);
  const many = data.genres.length > MANY;
  if (holder.dataset.key !== key) {
    holder.dataset.key = key;
    if (many) overviews.set(holder, overview(view, data, select, show));
    holder.replaceChildren(...(many ? overviews.get(holder).nodes : matrix(view, data, select)));
  }
  if (many) overviews.get(holder).update(view, (now) => markChosen(holder, now));
  markChosen(holder, view);
}

// Shows which cells are chosen and pinned, and lets Tab reach one of them.
function markChosen(holder, view) {
  const wanted = { select: JSON.stringify(view.select), pin: JSON.stringify(view.pin) };
  let reachable = null;
  for (const button of holder.querySelectorAll("table[role=grid] button")) {
    const is = (name) => view[name] !== null && button.dataset.selection === wanted[name];
    button.setAttribute("aria-pressed", String(is("select")));
    button.classList.toggle("gx-pinned", is("pin"));
    button.tabIndex = -1;
    if (is("select")) reachable = button;
  }
  (reachable ?? holder.querySelector("table[role=grid] button")).tabIndex = 0;
}

const inOrder = (view, data) => (view.order === "similarity" ? data.similarity : [...data.genres.keys()].sort((one, other) =>
  data.genres[one].localeCompare(data.genres[other], "en", { numeric: true })));

// Counts and shares of one run, or of the second less the first.
function cellValues(view, data) {
  const key = JSON.stringify(["values", view.run, view.level, view.show]);
  if (!data.cache.has(key)) data.cache.set(key, newCellValues(view, data));
  return data.cache.get(key);
}

function newCellValues(view, data) {
  const tables = data.runs.map((run) => run[view.level].counts);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const sums = tables.map((counts) => {
    const row = counts.map(sum);
    const column = counts.map((_, at) => sum(counts.map((one) => one[at])));
    return { row: (at) => row[at], column: (_, at) => column[at], all: () => sum(row) };
  });
  const inRun = (run, row, column, of) => (of === "count" ? tables[run][row][column]
    : quotient(tables[run][row][column], sums[run][of](row, column)));
  const less = (one, other) => (one === null || other === null ? null : one - other);
  return (row, column, of = view.show) => (view.run === "difference"
    ? less(inRun(1, row, column, of), inRun(0, row, column, of))
    : inRun(view.run === "b" ? 1 : 0, row, column, of));
}

function matrix(view, data, select, order = inOrder(view, data)) {
  const difference = view.run === "difference";
  const share = cellValues(view, data);
  const hidden = (row, column) => view.diagonal === "hidden" && row === column;
  const cells = order.flatMap((row) => order.map((column) => [row, column])).filter((pair) => !hidden(...pair));
  const most = Math.max(...cells.map((pair) => Math.abs(share(...pair))), 1e-9);
  const full = difference || view.show === "count" || view.show === "all" || view.diagonal === "hidden" ? most : 1;
  const signedCount = (count) => (count > 0 ? `+${count}` : String(count).replace("-", "−"));
  const plain = (value, of) => (value === null ? "–" : of === "count"
    ? (difference ? signedCount(value) : String(value))
    : [(100 * value).toFixed(Math.abs(value) < 0.005 && value !== 0 ? 2 : of === "all" && Math.abs(value) < 0.0995 ? 1 : 0).replace("-", "−"), h("span", { class: "gx-sign" }, "%")]);

  const head = (index, kind, at) => h("button", {
    type: "button", "data-at": at, "data-selection": JSON.stringify([kind, data.genres[index]]),
    title: data.genres[index], "aria-label": named([kind, data.genres[index]], data),
    onclick: () => select([kind, data.genres[index]]),
  }, h("span", {}, data.genres[index]));
  const cell = (row, column, at) => {
    if (hidden(row, column)) return h("td", { class: "gx-hidden" });
    const [truth, predicted] = [data.genres[row], data.genres[column]];
    const count = share(row, column, "count");
    const rate = Math.abs(share(row, column)) / full;
    const good = row === column ? share(row, column) >= 0 : difference && share(row, column) < 0;
    const nothing = count === 0 && !share(row, column);
    const second = view.show === "count" ? "row" : "count";
    const words = difference
      ? `${truth} predicted as ${predicted}: ${signedCount(count)} ${plural(data.words[view.level])} in B compared with A`
      : `${truth} predicted as ${predicted}: ${counted(count, data.words[view.level])}, ${percent(share(row, column, "row"))} of ${truth}, `
        + `${percent(share(row, column, "column"))} of all predicted as ${predicted}`;
    return h("td", {}, h("button", {
      type: "button", "data-at": at, "data-selection": JSON.stringify(["cell", truth, predicted]), "aria-label": words,
      title: words, style: shade(rate, good ? "right" : "wrong"), onclick: () => select(["cell", truth, predicted]),
      class: nothing && "gx-zero",
    }, h("b", {}, nothing && share(row, column) !== null ? "0" : plain(share(row, column), view.show)),
    !nothing && !(difference && second === "row") && h("small", {}, plain(share(row, column, second), second))));
  };
  const table = h("table", { role: "grid", "aria-label": `True ${data.words.genre} by predicted ${data.words.genre}`, onkeydown: moveInGrid },
    h("thead", {}, h("tr", {}, h("td", { class: "gx-corner" }, h("span", {}, "true ↓", h("br"), "predicted →")),
      order.map((column, place) => h("th", { scope: "col" }, head(column, "column", `0,${place + 1}`))))),
    h("tbody", {}, order.map((row, place) => h("tr", {}, h("th", { scope: "row" }, head(row, "row", `${place + 1},0`)),
      order.map((column, beside) => cell(row, column, `${place + 1},${beside + 1}`))))));
  const top = view.show === "count" ? inEnglish.format(most) : percent(full, full < 0.05 ? 1 : 0);
  const ramp = (hue) => h("span", { class: "gx-swatches" }, [0, 0.25, 0.5, 0.75, 1].map((step) => h("span", { style: shade(step, hue) })));
  const what = {
    count: plural(data.words[view.level]), row: `of the true ${data.words.genre}`, column: `of the predicted ${data.words.genre}`,
    all: `of all ${plural(data.words[view.level])}`,
  }[view.show];
  return [h("div", { class: "gx-scroll" }, table),
    h("p", { class: "gx-legend" }, difference ? "better" : "right", ramp("right"), difference ? "worse" : "wrong", ramp("wrong"),
      `0 to ${top} ${what}`)];
}

function moveInGrid(event) {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  const from = event.target.dataset.at?.split(",").map(Number);
  if (from === undefined || (step === undefined && event.key !== "Home" && event.key !== "End")) return;
  event.preventDefault();
  const grid = event.currentTarget;
  const buttons = [...grid.querySelectorAll("button")];
  if (step === undefined) {
    const inRow = buttons.filter((button) => button.dataset.at.startsWith(`${from[0]},`));
    focusOn(inRow.at(event.key === "Home" ? 0 : -1), buttons);
    return;
  }
  const size = Math.max(...buttons.map((button) => Number(button.dataset.at.split(",")[0])));
  const to = [...from];
  do { // skip a hidden diagonal
    to[0] += step[0];
    to[1] += step[1];
    const next = grid.querySelector(`[data-at="${to.join(",")}"]`);
    if (next !== null) {
      focusOn(next, buttons);
      return;
    }
  } while (to.every((place) => place >= 0 && place <= size));
}

function focusOn(button, buttons) {
  for (const other of buttons) other.tabIndex = -1;
  button.tabIndex = 0;
  button.focus();
}

// The numbers of the selected cell, its row and its column.
function figures(view, data) {
  if (view.select === null || !["cell", "row", "column"].includes(view.select[0])) return [];
  const [kind, first, second = first] = view.select;
  const [row, column] = [data.genres.indexOf(first), data.genres.indexOf(second)];
  const noun = data.words[view.level];
  return shownRuns(view, data).map((run) => {
    const { counts, predicted, precision, recall, f1, support } = run[view.level];
    const results = chosen(run[view.level], view);
    const two = (value) => (value === null ? "–" : value.toFixed(2));
    const inCell = data.rowsOfTruth[view.level][row].filter((at) => predicted[at] === column);
    const total = counts.reduce((sum, one) => sum + one[column], 0);
    const mean = results !== null && inCell.reduce((sum, at) => sum + partsOf(results, at, column) / PARTS, 0) / inCell.length;
    const lines = {
      cell: ["Cell", `${counted(inCell.length, noun)}: ${percent(quotient(counts[row][column], support[row]), 1)} of ${first}, `
        + `${percent(quotient(counts[row][column], total), 1)} of all predicted as ${second}`
        + (inCell.length && results !== null ? `; mean ${run[view.level].calibrated === null ? "probability" : probability(run[view.level], view)} of ${second}: ${percent(mean, 1)}` : "")],
      row: [`Row, ${first}`, `recall ${percent(recall[row], 1)} of ${counted(support[row], noun)}; F1 ${two(f1[row])}`],
      column: [`Column, ${second}`, `precision ${percent(precision[column], 1)} of ${counted(total, noun)} predicted as ${second}`
        + `; F1 ${two(f1[column])}`],
    };
    const wanted = kind === "cell" ? ["cell", "row", "column"] : ["row", "column"];
    return h("dl", {}, data.runs.length === 2 && [h("dt", {}, "Run"), h("dd", {}, run.name)],
      wanted.map((name) => [h("dt", {}, lines[name][0]), h("dd", {}, lines[name][1])]));
  });
}
