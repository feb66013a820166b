// Elements, numbers as text, and the view: what is shown, as stored in the URL.

const SVG = "http://www.w3.org/2000/svg";

// Names of tracks, artists and genres are untrusted: they become text and attributes, never markup.
function h(tag, props = {}, ...children) {
  const node = tag.startsWith("svg:")
    ? document.createElementNS(SVG, tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) node.style.setProperty(key, text);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const PARTS = 100000; // probabilities are integers in 1/PARTS; see levels.py

// An undefined value is a dash, such as the precision of a genre that was never predicted.
const percent = (share, digits = 0) => (share === null ? "–" : `${(100 * share).toFixed(digits)} %`);
const quotient = (part, of) => (of > 0 ? part / of : null);
const signed = (share) => `${share < 0 ? "−" : "+"}${Math.abs(100 * share).toFixed(1)} %`;
const plural = (noun) => (/(s|x|ch|sh)$/.test(noun) ? `${noun}es` : /[^aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`);
const inEnglish = new Intl.NumberFormat("en"); // toLocaleString makes one for every number
const counted = (count, noun) => `${inEnglish.format(count)} ${count === 1 ? noun : plural(noun)}`;
// Minutes and seconds, with a decimal where the second is not whole.
const clock = (seconds) => {
  const tenths = Math.round(10 * seconds);
  const rest = tenths % 600;
  return `${Math.floor(tenths / 600)}:${String(Math.floor(rest / 10)).padStart(2, "0")}${rest % 10 ? `.${rest % 10}` : ""}`;
};
const interval = (value, words, text = (share) => percent(share, 1)) => (value.no_interval
  ? `no interval: ${value.no_interval.replace(` ${value.resampled_by}`, ` ${words[value.resampled_by]}`)}`
  : `95 % interval [${text(value.low)}, ${text(value.high)}], over ${counted(value.clusters, words[value.resampled_by])}`);

const CHOICES = {
  run: { a: "A", b: "B", difference: "B − A" },
  level: { segment: "segments", track: "tracks" },
  probability: { calibrated: "calibrated", raw: "raw" },
  show: { count: "count", row: "row %", column: "column %", all: "all %" },
  order: { similarity: "similarity", alphabet: "alphabet" },
  diagonal: { shown: "show", hidden: "hide" },
  tab: { clips: "Clips", map: "Map", genre: "One genre", trust: "Reliability", runs: "Two runs", doubts: "Doubts" },
  sort: { wrong: "", unsure: "", sure: "", name: "" },
  classes: { 12: "12", 24: "24", 48: "48" },
};
const DEFAULTS = {
  run: "a", level: "segment", probability: "calibrated", show: "row", order: "similarity", tab: "clips",
  diagonal: "shown", select: null, pin: null, genre: null, threshold: null, search: "", filter: [], sort: "wrong",
  classes: "12",
};
const ARGUMENTS = { cell: 2, row: 1, column: 1, change: 1, all: 0, one: 1 }; // of a selection: genres, one of CHANGES, a track
const CHANGES = {
  won: "wrong in A, right in B", lost: "right in A, wrong in B",
  both: "right in both", neither: "wrong in both",
};

// The chosen run, or A and B; where only one can be shown, it is the last, B.
const shownRuns = (view, data) => (view.run === "difference" ? data.runs : [data.runs[view.run === "b" ? 1 : 0]]);

const sameSelection = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// The view that a link or Python asks for, and the parts of it that are not available.
function checked(asked, data) {
  const view = { ...DEFAULTS };
  const refused = [];
  for (const [name, value] of Object.entries(asked)) {
    if (!Object.hasOwn(DEFAULTS, name)) refused.push(name);
    else if (name === "search") view.search = String(value);
    else if (name === "filter") {
      if (Array.isArray(value) && value.every((one) => Array.isArray(one) && one.length === 2)) view.filter = value.map((one) => one.map(String));
      else refused.push(name);
    } else if (name === "threshold") {
      if (value === null) view.threshold = null;
      else if (Number(value) >= 0 && Number(value) <= 1) view.threshold = Number(value);
      else refused.push(name);
    } else if (name === "genre") {
      if (value === null || data.genres.includes(value)) view.genre = value;
      else refused.push(value);
    } else if (name === "select" || name === "pin") {
      if (value === null || known(value, data)) view[name] = value;
      else refused.push([value].flat().join(", "));
    } else if (Object.hasOwn(CHOICES[name], value) && available(name, value, data)) {
      view[name] = value;
    } else refused.push(`${name} ${value}`);
  }
  if (!data.levels.includes(view.level)) view.level = data.levels[0];
  return { view, refused };
}

// Whether this page has what a view asks for: two runs, probabilities, a map, tracks of several segments.
function available(name, value, data) {
  const level = data.levels[0];
  const has = data.runs.some((run) => run[level].raw !== null);
  if (name === "run") return data.runs.length === 2 || value === "a";
  if (name === "level") return data.levels.includes(value);
  if (name !== "tab") return true;
  return { runs: data.runs.length === 2, map: data.map !== null, genre: has, trust: has }[value] ?? true;
}

function known(selection, data) {
  if (!Array.isArray(selection)) return false;
  const [kind, ...names] = selection;
  if (!Object.hasOwn(ARGUMENTS, kind) || names.length !== ARGUMENTS[kind]) return false;
  if (kind === "change") return data.runs.length === 2 && Object.hasOwn(CHANGES, names[0]);
  if (kind === "one") return data.tracks.slice(0, data.tested).some((track) => track.id === names[0]);
  return names.every((name) => data.genres.includes(name));
}

function toQuery(view) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(view)) {
    if (value === null || value === DEFAULTS[name] || (Array.isArray(value) && value.length === 0)) continue;
    query.set(name, Array.isArray(value) ? JSON.stringify(value) : value);
  }
  return query.toString();
}

function fromQuery(text) {
  const view = {};
  for (const [name, value] of new URLSearchParams(text)) {
    try {
      view[name] = ["select", "pin", "filter"].includes(name) ? JSON.parse(value) : value;
    } catch {
      view[name] = value; // checked() refuses and reports it
    }
  }
  return view;
}
