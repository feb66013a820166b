// Clips: a card for each track of a selection, with sound, spectrogram and prediction.

const AT_ONCE = 10; // cards: with twenty, a click took a tenth of a second

// A list of cards, ten at a time; the segments of a track share a card.
function clipList(rows, view, data, source, doubts) {
  const groups = new Map();
  for (const row of rows) {
    const number = trackOf(row, view.level, data);
    if (!groups.has(number)) groups.set(number, []);
    groups.get(number).push(row);
  }
  const wanted = [...groups];
  const cards = [];
  const list = h("ol", { class: "gx-clips" });
  const more = h("button", { type: "button", class: "gx-more", onclick: () => grow(true) });
  const grow = (focus) => {
    const from = cards.length;
    for (const [number, of] of wanted.slice(from, from + AT_ONCE)) {
      cards.push(card(number, of, view, data, source, doubts));
      list.append(cards.at(-1).node);
    }
    const left = wanted.length - cards.length;
    more.hidden = left === 0;
    more.textContent = `Show ${Math.min(left, AT_ONCE)} more of ${inEnglish.format(left)}`;
    if (focus) cards[from].head.focus();
  };
  grow(false);
  let current = -1;
  const at = (place) => {
    while (place >= cards.length && cards.length < wanted.length) grow(false);
    return cards[place];
  };
  const become = (place) => {
    cards[current]?.node.classList.remove("gx-current");
    current = place;
    at(place).node.classList.add("gx-current");
  };
  const mark = (place) => {
    become(place);
    at(place).node.scrollIntoView({ block: "nearest" });
  };
  list.addEventListener("focusin", (event) => {
    const place = cards.findIndex((one) => one.node.contains(event.target));
    if (place >= 0) become(place);
  });
  return {
    nodes: [list, more], length: () => wanted.length, card: at, mark,
    current: () => cards[current],
    step: (by) => {
      const place = Math.max(0, Math.min(wanted.length - 1, current + by));
      if (wanted.length === 0) return null;
      mark(place);
      at(place).head.focus({ preventScroll: true });
      return at(place);
    },
    syncDoubts: () => cards.forEach((one) => one.doubt.sync()),
  };
}

function card(number, rows, view, data, source, doubts) {
  const segment = view.level === "segment";
  const track = data.tracks[number];
  const spans = segment ? rows.map((row) => data.span(row)).sort((one, other) => one[0] - other[0]) : [];
  const sound = listen(number, spans, view, data, source);
  const doubt = doubtControls(track.id, doubts);
  const several = data.rowsOfTrack[number].length > 1;
  const where = segment && several && (rows.length === 1
    ? ` ${spans[0].map(clock).join(" to ")}` : ` ${rows.length} of ${counted(data.rowsOfTrack[number].length, data.words.segment)}`);
  const head = h("h4", { tabindex: -1 }, track.id, where && h("span", { class: "gx-soft" }, where));
  const node = h("li", { class: "gx-clip" },
    head,
    credits(track, data),
    badges(track),
    data.runs.map((run, index) => prediction(run, index, rows, track, view, data)),
    columnsOf(rows[0], view, data),
    data.heard && sound.node,
    doubt.node);
  return { ...sound, node, head, doubt };
}

// Who made it, and under which licence.
function credits(track, data) {
  const artist = track.artist && data.words.artist !== "artist" ? `${data.words.artist}: ${track.artist}` : track.artist;
  const by = [artist, track.title].filter((text) => text !== "").join(" – ");
  return [by !== "" && h("p", { class: "gx-by" }, by),
    track.licence !== "" && h("p", { class: "gx-by" }, linked(track.licence, data.links[track.licence]))];
}

const linked = (text, address) => (address ? h("a", { href: address }, text) : text);

function badges(track) {
  const items = track.badges.map((badge) => h("li", {}, h("strong", {}, badge.kind), badge.text !== "" && `: ${badge.text}`));
  const list = (some) => h("ul", { class: "gx-badges" }, some);
  const rest = items.slice(4);
  return items.length > 0 && [list(items.slice(0, 4)), rest.length > 0 && h("details", {},
    h("summary", { class: "gx-soft" }, counted(rest.length, "more note")), list(rest))];
}

// The table's other columns, of the card's first row.
function columnsOf(row, view, data) {
  if (data.columns.length === 0) return null;
  const first = view.level === "segment" ? row : data.rowsOfTrack[row][0];
  const known = data.columns.map((column) => [column.name, column.value(first)]).filter(([, value]) => value !== "" && value !== null);
  const text = (some) => h("p", { class: "gx-soft gx-extras" }, some.map(([name, value], index) =>
    [index > 0 && " · ", `${name}: `, h("span", {}, typeof value === "number" ? String(+value.toPrecision(6)) : value)]));
  const first8 = known.slice(0, 8);
  return [first8.length > 0 && text(first8), known.length > 8 && h("details", {},
    h("summary", { class: "gx-soft" }, `${known.length - 8} more columns`), text(known.slice(8)))];
}

// The prediction of one run: true and predicted genre, and the three most probable genres of the first of some rows.
function prediction(run, index, rows, track, view, data) {
  const level = run[view.level];
  const { predicted } = level;
  const results = chosen(level, view);
  const row = rows[0];
  const right = predicted[row] === track.genre;
  const ofMany = rows.length > 1 && results !== null ? `, ${data.span(row).map(clock).join(" to ")}` : "";
  return h("div", { class: "gx-prediction" },
    h("p", {}, data.runs.length === 2 && h("strong", {}, `${"AB"[index]}: `),
      "true ", h("strong", {}, data.genres[track.genre]), ", predicted ", h("strong", {}, data.genres[predicted[row]]),
      h("span", { class: right ? "gx-ok" : "gx-no" }, right ? " ✓ right" : " ✗ wrong")),
    results !== null && [h("p", { class: "gx-soft gx-kind" }, `${probability(level, view)}${ofMany}`),
      h("ul", { class: "gx-top" }, mostProbable(results, row, 3).map(([genre, parts]) => h("li", {},
        h("span", {}, data.genres[genre]),
        h("span", { class: "gx-meter" }, h("span", {
          class: genre === track.genre ? "gx-of-true" : "gx-of-other", style: { width: `${100 * parts / PARTS}%` },
        })),
        h("span", {}, percent(parts / PARTS, 1)))))]);
}

// Clips of training and validation, to compare with.
function references(selection, view, data, source) {
  const wanted = [...new Set(selection.slice(1).map((name) => data.genres.indexOf(name)))].filter((genre) => genre >= 0);
  const found = wanted.flatMap((genre) => data.references.filter((number) => data.tracks[number].genre === genre));
  if (found.length === 0) return null;
  const list = h("ol", { class: "gx-clips" });
  const grow = () => {
    if (list.children.length > 0) return;
    list.append(...found.map((number) => {
      const track = data.tracks[number];
      return h("li", { class: "gx-clip" },
        h("h4", {}, track.id, h("span", { class: "gx-soft" }, ` ${data.genres[track.genre]}, ${track.split}`)),
        credits(track, data), badges(track),
        listen(number, [], { ...view, level: "track" }, data, source).node);
    }));
  };
  const names = wanted.filter((genre) => data.references.some((number) => data.tracks[number].genre === genre)).map((genre) => data.genres[genre]);
  return h("details", { class: "gx-references", ontoggle: grow },
    h("summary", {}, `Compare with ${counted(found.length, data.words.track)} of training and validation: ${names.join(", ")}`), list);
}

// Search, filters and order of the clips.
function filterBar(view, data, show, found) {
  const columns = Object.keys(filterable(view, data));
  const noun = data.words[view.level];
  const name = h("select", { "aria-label": "Filter by", "data-key": "filter-by" }, columns.map((column) => h("option", {}, column)));
  const value = h("input", { type: "text", list: `gx-values-${counter += 1}`, "aria-label": "Value", placeholder: "value", "data-key": "filter-value" });
  const values = h("datalist", { id: value.getAttribute("list") });
  const suggest = () => {
    const get = filterable(view, data)[name.value];
    const seen = new Set();
    let numeric = false;
    for (const row of unfiltered(view.select ?? ["all"], view, data)) {
      const one = get(row);
      if (typeof one === "number") numeric = true;
      else [one].flat().forEach((text) => seen.add(text));
      if (numeric || seen.size > 200) break;
    }
    value.placeholder = numeric ? "> 80, < 20 or 20 to 50" : "part of the text";
    values.replaceChildren(...(numeric ? [] : [...seen].sort()).slice(0, 200).map((text) => h("option", { value: text })));
  };
  name.addEventListener("change", suggest);
  value.addEventListener("focus", suggest, { once: true });
  const add = (event) => {
    event.preventDefault();
    if (value.value.trim() !== "") show({ filter: [...view.filter, [name.value, value.value.trim()]] });
  };
  const search = h("input", {
    type: "search", value: view.search, placeholder: "search names", "aria-label": "Search the clips", "data-key": "search", "data-search": "",
    onchange: (event) => show({ search: event.target.value }),
  });
  return h("details", { class: "gx-filters", open: view.search !== "" || view.filter.length > 0 || view.sort !== "wrong" },
    h("summary", {}, "Search, filter, sort", (view.filter.length > 0 || view.search !== "") && `: ${inEnglish.format(found)} of ${counted(unfiltered(view.select, view, data).length, noun)}`),
    h("div", { class: "gx-actions" }, search,
      h("label", {}, "Order ", h("select", { "data-key": "sort", onchange: (event) => show({ sort: event.target.value }) },
        Object.entries(SORTS).filter(([key]) => key === "name" || key === "wrong" || sureness(view, data)(0) !== null)
          .map(([key, text]) => h("option", { value: key, selected: key === view.sort }, text))))),
    h("form", { class: "gx-actions", onsubmit: add }, name, value, values, h("button", { type: "submit" }, "Add filter")),
    view.filter.length > 0 && h("ul", { class: "gx-chips" }, view.filter.map(([column, wanted], index) =>
      h("li", {}, h("button", {
        type: "button", "aria-label": `Remove the filter ${column} ${wanted}`,
        onclick: () => show({ filter: view.filter.filter((_, place) => place !== index) }),
      }, `${column}: ${wanted} ✕`)))));
}
