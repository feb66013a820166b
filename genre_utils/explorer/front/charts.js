// Colours of the matrix, and the two line charts.

const HUES = { right: [0, 114, 178], wrong: [213, 94, 0] }; // Okabe and Ito's blue and vermillion

// A cell's colour between the surface and its hue, and black or white text, whichever stands out more; for a light
// and a dark surface, of which the style sheet's color-scheme chooses.
function shade(share, hue) {
  const strength = Math.min(1, share) ** 0.8;
  const [light, dark] = [[255, 255, 255], [32, 34, 38]].map((surface) => {
    const mixed = surface.map((value, index) => Math.round(value + (HUES[hue][index] - value) * strength));
    const linear = mixed.map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    const white = 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05;
    return { colour: `rgb(${mixed.join(" ")})`, text: white ? "#fff" : "#000" };
  });
  return {
    "background-color": `light-dark(${light.colour}, ${dark.colour})`, color: `light-dark(${light.text}, ${dark.text})`,
  };
}

// A chart with axes from 0 to 1, or to `most` along x; `draw` gets functions that turn a share into x and y.
function chart(label, xLabel, yLabel, draw, most = 1) {
  const [width, height, left, right, top, bottom] = [420, 300, 64, 26, 10, 46];
  const x = (share) => left + share / most * (width - left - right);
  const y = (share) => height - bottom - share * (height - top - bottom);
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  const text = (props, content) => h("svg:text", { class: "gx-tick", ...props }, content);
  return h("svg:svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "gx-chart" },
    ticks.map((tick) => [
      h("svg:line", { class: "gx-grid", x1: x(tick * most), x2: x(tick * most), y1: y(0), y2: y(1) }),
      h("svg:line", { class: "gx-grid", x1: x(0), x2: x(most), y1: y(tick), y2: y(tick) }),
      text({ x: x(tick * most), y: y(0) + 18, "text-anchor": "middle" }, percent(tick * most, digits(most))),
      text({ x: x(0) - 6, y: y(tick) + 4, "text-anchor": "end" }, percent(tick)),
    ]),
    text({ x: x(most / 2), y: height - 6, "text-anchor": "middle" }, xLabel),
    text({ x: 12, y: y(0.5), "text-anchor": "middle", transform: `rotate(-90 12 ${y(0.5)})` }, yLabel),
    draw(x, y));
}

// A line through the points that are defined.
function curve(values, at, x, y, name) {
  let path = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const begins = index === 0 || values[index - 1] === null;
    path += `${begins ? "M" : "L"}${x(at(index)).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  return h("svg:path", { class: `gx-line gx-${name}`, d: path });
}

const STEPS = 100; // of a threshold, from 0 to the end of its axis, as in levels.py
const digits = (most) => (most === 1 ? 0 : most < 0.1 ? 2 : 1);

// For each threshold on a genre's probability: how many rows are predicted as the genre, their precision and recall.
function thresholds({ most, top, predicted, hits }) {
  const start = most === 1 ? 0.5 : Math.round(top / 2 / most * STEPS) / STEPS * most; // a threshold that some rows reach
  return {
    most, top, start, predicted,
    precision: hits.map((count, at) => quotient(count, predicted[at])),
    recall: hits.map((count) => quotient(count, hits[0])),
  };
}

function thresholdChart({ precision, recall, most }, threshold, genre, what) {
  const at = (index) => index * most / STEPS;
  const label = `Precision and recall of ${genre} against the threshold`;
  return chart(label, `threshold on the ${what}`, "precision, recall", (x, y) => [
    curve(precision, at, x, y, "precision"),
    curve(recall, at, x, y, "recall"),
    h("svg:line", { class: "gx-now", x1: x(threshold), x2: x(threshold), y1: y(0), y2: y(1) }),
  ], most);
}

function reliabilityChart(bins, noun, genre) {
  const most = Math.max(...bins.n);
  const label = `Accuracy of ${plural(noun)} by the mean probability of the predicted ${genre}`;
  const tall = (n) => 0.2 * n / most;
  return chart(label, `mean probability of the predicted ${genre}`, `accuracy of ${plural(noun)}`, (x, y) => [
    bins.n.map((n, index) => h("svg:rect", {
      class: "gx-bar", x: x(bins.low[index]) + 1, width: x(bins.high[index]) - x(bins.low[index]) - 2,
      y: y(tall(n)), height: y(0) - y(tall(n)),
    })),
    h("svg:line", { class: "gx-ideal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
    bins.n.map((n, index) => n > 0 && h("svg:line", {
      class: "gx-gap", x1: x(bins.confidence[index]), x2: x(bins.confidence[index]),
      y1: y(bins.confidence[index]), y2: y(bins.accuracy[index]),
    })),
    bins.n.map((n, index) => n > 0 && h("svg:circle", {
      class: "gx-point", cx: x(bins.confidence[index]), cy: y(bins.accuracy[index]), r: 5,
    }, h("svg:title", {}, `${counted(n, noun)}: mean probability ${percent(bins.confidence[index])}, accuracy ${percent(bins.accuracy[index])}`))),
    bins.n.map((n, index) => n > 0 && h("svg:text", {
      class: "gx-count", x: x((bins.low[index] + bins.high[index]) / 2), y: y(tall(n)) - 3, "text-anchor": "middle",
    }, inEnglish.format(n))),
  ]);
}
