
// The page's own part: its data are inside the page, and its URL stores the view.
const held = (id) => JSON.parse(document.getElementById(id).textContent);
start(document.getElementById("explorer"), {
  facts: async () => held("facts"),
  media: async (track) => held(`media-${track}`),
  view: () => fromQuery(location.hash.slice(1)),
  remember: (view) => history.replaceState(null, "", `#${toQuery(view)}`),
  onview: (listener) => window.addEventListener("hashchange", listener),
  link: true,
});
