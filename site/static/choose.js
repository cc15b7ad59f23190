// The chooser: on one board, over all its targets or at one, of the methods that meet the reader's conditions the best, and those that the tests of the board
// do not tell apart from it. The boards lie in a file of their own, which calls `espalierChooser`; what is chosen stands in
// the address: #choose=BOARD&at=8&division=structured&without=data&most=3600.
(() => {
  "use strict";
  const place = document.getElementById("chooser");
  if (!place) return;
  const MINUS = "\u2212";
  const select = place.querySelector("#choose-board");
  const at = place.querySelector("#choose-at");
  const most = place.querySelector("#choose-most");
  const result = place.querySelector("#chosen");
  const status = place.querySelector("[role=status]");
  let boards = [];

  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  const fixed = (value, digits) => value.toFixed(digits).replace("-", MINUS);
  const time = (seconds) => (seconds < 60 ? `${fixed(seconds, seconds < 10 ? 1 : 0)} s`
    : seconds < 3600 ? `${fixed(seconds / 60, 1)} min` : `${fixed(seconds / 3600, 1)} h`);
  const ticked = () => [...place.querySelectorAll("[name=without]:checked")].map((box) => box.value);
  const division = () => place.querySelector("[name=division]:checked").value;
  const inDivision = () => boards.filter((board) => division() === "all" || board.division === division());

  // Choosing
  const choose = (board, without, limit) => {
    const open = board.methods.filter(({ needs }) => !without.length || needs?.every((need) => !without.includes(need)));
    const fit = open.filter(({ seconds }) => !limit || (seconds !== null && seconds <= limit));
    const ranked = fit.filter(({ rank }) => rank).sort((one, other) => other.mean - one.mean);
    const [best] = ranked;
    const behind = new Set(best?.ahead.map((position) => board.methods[position]));
    return { fit, tied: ranked.filter((one) => !behind.has(one)), beaten: ranked.filter((one) => behind.has(one)), unranked: fit.filter(({ rank }) => !rank) };
  };

  // Page
  const swatch = (slug) => document.querySelector(`#swatches [data-slug="${CSS.escape(slug)}"] svg`)?.cloneNode(true) ?? "";
  const link = (board, one) => make("a", { href: `methods/${one.slug}.html#${board.id.replace("/", "-")}`, textContent: one.title });

  // What the methods are judged by: the figure of their board, or accuracy at one of its targets
  const judged = (board) => {
    const position = board.targets.findIndex(({ label }) => label === at.value);
    if (position < 0) return { ...board, sort: "" };
    const { words } = board.targets[position];
    const methods = board.methods.map((one) => ({ ...one, ...one.at[position] }));
    return { ...board, methods, figure: `Top-1 at ${words}, %`, digits: 2, sort: `&sort=${encodeURIComponent(words)}:descending` };
  };

  const row = (board, one) => make("tr", {},
    make("th", { scope: "row" }, swatch(one.slug), link(board, one)),
    make("td", { className: "figure" }, fixed(one.mean, board.digits), make("span", { className: "half", textContent: one.half === null ? "" : ` \u00b1 ${fixed(one.half, board.digits)}` })),
    make("td", { className: "figure", textContent: one.rank[0] === one.rank[1] ? one.rank[0] : one.rank.join("\u2013") }),
    make("td", { className: "figure", textContent: one.seconds === null ? "\u2013" : time(one.seconds) }),
    make("td", { textContent: one.needs === null ? "\u2013" : one.needs.join(", ") || "weights only" }));

  const table = (board, tied) => {
    const heads = [["Method"], [board.figure, "figure"], ["Rank among all", "figure"], [`One network takes, on one ${board.unit} (${board.device})`, "figure"], ["Needs"]];
    const head = make("tr", {}, ...heads.map(([text, className = ""]) => make("th", { scope: "col", className, textContent: text })));
    const inner = make("table", { className: "plain" }, make("thead", {}, head), make("tbody", {}, ...tied.map((one) => row(board, one))));
    const region = make("div", { className: "scroll", tabIndex: 0 }, inner);
    region.setAttribute("role", "group");
    region.setAttribute("aria-label", "Methods tied at the top");
    return region;
  };

  const listed = (board, words, methods) => {
    if (!methods.length) return [];
    const links = methods.flatMap((one, i) => [i ? ", " : " ", link(board, one), one.gap ? ` (${one.gap})` : ""]);
    return [make("p", { className: "note" }, words, ...links, ".")];
  };

  const show = () => {
    const offered = inDivision();
    const beside = (known) => offered.find(({ id }) => id.split("/")[0] === known.split("/")[0]); // on the same benchmark
    const kept = offered.find(({ id }) => id === select.value) ?? beside(select.value) ?? beside(place.dataset.first) ?? offered[0];
    select.replaceChildren(...offered.map(({ id, title }) => make("option", { value: id, textContent: title })));
    if (!kept) {
      result.replaceChildren();
      status.textContent = "No board of this kind has been measured yet.";
      return;
    }
    select.value = kept.id;
    const asked = at.value;
    at.replaceChildren(make("option", { value: "", textContent: `${kept.figure}: all targets` }), ...kept.targets.map(({ label, words }) => make("option", { value: label, textContent: `top-1 at ${words}` })));
    at.value = kept.targets.some(({ label }) => label === asked) ? asked : "";
    for (const option of most.options) if (option.value) option.textContent = option.dataset.words.replace("UNIT", kept.unit);
    const [without, limit] = [ticked(), Number(most.value)];
    const board = judged(kept);
    const { fit, tied, beaten, unranked } = choose(board, without, limit);
    const all = kept.methods.length;
    const meet = without.length || limit ? `${fit.length} of ${all} methods meet${fit.length === 1 ? "s" : ""} this` : `${all} methods`;
    const top = tied.length > 1 ? `${tied.length} cannot be told apart at the top` : beaten.length ? "one is ahead of all others" : tied.length ? "with nothing to rank it against" : "none of them has its figure";
    status.textContent = fit.length ? `${meet}; ${top}.` : `None of ${all} methods meets this.`;
    const filters = `${without.length ? `&without=${without.join(",")}` : ""}&m=${tied.map(({ slug }) => slug).join(",")}`;
    const to = make("a", { href: `${kept.href}#board=${kept.anchor}${filters}${board.sort}`, textContent: "See them in the charts and the table of the board" });
    result.replaceChildren(...(tied.length ? [table(board, tied), make("p", {}, to)] : []),
      ...listed(board, "Significantly worse than the best of these:", beaten), ...listed(board, "Without a figure, so not ranked:", unranked));
  };

  // Address
  const write = () => {
    const parts = { choose: select.value, at: at.value, division: division() === "all" ? "" : division(), without: ticked().join(","), most: most.value };
    const said = Object.entries(parts).filter(([, value]) => value).map(([key, value]) => `${key}=${encodeURIComponent(value).replaceAll("%2F", "/").replaceAll("%2C", ",")}`);
    history.replaceState(null, "", `#${said.join("&")}`);
  };

  const restore = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (asked.has("choose")) {
      for (const radio of place.querySelectorAll("[name=division]")) radio.checked = radio.value === (asked.get("division") ?? "all");
      if (!place.querySelector("[name=division]:checked")) place.querySelector("[name=division]").checked = true;
      for (const box of place.querySelectorAll("[name=without]")) box.checked = (asked.get("without") ?? "").split(",").includes(box.value);
      most.value = asked.get("most") ?? "";
      if (most.selectedIndex < 0) most.value = "";
      select.replaceChildren(...boards.map(({ id }) => make("option", { value: id })));
      select.value = asked.get("choose");
      at.replaceChildren(make("option", { value: asked.get("at") ?? "" }));
    }
    show();
    if (asked.has("choose")) place.scrollIntoView();
  };

  globalThis.espalierChooser = (data) => {
    boards = data;
    select.replaceChildren(...boards.map(({ id }) => make("option", { value: id })));
    select.value = place.dataset.first;
    restore();
    place.addEventListener("change", () => { show(); write(); });
    addEventListener("hashchange", restore);
  };
})();
