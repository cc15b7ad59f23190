// Search: the index lies in a file of its own, which calls `espalierSearch`; what is sought stands in the address: #q=words.
// Every word sought has to begin a word of the page; titles count more than what a page is said to be about, that more than
// headings and rows, and these more than text.
(() => {
  "use strict";
  const MOST = 40;
  const PLACES = 4;
  const query = document.getElementById("query");
  if (!query) return;
  const told = document.getElementById("found");
  const list = document.getElementById("hits");
  const everything = document.getElementById("everything");
  let pages = [];

  const plain = (text) => text.normalize("NFKD").replaceAll(/\p{M}/gu, "").replaceAll("\u00d7", "x").toLowerCase();
  const spaced = (text) => plain(text).replaceAll(/(?<!\d):|:(?!\d)/gu, " ").replaceAll(/[\s,;"()[\]/]+/gu, " ").trim();
  // ResNet-50 is found as resnet50 and resnet 50, too
  const forms = (word) => (word.includes("-") ? [word, word.replaceAll("-", ""), ...word.split("-")] : [word]);
  const every = (text) => ` ${text.split(" ").flatMap(forms).join(" ")}`;
  const begins = (text, word) => text.startsWith(word) || text.includes(` ${word}`);
  const words = () => spaced(query.value).split(" ").filter(Boolean);

  const hit = (page, sought) => {
    let score = 0;
    for (const word of sought) {
      const place = page.places.filter(({ key }) => begins(key, word)).length;
      const said = begins(page.said, word) ? 20 : 0;
      const value = begins(page.key, word) ? 100 : said || (place ? 10 + Math.min(place, 5) : begins(page.words, word) ? 1 : 0);
      if (!value) return null;
      score += value;
    }
    const places = page.places.filter(({ key }) => sought.every((word) => begins(key, word)));
    return { page, score, places: places.slice(0, PLACES) };
  };

  const link = (href, textContent) => Object.assign(document.createElement("a"), { href, textContent });

  const item = ({ page, places }) => {
    const element = document.createElement("li");
    const about = Object.assign(document.createElement("p"), { className: "note", textContent: page.about });
    element.append(link(page.path, page.title), about);
    for (const { anchor, name } of places) {
      const line = document.createElement("p");
      line.append(link(`${page.path}#${anchor}`, name));
      element.append(line);
    }
    return element;
  };

  const show = () => {
    const sought = words();
    everything.hidden = sought.length > 0;
    const hits = sought.length ? pages.map((page) => hit(page, sought)).filter(Boolean).sort((a, b) => b.score - a.score) : [];
    told.textContent = !sought.length ? "" : hits.length > MOST ? `${hits.length} pages; the first ${MOST}:` : `${hits.length} page${hits.length === 1 ? "" : "s"}`;
    list.replaceChildren(...hits.slice(0, MOST).map(item));
  };

  const restore = () => {
    query.value = new URLSearchParams(location.hash.slice(1)).get("q") ?? "";
    show();
  };

  globalThis.espalierSearch = (index) => {
    pages = index.map(({ title, words: text, places, ...rest }) => ({
      ...rest,
      title,
      key: every(spaced(title)),
      said: every(spaced(rest.about)),
      words: every(plain(text)),
      places: places.map(([anchor, name]) => ({ anchor, name, key: every(spaced(name)) })),
    }));
    restore();
    query.addEventListener("input", () => {
      show();
      history.replaceState(null, "", query.value.trim() ? `#q=${encodeURIComponent(query.value.trim())}` : "#");
    });
    addEventListener("hashchange", restore);
  };
  query.focus({ preventScroll: true });
})();
