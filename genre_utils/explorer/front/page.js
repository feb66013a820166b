
// The page's own part: its data are inside the page, its URL stores the view, and the browser the doubts.
const held = (id) => JSON.parse(document.getElementById(id).textContent);
const { tracks: carried, clips, licences } = held("carried");
const absent = `There is no sound here: this page has only that of the ${clips} most confidently wrong clips of each cell. `
  + "--clips all writes all of them.";
start(document.getElementById("explorer"), {
  facts: async () => held("facts"),
  licences,
  media: async (track) => (carried[track] === true ? held(`media-${track}`) : carried[track] ?? { absent }),
  view: () => fromQuery(location.hash.slice(1)),
  remember: (view) => history.replaceState(null, "", `#${toQuery(view)}`),
  onview: (listener) => window.addEventListener("hashchange", listener),
  doubts: (key) => {
    try {
      return JSON.parse(localStorage.getItem(`genre_utils doubts ${key}`) ?? "{}");
    } catch {
      return {}; // a browser without storage, or somebody else's text in it
    }
  },
  keepDoubts: (key, doubts) => {
    try {
      localStorage.setItem(`genre_utils doubts ${key}`, JSON.stringify(doubts));
      return true;
    } catch {
      return false;
    }
  },
  keys: document,
  link: true,
});
