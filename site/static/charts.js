// Charts: each static drawing is replaced by a live one when it comes into view. Both show the same, so Vega and the page's
// specifications are loaded when the reader first does something, or else once the page has been at rest. They are scripts,
// since a page opened from a file may fetch nothing; nothing is evaluated (`ast: true` has Vega interpret its expressions).
(() => {
  "use strict";
  const REST = 3000; // ms
  const SIGNS = ["pointermove", "pointerdown", "scroll", "keydown", "touchstart"];
  const { src, dataset } = document.currentScript;
  const needed = [new URL("vendor/vega.js", src).href, dataset.specifications];
  const CROWD = 12; // up to so many methods, all are drawn strongly
  const [NARROW, SHORT] = [420, 76]; // px: in a chart narrower than this, names at the ends of lines are cut sooner
  const views = new WeakMap(); // figure -> Vega view, and how to end it
  const turns = new WeakMap(); // figure -> how often it was asked for
  const asked = new WeakMap(); // list of methods -> what its reader asked for

  const tokens = (text, style) => text
    .replaceAll(/var\((--[a-z0-9-]+)\)/g, (_, name) => style.getPropertyValue(name).trim())
    .replaceAll("currentColor", style.color);

  const loader = { load: () => Promise.reject(new Error("charts load nothing")), sanitize: () => Promise.reject(new Error("no links")) };
  const options = { ast: true, renderer: "svg", actions: false, defaultStyle: false, loader, tooltip: { disableDefaultStyle: true, theme: "site" } };

  let specifications = {}; // by the identifier of their figure
  globalThis.espalierCharts = (own) => { specifications = own; };

  const load = (from) => new Promise((resolve, reject) => {
    const onerror = () => reject(new Error(`${from} could not be read`));
    document.head.append(Object.assign(document.createElement("script"), { src: from, onload: resolve, onerror }));
  });

  let loading = null;
  const loaded = () => loading ??= Promise.all(needed.map(load));

  // What a view leaves of a specification: the methods shown, and the upright axis that was asked for
  const fitted = (figure) => {
    const spec = structuredClone(specifications[figure.id]);
    const { shown, scale, seeds } = asked.get(boardOf(figure)) ?? {};
    if (shown) {
      for (const name of ["means", "controls"]) spec.datasets[name] = spec.datasets[name].filter((row) => shown.has(row.m));
      if (shown.size <= CROWD) for (const param of spec.params) param.value = [];
    }
    if (figure.clientWidth < NARROW) for (const { mark } of spec.layer) if (mark.limit) mark.limit = SHORT;
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
    return spec;
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
      await loaded();
      const spec = { ...fitted(figure), height: canvas.clientHeight };
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
    const again = !same(asked.get(target) ?? { scale: null, seeds: false }, detail);
    asked.set(target, detail);
    if (detail.shown || detail.scale || detail.seeds || detail.picked.length) wake();
    for (const figure of target.querySelectorAll("figure.chart")) {
      if (again && views.has(figure) && figure.checkVisibility()) draw(figure);
      else if (again && views.has(figure)) views.get(figure).stale = true;
      else focus(figure);
    }
  });

  // Export: a copy with the page's colours written out, drawn off screen, saved by the browser.
  const save = async (figure, kind) => {
    await loaded();
    const style = getComputedStyle(figure);
    const spec = JSON.parse(tokens(JSON.stringify(fitted(figure)), style));
    spec.width = figure.clientWidth;
    spec.background = style.getPropertyValue("--paper").trim();
    const place = document.createElement("div");
    place.className = "offscreen";
    document.body.append(place);
    const { view, finalize } = await vegaEmbed(place, spec, options);
    offer(figure, kind, await view.toImageURL(kind, kind === "png" ? 2 : 1));
    finalize();
    place.remove();
  };

  // The rows behind the marks, as the reader has filtered them
  const table = async (figure) => {
    await loaded();
    const { means } = fitted(figure).datasets;
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
