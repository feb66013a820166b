// The map: tracks with similar probabilities near to each other.

function mapView(view, data, select) {
  const [width, height, edge] = [560, 460, 14];
  const canvas = h("canvas", { width: 2 * width, height: 2 * height, class: "gx-map" });
  const { x, y } = data.map;
  const [mostX, mostY] = [Math.max(...x.map((value) => value)), Math.max(...y.map((value) => value))].map((value) => value || 1);
  const scale = Math.min((width - 2 * edge) / mostX, (height - 2 * edge) / mostY);
  const at = (number) => [
    edge + (width - 2 * edge - scale * mostX) / 2 + scale * x[number], edge + (height - 2 * edge - scale * mostY) / 2 + scale * (mostY - y[number]),
  ];
  const { predicted } = shownRuns(view, data).at(-1).segment;
  const wrong = data.tracks.slice(0, data.tested).map((track, number) =>
    data.rowsOfTrack[number].filter((row) => predicted[row] !== track.genre).length / data.rowsOfTrack[number].length);
  const chosenTracks = new Set(rowsOf(view.select, view, data).map((row) => trackOf(row, view.level, data)));
  const placed = (number) => x[number] !== null;
  const draw = () => {
    const style = getComputedStyle(canvas);
    const dark = style.colorScheme.includes("dark");
    const context = canvas.getContext("2d");
    context.setTransform(2, 0, 0, 2, 0, 0);
    context.clearRect(0, 0, width, height);
    const size = x.length > 5000 ? 1.5 : x.length > 500 ? 2.5 : 4;
    const dot = (number, radius, ring) => {
      if (!placed(number)) return;
      const [left, top] = at(number);
      context.beginPath();
      context.arc(left, top, radius, 0, 7);
      const hue = wrong[number] >= 0.5 ? HUES.wrong : HUES.right;
      context.fillStyle = `rgb(${hue.join(" ")} / ${ring ? 1 : 0.55})`;
      context.fill();
      if (ring) {
        context.strokeStyle = dark ? "#fff" : "#000";
        context.lineWidth = 1.5;
        context.stroke();
      }
    };
    wrong.forEach((_, number) => chosenTracks.has(number) || dot(number, size, false));
    chosenTracks.forEach((number) => dot(number, size + 1.5, true));
    if (data.genres.length > MANY) return;
    context.font = "600 13px system-ui, sans-serif";
    context.textAlign = "center";
    data.genres.forEach((genre, index) => {
      const own = wrong.map((_, number) => number).filter((number) => placed(number) && data.tracks[number].genre === index);
      if (own.length === 0) return;
      const [left, top] = [0, 1].map((axis) => own.map((number) => at(number)[axis]).sort((a, b) => a - b)[own.length >> 1]);
      context.lineWidth = 4;
      context.strokeStyle = dark ? "#202226" : "#fff";
      const label = genre.length > 28 ? `${genre.slice(0, 27)}…` : genre;
      context.strokeText(label, left, top);
      context.fillStyle = dark ? "#eceef2" : "#16181d";
      context.fillText(label, left, top);
    });
  };
  const said = h("p", { class: "gx-soft gx-reading", "aria-live": "polite" }, "Point at a dot to read it, click to hear it.");
  const near = (event) => {
    const box = canvas.getBoundingClientRect();
    const [left, top] = [(event.clientX - box.left) / box.width * width, (event.clientY - box.top) / box.height * height];
    const away = wrong.map((_, number) => (placed(number) ? Math.hypot(at(number)[0] - left, at(number)[1] - top) : Infinity));
    return away.reduce((best, value, number) => (value < away[best] ? number : best), 0);
  };
  const read = (event) => {
    const track = data.tracks[near(event)];
    said.textContent = `${track.id}, ${data.genres[track.genre]}${track.artist && `, ${track.artist}`}`;
  };
  canvas.addEventListener("pointermove", read);
  canvas.addEventListener("click", (event) => select(["one", data.tracks[near(event)].id]));
  const list = h("select", {
    "data-key": "map", "aria-label": `Choose a ${data.words.track}`, onchange: (event) => select(["one", event.target.value]),
  }, h("option", { value: "" }, `choose a ${data.words.track}`));
  list.addEventListener("focus", () => list.append(...data.tracks.slice(0, Math.min(data.tested, 2000)).map((track) => h("option", {}, track.id))), { once: true });
  requestAnimationFrame(draw);
  return [h("h3", {}, `A map of the ${plural(data.words.track)}`), h("p", {}, data.map.text),
    h("p", { class: "gx-legend" }, h("span", { class: "gx-dot gx-dot-right" }), "right ", h("span", { class: "gx-dot gx-dot-wrong" }),
      data.levels.length > 1 ? `wrong, half of its ${plural(data.words.segment)} or more; ` : "wrong; ", "with a ring: chosen in the matrix"),
    canvas, said, h("p", { class: "gx-actions" }, list)];
}
