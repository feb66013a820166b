// Many classes: a picture of the whole matrix, the largest confusions, and the cells around the chosen one.

const MANY = 24; // classes; with more, the numbers in the cells could not be read
const LISTED = 15; // confusions beside the picture

// Off-diagonal cells, the largest first.
function confusions(view, data) {
  const { counts } = shownRuns(view, data).at(-1)[view.level];
  return counts.flatMap((row, truth) => row.map((count, guess) => [count, truth, guess]))
    .filter(([count, truth, guess]) => count > 0 && truth !== guess).sort((one, other) => other[0] - one[0]);
}

// The classes of the chosen cell, and those that are most often confused with them, in the matrix's order.
function around(selection, view, data) {
  const [first, second = first] = selection?.[0] === "cell" || selection?.[0] === "row" || selection?.[0] === "column"
    ? selection.slice(1) : worst(view, data).slice(1);
  const own = [first, second].map((name) => data.genres.indexOf(name));
  const { counts } = shownRuns(view, data).at(-1)[view.level];
  const mixed = data.genres.map((_, other) => own.reduce((sum, one) => sum + counts[one][other] + counts[other][one], 0));
  const ranked = [...data.genres.keys()].filter((one) => !own.includes(one)).sort((one, other) => mixed[other] - mixed[one]);
  const kept = new Set([...own, ...ranked].slice(0, Math.max(Number(view.classes), 2)));
  return inOrder(view, data).filter((one) => kept.has(one));
}

function overview(view, data, select, show) {
  const order = inOrder(view, data);
  const share = cellValues(view, data);
  const nouns = plural(data.words.genre);
  const shown = around(view.select, view, data);
  const list = confusions(view, data);
  const wrong = list.reduce((sum, [count]) => sum + count, 0);
  const search = h("input", {
    type: "search", list: `gx-classes-${counter += 1}`, placeholder: `find one of ${data.genres.length} ${nouns}`,
    "aria-label": `Find a ${data.words.genre}`, "data-key": "find",
    onchange: (event) => data.genres.includes(event.target.value) && select(["row", event.target.value]),
  });
  const size = h("select", { "data-key": "classes", onchange: (event) => show({ classes: event.target.value }) },
    Object.keys(CHOICES.classes).map((count) => h("option", { value: count, selected: count === view.classes }, count)));
  return [
    h("div", { class: "gx-overview" },
      picture(order, share, view, data, select),
      h("div", { class: "gx-confusions" }, h("h3", {}, "Largest confusions"),
        list.length === 0 ? h("p", {}, "Everything is right.") : h("ol", {}, list.slice(0, LISTED).map(([count, truth, guess]) =>
          h("li", {}, h("button", {
            type: "button", "aria-pressed": String(sameSelection(view.select, ["cell", data.genres[truth], data.genres[guess]])),
            "data-selection": JSON.stringify(["cell", data.genres[truth], data.genres[guess]]),
            onclick: () => select(["cell", data.genres[truth], data.genres[guess]]),
          }, h("b", {}, count.toLocaleString("en")), ` ${data.genres[truth]} → ${data.genres[guess]}`)))),
        list.length > LISTED && h("p", { class: "gx-soft" }, `These are ${percent(list.slice(0, LISTED).reduce((sum, [count]) => sum + count, 0) / wrong)} `
          + `of ${wrong.toLocaleString("en")} mistakes, in ${list.length.toLocaleString("en")} cells.`))),
    h("p", { class: "gx-actions" }, search,
      h("datalist", { id: search.getAttribute("list") }, [...data.genres].sort().map((genre) => h("option", { value: genre }))),
      h("label", {}, "Cells of ", size, ` ${nouns} around the chosen one`)),
    matrix(view, data, select, shown),
  ];
}

// The whole matrix as a canvas: the pointer reads and chooses a cell, arrow keys and Enter do the same.
function picture(order, share, view, data, select) {
  const count = order.length;
  const cell = Math.max(2, Math.floor(600 / count));
  const side = cell * count;
  const canvas = h("canvas", { width: side, height: side });
  const said = h("p", { class: "gx-soft gx-reading", "aria-live": "polite" }, "true ↓ predicted →: point at a cell to read it, click to hear it");
  const values = order.map((row) => order.map((column) => (view.diagonal === "hidden" && row === column ? 0 : share(row, column) ?? 0)));
  const most = Math.max(...values.map((row) => Math.max(...row.map(Math.abs))), 1e-9);
  const dark = () => getComputedStyle(canvas).colorScheme.includes("dark");
  const draw = () => {
    const context = canvas.getContext("2d");
    const surface = dark() ? [32, 34, 38] : [255, 255, 255];
    context.fillStyle = `rgb(${surface.join(" ")})`;
    context.fillRect(0, 0, side, side);
    values.forEach((row, y) => row.forEach((value, x) => {
      if (value === 0) return;
      const good = y === x ? value >= 0 : view.run === "difference" && value < 0;
      const strength = 0.12 + 0.88 * Math.min(1, Math.abs(value) / most) ** 0.5; // a single mistake must be visible
      const hue = HUES[good ? "right" : "wrong"];
      context.fillStyle = `rgb(${surface.map((part, index) => Math.round(part + (hue[index] - part) * strength)).join(" ")})`;
      context.fillRect(x * cell, y * cell, cell, cell);
    }));
    const at = (name) => order.indexOf(data.genres.indexOf(name));
    if (view.select?.[0] === "cell" || view.select?.[0] === "row" || view.select?.[0] === "column") {
      const [kind, first, second = first] = view.select;
      context.strokeStyle = dark() ? "#fff" : "#000";
      context.lineWidth = 1.5;
      if (kind !== "column") context.strokeRect(0, at(first) * cell - 1, side, cell + 2);
      if (kind !== "row") context.strokeRect(at(second) * cell - 1, 0, cell + 2, side);
    }
  };
  let cursor = view.select?.[0] === "cell" ? view.select.slice(1).map((name) => order.indexOf(data.genres.indexOf(name))) : [0, 0];
  const read = ([y, x]) => {
    const [truth, guess] = [order[y], order[x]];
    said.textContent = `${data.genres[truth]} predicted as ${data.genres[guess]}: ${counted(share(truth, guess, "count"), data.noun(view.level))}`
      + (view.run === "difference" ? "" : `, ${percent(share(truth, guess, "row"), 1)} of ${data.genres[truth]}`);
  };
  const choose = ([y, x]) => select(["cell", data.genres[order[y]], data.genres[order[x]]]);
  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const place = [event.clientY - box.top, event.clientX - box.left].map((value, axis) =>
      Math.min(count - 1, Math.max(0, Math.floor(value / [box.height, box.width][axis] * count))));
    // cells may be two pixels wide: take the largest within reach
    const reach = Math.ceil(4 * count / box.width) - 1;
    let best = place;
    for (let y = Math.max(0, place[0] - reach); y <= Math.min(count - 1, place[0] + reach); y += 1) {
      for (let x = Math.max(0, place[1] - reach); x <= Math.min(count - 1, place[1] + reach); x += 1) {
        if (Math.abs(values[y][x]) > Math.abs(values[best[0]][best[1]])) best = [y, x];
      }
    }
    return best;
  };
  const move = (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === "Enter") choose(cursor);
    else if (step === undefined) return;
    else {
      cursor = cursor.map((place, axis) => Math.min(count - 1, Math.max(0, place + step[axis])));
      read(cursor);
    }
    event.preventDefault();
  };
  const frame = h("div", {
    class: "gx-canvas", role: "application", tabindex: 0, "data-key": "picture",
    "aria-label": `The whole confusion matrix of ${count} ${plural(data.words.genre)}: arrow keys read a cell, Enter chooses it`,
    onkeydown: move, onpointermove: (event) => read(under(event)), onclick: (event) => choose(under(event)),
  }, canvas);
  requestAnimationFrame(draw); // when its colour scheme is known
  return h("div", { class: "gx-whole" }, frame, said);
}
