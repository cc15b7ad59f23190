// Charts: each static drawing is replaced by a live one when it comes into view. Both show the same, so Vega and the page's
// specifications are loaded when the reader first does something, or else once the page has been at rest. They are scripts,
// since a page opened from a file may fetch nothing; nothing is evaluated (`ast: true` has Vega interpret its expressions).
(() => {
  "use strict";
  const REST = 3000; // ms
  const SIGNS = ["pointermove", "pointerdown", "scroll", "keydown", "touchstart"];
  const { src, dataset } = document.currentScript;
  const vega = new URL("vendor/vega.js", src).href;
  const CROWD = 12; // up to so many methods, all are drawn strongly
  const [NARROW, SHORT] = [420, 13]; // in a chart of less pixels, names at the ends of lines have so many characters
  const [LETTERS, ROOM, NEAR] = [0.048, 0.055, 0.5]; // of `labels.py` and `scales.py`
  const views = new WeakMap(); // figure -> Vega view, and how to end it
  const turns = new WeakMap(); // figure -> how often it was asked for
  const asked = new WeakMap(); // list of methods -> what its reader asked for

  // The style sheet's tokens as they are here and now: one may be two colours, for light and dark, which only a browser knows
  const tokens = (text, figure) => {
    const probe = figure.appendChild(document.createElement("span"));
    const own = getComputedStyle(probe);
    const value = (name) => {
      const said = own.getPropertyValue(name).trim();
      probe.style.color = CSS.supports("color", said) ? said : "";
      return probe.style.color ? own.color : said;
    };
    const written = text.replaceAll(/var\((--[a-z0-9-]+)\)/g, (_, name) => value(name)).replaceAll("currentColor", value("--ink"));
    probe.remove();
    return written;
  };

  const loader = { load: () => Promise.reject(new Error("charts load nothing")), sanitize: () => Promise.reject(new Error("no links")) };
  const options = { ast: true, renderer: "svg", actions: false, defaultStyle: false, loader, tooltip: { disableDefaultStyle: true, theme: "site" } };

  let latest = {}; // what the last file of specifications said: by the identifier of their figure
  globalThis.espalierCharts = (own) => { latest = own; };
  const files = new Map(); // address -> what it says, once it is loaded

  const load = (from) => {
    if (!files.has(from)) {
      files.set(from, new Promise((resolve, reject) => {
        const onerror = () => reject(new Error(`${from} could not be read`));
        document.head.append(Object.assign(document.createElement("script"), { src: from, onload: () => resolve(latest), onerror }));
      }));
    }
    return files.get(from);
  };

  const loaded = async (figure) => {
    const { id, dataset: { specifications = dataset.specifications } } = figure; // before it may become another
    const [own] = await Promise.all([specifications, vega].map(load));
    return own[id];
  };

  // What a view leaves of a specification: the methods shown, and the upright axis that was asked for
  const fitted = (figure, whole) => {
    const spec = structuredClone(whole);
    const { shown, scale, seeds } = asked.get(boardOf(figure)) ?? {};
    if (shown) {
      aside(spec, shown);
      for (const name of ["means", "controls"]) spec.datasets[name] = spec.datasets[name].filter((row) => shown.has(row.m));
      if (shown.size <= CROWD) for (const param of spec.params) param.value = [];
    }
    const most = figure.clientWidth < NARROW ? SHORT : Math.floor(LETTERS * figure.clientWidth);
    for (const row of spec.datasets.means) if (row.last) row.short = cut(row.short?.endsWith("\u2026") ? row.name : row.short ?? row.name, most);
    if (seeds) spec.params.find(({ name }) => name === "dotted").value = [];
    const other = scale && spec.usermeta?.[scale];
    if (other && scale === "control") for (const row of spec.datasets.dense) row.label = "magnitude, same densities";
    for (const { encoding } of other ? spec.layer : []) {
      for (const name of ["y", "y2"]) {
        const channel = encoding[name];
        if (!channel) continue;
        encoding[name] = { ...channel, field: other.fields[channel.field] };
        if (name === "y") Object.assign(encoding[name], { scale: other.scale, axis: { ...channel.axis, ...other.axis } });
      }
    }
    const named = whole.datasets.means.some(({ lx }) => lx);
    if (figure.matches(".close")) close(spec);
    if (named && (shown || figure.matches(".close")) && spec.datasets.means.length) name(spec, other?.fields ?? { y: "y", l: "l" });
    return spec;
  };

  // Methods at one target stand side by side: fewer of them stand closer to it (`drawings.py`)
  const aside = ({ usermeta: { side }, datasets }, shown) => {
    if (!side) return;
    const shifts = (order) => {
      const width = Math.min(side.width, (side.each ?? Infinity) * order.length);
      return new Map(order.map((m, i) => [m, 2 ** (order.length > 1 ? width * (i / (order.length - 1) - 0.5) : 0)]));
    };
    const [were, are] = [side.order, side.order.filter((m) => shown.has(m))].map(shifts);
    for (const row of [...datasets.means, ...(side.each ? datasets.controls : [])]) {
      if (!are.has(row.m)) continue;
      const x = row.x * are.get(row.m) / were.get(row.m);
      if (row.lx === row.x) row.lx = x;
      row.x = x;
    }
  };

  // A chart of few methods among many: its upright axis goes no further than they do, and their controls are left out
  const close = (spec) => {
    const { means, dense } = spec.datasets;
    const errors = [...means.flatMap(({ a, h = 0, as = [] }) => [a - h, Math.min(a + h, 99.99), ...as]), ...dense.map(({ a }) => a)].map((a) => 100 - a);
    spec.datasets.controls = [];
    for (const { encoding: { y } } of spec.layer) {
      const [low, high] = y.scale.domain;
      y.scale.domain = [Math.max(low, Math.min(...errors) / 1.06), Math.min(high, Math.max(...errors) * 1.06)];
      delete y.axis.values;
      y.axis.tickCount = 6;
    }
  };

  // Names at the ends of lines where fewer are shown than the build knew of: apart as there (`labels.py`)
  const name = (spec, fields) => {
    const { type, domain } = spec.layer.at(-1).encoding.y.scale;
    const to = type === "log" ? Math.log : (value) => Math.sign(value) * Math.log1p(Math.abs(value) / NEAR);
    const back = type === "log" ? Math.exp : (place) => Math.sign(place) * Math.expm1(Math.abs(place)) * NEAR;
    const [, edge] = spec.layer.at(-1).encoding.x.scale.domain;
    const [low, high] = domain.map(to);
    const value = (row) => Math.min(Math.max(fields.y === "y" ? 100 - row.a : row[fields.y], domain[0]), domain[1]);
    const ends = spec.datasets.means.filter((row) => row.last && Number.isFinite(value(row)));
    const places = apart(ends.map((row) => (to(value(row)) - low) / (high - low)), ROOM);
    for (const [i, row] of ends.entries()) {
      row[fields.l] = back(low + places[i] * (high - low));
      row.lx ??= Math.log2(edge / row.x) <= spec.usermeta.near ? edge : row.x;
    }
  };

  const cut = (name, most) => (name.length <= most ? name : `${name.slice(0, most - 1).trimEnd()}\u2026`);

  const apart = (places, most) => {
    const order = [...places.keys()].sort((one, other) => places[one] - places[other]);
    const room = Math.min(most, 1 / Math.max(places.length - 1, 1));
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const groups = [];
    for (const [position, i] of order.entries()) {
      groups.push([places[i] - position * room]);
      while (groups.length > 1 && mean(groups.at(-2)) > mean(groups.at(-1))) groups.push(groups.splice(-2).flat());
    }
    const free = Math.max(1 - room * (places.length - 1), 0);
    const levels = groups.flatMap((group) => group.map(() => Math.min(Math.max(mean(group), 0), free)));
    const moved = [];
    for (const [position, i] of order.entries()) moved[i] = levels[position] + position * room;
    return moved;
  };

  const draw = async (figure) => {
    const canvas = figure.querySelector(".canvas");
    const place = document.createElement("div");
    place.className = "live";
    place.setAttribute("aria-hidden", "true"); // what surrounds it says what it shows
    const turn = (turns.get(figure) ?? 0) + 1;
    turns.set(figure, turn);
    canvas.append(place);
    try {
      const spec = { ...fitted(figure, await loaded(figure)), height: canvas.clientHeight };
      const { view, finalize } = await vegaEmbed(place, spec, options);
      if (turns.get(figure) !== turn) { // another one was asked for meanwhile
        finalize();
        place.remove();
        return;
      }
      views.get(figure)?.finalize();
      views.set(figure, { view, finalize, strong: spec.params[0].value });
      while (canvas.firstElementChild !== place) canvas.firstElementChild.remove();
      figure.classList.add("drawn");
      focus(figure);
      listen(figure, view);
    } catch (error) {
      place.remove(); // what stood there stays
      console.error(`chart ${figure.id}: ${error.message}`);
    }
  };

  // Focus: a method picked or pointed at stands out, with its name at the end of its line
  const boardOf = (element) => element.closest("[data-view], .board");

  const focus = (figure) => {
    const drawn = views.get(figure);
    if (!drawn) return;
    const { picked = [], pointed } = asked.get(boardOf(figure)) ?? {};
    const named = pointed ? [pointed] : picked;
    const slugs = pointed ? [pointed, ...picked] : picked;
    drawn.view.signal("named", named).signal("focus", slugs.length ? slugs : drawn.strong).runAsync();
  };

  const listen = (figure, view) => {
    const say = (detail) => figure.dispatchEvent(new CustomEvent("point", { bubbles: true, detail }));
    view.addEventListener("pointerover", (_, item) => { if (item?.datum?.m) say({ slug: item.datum.m }); });
    view.addEventListener("pointerout", (_, item) => { if (item?.datum?.m) say({ slug: null }); });
    view.addEventListener("click", (_, item) => { if (item?.datum?.m) say({ slug: item.datum.m, click: true }); });
  };

  const same = (one, other) => one?.scale === other.scale && one?.seeds === other.seeds && String(one?.axis) === String(other.axis)
    && String([...(one?.shown ?? ["all"])]) === String([...(other.shown ?? ["all"])]);

  document.addEventListener("view", ({ target, detail }) => {
    const other = !same(asked.get(target) ?? { scale: null, seeds: false }, detail);
    asked.set(target, detail);
    if (detail.shown || detail.scale || detail.seeds || detail.picked.length) wake();
    target.querySelectorAll("figure.chart").forEach(other ? again : focus);
  });

  // A figure that another script has put into the page, or changed
  document.addEventListener("chart", ({ target, detail }) => {
    asked.set(boardOf(target), { picked: [], scale: null, seeds: false, ...detail });
    if (!target.querySelector(".export")) menu(target);
    if (turns.has(target)) draw(target); // drawn, or being drawn as it was before
    else seen.observe(target);
  });

  // Export: a copy with the page's colours written out, and what it shows, drawn off screen, saved by the browser.
  const LINES = [20, 14]; // px: of the title's first line, and of each after it
  const save = async (figure, kind) => {
    const whole = { ...fitted(figure, await loaded(figure)), background: "var(--paper)", title: titled(figure) };
    const spec = JSON.parse(tokens(JSON.stringify(whole), figure));
    Object.assign(spec, { width: figure.clientWidth, height: spec.height + LINES[0] + LINES[1] * spec.title.subtitle.length });
    const place = document.createElement("div");
    place.className = "offscreen";
    document.body.append(place);
    const { view, finalize } = await vegaEmbed(place, spec, options);
    offer(figure, kind, await view.toImageURL(kind, kind === "png" ? 2 : 1));
    finalize();
    place.remove();
  };

  const words = (element) => element?.textContent.trim().replaceAll(/\s+/g, " ");

  // Beside its page a drawing must say itself what it is of, what its grey lines are, and of when
  const titled = (figure) => {
    const section = figure.closest("section[aria-labelledby]");
    const heading = section?.querySelector(":scope > h2:not(.visually-hidden)");
    const page = section?.querySelector("h1") || document.querySelector("h1"); // the home page's says what the site is
    const of = [...new Set([document.querySelector(".hero") ? null : page, heading].map(words))].filter(Boolean).join(": ");
    const keys = [...figure.closest(".panel, .board")?.querySelectorAll(".key > span") ?? []].map(words);
    const grey = figure.clientWidth < NARROW ? keys : keys.length ? [keys.join(", ")] : [];
    const subtitle = [...[of].filter(Boolean), ...grey.map((key) => `grey: ${key}`), `Espalier, ${words(document.getElementById("edition"))}`];
    const font = { color: "var(--ink)", subtitleColor: "var(--muted)", fontSize: 13, subtitleFontSize: 11 };
    return { text: words(figure.querySelector("figcaption").firstChild), subtitle, anchor: "start", offset: 10, ...font };
  };

  // The rows behind the marks, as the reader has filtered them
  const table = async (figure) => {
    const { means } = fitted(figure, await loaded(figure)).datasets;
    const columns = { m: "method", t: "target", a: "top1", h: "half_interval", n: "seeds", c: "compression", s: "speedup", d: "against_dense" };
    const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    const lines = means.map((row) => Object.keys(columns).map((key) => quoted(String(row[key] ?? ""))).join(","));
    const text = [Object.values(columns).join(","), ...lines, ""].join("\n");
    offer(figure, "csv", URL.createObjectURL(new Blob([text], { type: "text/csv" })));
  };

  const offer = (figure, kind, href) => {
    const link = document.createElement("a");
    link.href = href;
    link.download = `espalier-${figure.id.replace(/^chart-/, "")}.${kind}`;
    link.click();
  };

  const menu = (figure) => {
    const box = document.createElement("div");
    box.className = "export";
    for (const kind of ["svg", "png", "csv"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = kind.toUpperCase();
      button.setAttribute("aria-label", `Save this chart as ${kind.toUpperCase()}`);
      button.addEventListener("click", () => (kind === "csv" ? table(figure) : save(figure, kind)));
      box.append(button);
    }
    figure.querySelector("figcaption").append(box);
  };

  const again = (figure) => {
    if (!views.has(figure)) return;
    if (figure.checkVisibility()) draw(figure);
    else views.get(figure).stale = true;
  };
  // Where the style sheet makes them lower, on a phone, or higher again
  matchMedia("(max-width: 36rem)").addEventListener("change", () => document.querySelectorAll("figure.chart").forEach(again));

  const wake = () => figures.forEach((figure) => seen.observe(figure)); // once observed, it stays so
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && (!views.has(target) || views.get(target).stale)) draw(target);
    }
  }, { rootMargin: "300px" });
  const figures = document.querySelectorAll("figure.chart");
  figures.forEach(menu);
  for (const sign of SIGNS) addEventListener(sign, wake, { once: true, passive: true });
  addEventListener("load", () => setTimeout(wake, REST));
})();
