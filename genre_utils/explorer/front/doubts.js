// Doubted labels: kept by the browser or the notebook, saved as CSV.

function doubtList(data, source, changed) {
  const found = source.doubts(data.key);
  const notes = new Map(Object.entries(found !== null && typeof found === "object" ? found : {}));
  let kept = true;
  const keep = () => {
    kept = source.keepDoubts(data.key, Object.fromEntries(notes));
    changed();
  };
  return {
    has: (id) => notes.has(id),
    note: (id) => notes.get(id) ?? "",
    size: () => notes.size,
    toggle: (id) => {
      if (!notes.delete(id)) notes.set(id, "");
      keep();
    },
    write: (id, note) => {
      notes.set(id, note);
      keep();
    },
    clear: () => {
      notes.clear();
      keep();
    },
    kept: () => kept,
    entries: () => [...notes],
    csv: () => {
      const genre = new Map(data.tracks.map((track) => [track.id, data.genres[track.genre]]));
      return asCsv([["track_id", "genre", "note"], ...[...notes].map(([id, note]) => [id, genre.get(id), note])]);
    },
  };
}

// The button and the note of a card. `data-doubt` lets a key find it.
function doubtControls(id, doubts) {
  const note = h("input", {
    type: "text", class: "gx-note", placeholder: "why, or the right label", "aria-label": `Note on the label of ${id}`,
    value: doubts.note(id), onchange: (event) => doubts.write(id, event.target.value),
  });
  const button = h("button", { type: "button", "data-doubt": "", onclick: () => doubts.toggle(id) });
  const sync = () => {
    const doubted = doubts.has(id);
    button.textContent = doubted ? "Label doubted ✓" : "Doubt the label";
    button.setAttribute("aria-pressed", String(doubted));
    note.hidden = !doubted;
    if (document.activeElement !== note) note.value = doubts.note(id);
  };
  sync();
  return { node: h("p", { class: "gx-actions gx-doubt" }, button, note), sync };
}
