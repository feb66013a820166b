// Many classes: a picture of the whole matrix, the largest confusions, and the cells around the chosen one.

const MANY = 24; // classes; with more, the numbers in the cells could not be read
const LISTED = 15; // confusions beside the picture
const PAUSE_MS = 80; // between the choice of a cell and the cells around it

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
  const own = [...new Set([first, second])].map((name) => data.genres.indexOf(name));
  const { counts } = shownRuns(view, data).at(-1)[view.level];
  const mixed = data.genres.map((_, other) => own.reduce((sum, one) => sum + counts[one][other] + counts[other][one], 0));
  const ranked = [...data.genres.keys()].filter((one) => !own.includes(one)).sort((one, other) => mixed[other] - mixed[one]);
  const kept = new Set([...own, ...ranked].slice(0, Math.max(Number(view.classes), 2)));
  return inOrder(view, data).filter((one) => kept.has(one));
}

// What stays as long as the matrix does; `update` follows the choice of a cell.
function overview(view, data, select, show) {
  const nouns = plural(data.words.genre);
  const list = confusions(view, data);
  const wrong = list.reduce((sum, [count]) => sum + count, 0);
  const whole = picture(view, data, select);
  const lens = h("div", {});
  const entries = list.slice(0, LISTED).map(([count, truth, guess]) => {
    const cell = ["cell", data.genres[truth], data.genres[guess]];
    return [cell, h("button", { type: "button", onclick: () => select(cell) },
      h("b", {}, inEnglish.format(count)), ` ${cell[1]} → ${cell[2]}`)];
  });
  const search = h("input", {
    type: "search", list: `gx-classes-${counter += 1}`, placeholder: `find one of ${data.genres.length} ${nouns}`,
    "aria-label": `Find a ${data.words.genre}`,
    onchange: (event) => data.genres.includes(event.target.value) && select(["row", event.target.value]),
  });
  const size = h("select", { onchange: (event) => show({ classes: event.target.value }) },
    Object.keys(CHOICES.classes).filter((count) => count < data.genres.length).map((count) => h("option", { value: count }, count)));
  let shown = [];
  let wide = "";
  let waits = null;
  const update = (now, drawn) => {
    whole.update(now);
    for (const [cell, button] of entries) button.setAttribute("aria-pressed", String(sameSelection(now.select, cell)));
    size.value = now.classes;
    const names = new Set(shown.map((genre) => data.genres[genre]));
    const inside = ["cell", "row", "column"].includes(now.select[0]) ? now.select.slice(1).every((name) => names.has(name)) : shown.length > 0;
    if (inside && now.classes === wide) return; // cells must not move under the pointer
    clearTimeout(waits); // the clips come first, and quick choices draw the cells once
    if (shown.length === 0) magnify(now);
    else waits = setTimeout(() => {
      magnify(now);
      drawn(now);
    }, PAUSE_MS);
  };
  const magnify = (now) => {
    shown = around(now.select, now, data);
    wide = now.classes;
    const focused = lens.contains(document.activeElement) ? document.activeElement.dataset.selection : null;
    lens.replaceChildren(...matrix(now, data, select, shown));
    if (focused !== null) [...lens.querySelectorAll("button")].find((one) => one.dataset.selection === focused)?.focus({ preventScroll: true });
  };
  return {
    update,
    nodes: [
      h("div", { class: "gx-overview" }, whole.node,
        h("div", { class: "gx-confusions" }, h("h3", {}, "Largest confusions"),
          list.length === 0 ? h("p", {}, "Everything is right.") : h("ol", {}, entries.map(([, button]) => h("li", {}, button))),
          list.length > LISTED && h("p", { class: "gx-soft" }, `These are ${percent(list.slice(0, LISTED).reduce((sum, [count]) => sum + count, 0) / wrong)} `
            + `of ${inEnglish.format(wrong)} mistakes, which are in ${inEnglish.format(list.length)} cells.`))),
      h("p", { class: "gx-actions" }, search,
        h("datalist", { id: search.getAttribute("list") }, [...data.genres].sort().map((genre) => h("option", { value: genre }))),
        h("label", {}, "Cells of ", size, ` ${nouns} around the chosen one`)),
      lens,
    ],
  };
}

// The whole matrix as a canvas: the pointer reads and chooses a cell, arrow keys and Enter do the same.
function picture(view, data, select) {
  const share = cellValues(view, data);
  const every = inOrder(view, data);
  const wrong = (genre) => every.some((other) => other !== genre && (share(genre, other, "count") || share(other, genre, "count")));
  const kept = view.diagonal === "hidden" ? every.filter(wrong) : every; // without what is right, classes that are all right
  const order = kept.length > 1 ? kept : every;
  const count = order.length;
  const left = every.length - count;
  const cell = Math.max(2, Math.floor(600 / count));
  const side = cell * count;
  const canvas = h("canvas", { width: side, height: side });
  const said = h("p", { class: "gx-soft gx-reading", "aria-live": "polite" }, "true ↓ predicted →: point at a cell to read it, click to hear it"
    + (left > 0 ? `; ${counted(left, data.words.genre)} without a mistake left out` : ""));
  const values = order.map((row) => order.map((column) => (view.diagonal === "hidden" && row === column ? 0 : share(row, column) ?? 0)));
  const most = Math.max(...values.map((row) => Math.max(...row.map(Math.abs))), 1e-9);
  let base = null; // the matrix without the chosen cell
  const paint = (dark) => {
    base = h("canvas", { width: side, height: side });
    const context = base.getContext("2d");
    const surface = dark ? [32, 34, 38] : [255, 255, 255];
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
  };
  const place = new Map(order.map((genre, index) => [data.genres[genre], index]));
  let chosenCell = null;
  const draw = () => {
    const dark = getComputedStyle(canvas).colorScheme.includes("dark");
    if (base === null) paint(dark);
    const context = canvas.getContext("2d");
    context.drawImage(base, 0, 0);
    if (!["cell", "row", "column"].includes(chosenCell?.[0])) return;
    const [kind, first, second = first] = chosenCell;
    context.strokeStyle = dark ? "#fff" : "#000";
    context.lineWidth = 1.5;
    if (kind !== "column") context.strokeRect(0, place.get(first) * cell - 1, side, cell + 2);
    if (kind !== "row") context.strokeRect(place.get(second) * cell - 1, 0, cell + 2, side);
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    base = null;
    draw();
  });
  let cursor = [0, 0];
  const read = ([y, x]) => {
    const [truth, guess] = [order[y], order[x]];
    said.textContent = `${data.genres[truth]} predicted as ${data.genres[guess]}: ${counted(share(truth, guess, "count"), data.words[view.level])}`
      + (view.run === "difference" ? "" : `, ${percent(share(truth, guess, "row"), 1)} of ${data.genres[truth]}`);
  };
  const choose = ([y, x]) => select(["cell", data.genres[order[y]], data.genres[order[x]]]);
  // Cells may be two pixels wide: the largest one within a few pixels of the pointer.
  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const at = [event.clientY - box.top, event.clientX - box.left].map((value, axis) =>
      Math.min(count - 1, Math.max(0, Math.floor(value / [box.height, box.width][axis] * count))));
    const reach = Math.ceil(4 * count / box.width) - 1;
    let best = at;
    for (let y = Math.max(0, at[0] - reach); y <= Math.min(count - 1, at[0] + reach); y += 1) {
      for (let x = Math.max(0, at[1] - reach); x <= Math.min(count - 1, at[1] + reach); x += 1) {
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
      cursor = cursor.map((value, axis) => Math.min(count - 1, Math.max(0, value + step[axis])));
      read(cursor);
    }
    event.preventDefault();
  };
  const frame = h("div", {
    class: "gx-canvas", role: "application", tabindex: 0,
    "aria-label": `The whole confusion matrix of ${count} ${plural(data.words.genre)}: arrow keys read a cell, Enter chooses it`,
    onkeydown: move, onpointermove: (event) => read(under(event)), onclick: (event) => choose(under(event)),
  }, canvas);
  return {
    node: h("div", { class: "gx-whole" }, frame, said),
    update: (now) => {
      chosenCell = now.select;
      if (chosenCell?.[0] === "cell") cursor = chosenCell.slice(1).map((name) => place.get(name) ?? 0);
      requestAnimationFrame(draw); // when its colour scheme is known
    },
  };
}
