// The widget's own part: it requests data from the kernel, and sends the selection to it.
function render({ model, el }) {
  const ask = (what) => new Promise((resolve) => {
    const id = String(Math.random()); // several views of one widget receive each other's answers
    const listen = (content, buffers) => {
      if (content.id !== id) return;
      model.off("msg:custom", listen);
      resolve([content, buffers]);
    };
    model.on("msg:custom", listen);
    model.send({ id, ...what });
  });
  const root = h("div", {}, h("p", {}, "Waiting for the kernel. If you have opened a saved notebook, run this cell again."));
  el.append(root);
  const made = [];
  const requested = new Map();
  let ours = false;
  const address = (bytes, type) => made[made.push(URL.createObjectURL(new Blob([bytes], { type }))) - 1];
  const carried = ([content, buffers]) => (buffers.length === 0 ? content
    : { audio: address(buffers[0], "audio/ogg"), picture: address(buffers[1], "image/webp"), seconds: content.seconds });
  const end = start(root, {
    facts: async () => (await ask({ what: "facts" }))[0].facts,
    media: (track) => {
      if (!requested.has(track)) requested.set(track, ask({ what: "media", track }).then(carried)); // its segments share it
      return requested.get(track);
    },
    view: () => model.get("view"),
    remember: (view, rows) => {
      ours = true;
      model.set({ view, numbers: rows() });
      ours = false;
      model.save_changes();
    },
    onview: (listener) => {
      const changed = () => ours || listener(); // only for changes by Python's select()
      model.on("change:view", changed);
      return () => model.off("change:view", changed);
    },
    doubts: () => model.get("notes"),
    keepDoubts: (_, notes) => {
      model.set({ notes });
      model.save_changes();
      return true;
    },
    link: false,
  });
  return async () => {
    (await end)?.();
    made.forEach((one) => URL.revokeObjectURL(one));
  };
}

export default { render };
