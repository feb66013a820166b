// The data of the page: prepared once, then asked for rows, probabilities and orders.

// Adds what is looked up often: truths by level, rows of each track, words of the data set.
function prepared(data) {
  const { id, genre, artist, title, licence, seconds, begins, split, badges } = data.tracks;
  data.tracks = id.map((name, number) => ({
    id: name, genre: genre[number], artist: artist[number], title: title[number], licence: licence[number], seconds: seconds[number], begins: begins[number],
    split: split[number], badges: badges[number] ?? [],
  }));
  const { track, start, end } = data.segments;
  data.rowsOfTrack = data.tracks.map(() => []);
  track.forEach((number, row) => data.rowsOfTrack[number].push(row));
  data.truths = { segment: Int32Array.from(track, (number) => genre[number]), track: Int32Array.from(genre.slice(0, data.tested)) };
  data.columns.forEach((column) => {
    column.value = column.numbers === undefined ? (row) => column.texts[column.codes[row]] : (row) => column.numbers[row];
  });
  data.span = (row) => [start[row], end[row] ?? data.tracks[track[row]].seconds]; // null where only the file knows
  data.references = data.tracks.map((_, number) => number).slice(data.tested);
  data.rowsOfTruth = Object.fromEntries(data.levels.map((level) => [level, grouped(data.truths[level], data.genres.length)]));
  data.has = { artist: artist.some(Boolean), licence: licence.some(Boolean), badges: Object.keys(badges).length > 0 };
  data.cache = new Map();
  return data;
}

// Row numbers by their value.
function grouped(values, count) {
  const found = Array.from({ length: count }, () => []);
  values.forEach((value, row) => found[value].push(row));
  return found;
}

// Calibrated or raw results, as chosen, if there are calibrated ones; null if there are no probabilities.
const chosen = (level, view) => (view.probability === "calibrated" && level.calibrated) || level.raw;
const probability = (level, view) => (level.calibrated === null ? "probability, not calibrated"
  : `${view.probability} probability`);

// The probability of a genre in 1/PARTS; null if it is not among the row's most probable ones.
function partsOf(results, row, genre) {
  const { count, genre: genres, p } = results.top;
  for (let at = row * count; at < (row + 1) * count; at += 1) if (genres[at] === genre) return p[at];
  return null;
}

// The most probable genres of a row: [[genre, parts], …].
function mostProbable(results, row, many) {
  const { count, genre, p } = results.top;
  return Array.from({ length: Math.min(count, many) }, (_, at) => [genre[row * count + at], p[row * count + at]]);
}

function change(row, truth, runs) {
  const [before, after] = runs.map((run) => run.predicted[row] === truth[row]);
  return before ? (after ? "both" : "lost") : (after ? "won" : "neither");
}

const trackOf = (row, level, data) => (level === "segment" ? data.segments.track[row] : row);

// How sure the shown run is of a row, in 1/PARTS; null without probabilities.
function sureness(view, data) {
  const level = shownRuns(view, data).at(-1)[view.level];
  const results = chosen(level, view);
  return results === null ? () => null : (row) => partsOf(results, row, level.predicted[row]);
}

// Rows (segments or tracks) of a selection that pass the filters, in the chosen order.
function rowsOf(selection, view, data) {
  if (selection === null) return [];
  const { run, level, probability: kind, search, filter, sort } = view;
  const key = JSON.stringify([selection, run, level, kind, search, filter, sort]);
  if (!data.cache.has(key)) {
    if (data.cache.size > 8) data.cache.clear();
    const passes = passing(view, data);
    const found = unfiltered(selection, view, data);
    data.cache.set(key, sorted(passes === null ? found : found.filter(passes), view, data));
  }
  return data.cache.get(key);
}

function unfiltered([kind, first, second], view, data) {
  const runs = data.runs.map((run) => run[view.level]);
  const { predicted } = shownRuns(view, data).at(-1)[view.level];
  const truth = data.truths[view.level];
  const [a, b] = [data.genres.indexOf(first), data.genres.indexOf(second)];
  const all = () => [...truth.keys()];
  const difference = view.run === "difference";
  return {
    cell: () => data.rowsOfTruth[view.level][a].filter((row) => (difference
      ? (runs[0].predicted[row] === b) !== (runs[1].predicted[row] === b) : predicted[row] === b)),
    row: () => [...data.rowsOfTruth[view.level][a]],
    column: () => all().filter((row) => (difference ? runs.some((run) => run.predicted[row] === a) : predicted[row] === a)),
    change: () => all().filter((row) => first === change(row, truth, runs)),
    all,
    one: () => all().filter((row) => data.tracks[trackOf(row, view.level, data)].id === first),
  }[kind]();
}

const SORTS = {
  wrong: "most confidently wrong first", unsure: "least sure first", sure: "surest first", name: "by name",
};

function sorted(rows, view, data) {
  const { predicted } = shownRuns(view, data).at(-1)[view.level];
  const truth = data.truths[view.level];
  const sure = sureness(view, data);
  const keys = new Map(rows.map((row) => [row, {
    wrong: () => sure(row) * (predicted[row] === truth[row] ? -1 : 1) + (sure(row) === null && predicted[row] !== truth[row]),
    unsure: () => -sure(row), sure: () => sure(row), name: () => 0,
  }[view.sort]()]));
  return rows.sort((one, other) => keys.get(other) - keys.get(one)); // stable: equal rows stay in the order of the names
}

// What can be filtered by: name, and the value of a row.
function filterable(view, data) {
  const { predicted } = shownRuns(view, data).at(-1)[view.level];
  const truth = data.truths[view.level];
  const track = (row) => data.tracks[trackOf(row, view.level, data)];
  const sure = sureness(view, data);
  const first = (row) => (view.level === "segment" ? row : data.rowsOfTrack[row][0]);
  return {
    ...(data.has.artist && { [data.words.artist]: (row) => track(row).artist }),
    ...(data.has.licence && { licence: (row) => track(row).licence }),
    ...(data.has.badges && { note: (row) => track(row).badges.map((badge) => badge.kind) }),
    result: (row) => (predicted[row] === truth[row] ? "right" : "wrong"),
    ...(sure(0) !== null && { "probability, %": (row) => sure(row) / PARTS * 100 }),
    ...Object.fromEntries(data.columns.map((column) => [column.name, (row) => column.value(first(row))])),
  };
}

// Whether a value passes: a text is part of it, or ">", "<", "=" and a number, or two numbers "20 to 50".
function matches(value, wanted) {
  if (Array.isArray(value)) return value.some((one) => matches(one, wanted));
  if (typeof value !== "number") return String(value ?? "").toLowerCase().includes(wanted.toLowerCase());
  const text = wanted.replaceAll(",", "."); // a decimal comma
  const range = text.match(/^\s*(-?[\d.]+)\s*to\s*(-?[\d.]+)\s*$/);
  if (range) return value >= Number(range[1]) && value <= Number(range[2]);
  const [, sign, number] = text.match(/^\s*(>=|<=|>|<|=)?\s*(-?[\d.]+)\s*$/) ?? [];
  if (number === undefined) return false;
  return { ">": value > number, "<": value < number, ">=": value >= number, "<=": value <= number }[sign] ?? value === Number(number);
}

function passing(view, data) {
  const texts = view.search.toLowerCase().split(/\s+/).filter(Boolean);
  const columns = filterable(view, data);
  const tests = view.filter.filter(([name]) => name in columns).map(([name, wanted]) => (row) => matches(columns[name](row), wanted));
  if (texts.length > 0) {
    const words = (row) => {
      const { id, artist, title, badges } = data.tracks[trackOf(row, view.level, data)];
      return [id, artist, title, ...badges.map((badge) => `${badge.kind} ${badge.text}`)].join(" ").toLowerCase();
    };
    tests.push((row) => texts.every((text) => words(row).includes(text)));
  }
  return tests.length === 0 ? null : (row) => tests.every((test) => test(row));
}

// Rows of the predictions table (always segments), which is what Python gets.
function segmentRows(rows, level, data) {
  return level === "segment" ? [...rows].sort((one, other) => one - other)
    : rows.flatMap((track) => data.rowsOfTrack[track]).sort((one, other) => one - other);
}

// The largest cell off the diagonal, or the largest on it if all is right: what is chosen at first.
function worst(view, data) {
  const { counts } = shownRuns(view, data).at(-1)[view.level];
  const cells = counts.flatMap((row, truth) => row.map((count, guess) => [truth === guess ? count / 1e9 : count, truth, guess]));
  const [, truth, guess] = cells.reduce((most, one) => (one[0] > most[0] ? one : most));
  return ["cell", data.genres[truth], data.genres[guess]];
}

const quoted = (value) => (typeof value === "number" ? String(value) : `"${String(value ?? "").replaceAll('"', '""')}"`);
const asCsv = (lines) => lines.map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";

function csv(rows, view, data) {
  const kind = (level) => (level.raw === null ? "none" : chosen(level, view) === level.raw ? "raw" : "calibrated");
  const segment = view.level === "segment";
  const has = data.runs.some((run) => run[view.level].raw !== null);
  const lines = [["run", "track_id", ...(segment ? ["segment", "start_seconds"] : []), "genre", "predicted",
    "probabilities", ...(has ? data.genres.map((genre) => `p_${genre}`) : []), "artist", "title", "licence",
    ...(segment ? data.columns.map((column) => column.name) : [])]];
  for (const run of shownRuns(view, data)) {
    const level = run[view.level];
    const results = chosen(level, view);
    for (const row of rows) {
      const track = data.tracks[trackOf(row, view.level, data)];
      const parts = has && data.genres.map((_, genre) => (results === null ? null : partsOf(results, row, genre)));
      lines.push([run.name, track.id, ...(segment ? [data.segments.number[row], track.begins + data.segments.start[row]] : []),
        data.genres[track.genre], data.genres[level.predicted[row]], kind(level),
        ...(has ? parts.map((value) => (value === null ? null : value / PARTS)) : []), track.artist, track.title, track.licence,
        ...(segment ? data.columns.map((column) => column.value(row)) : [])]);
    }
  }
  return asCsv(lines);
}

function download(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
