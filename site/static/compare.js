// Compare: two to six methods of one board, chosen by the reader; what is chosen stands in the address.
// The figures of a board lie in a file of its own, which calls `espalierBoard`: a page opened from a file may fetch nothing.
(() => {
  "use strict";
  const MINUS = "\u2212";
  const chooser = document.getElementById("chooser");
  if (!chooser) return;
  const result = document.getElementById("result");
  const bill = document.getElementById("costs");
  const select = document.getElementById("board");
  const list = document.querySelector("#methods ul");
  const { fewest, most } = document.getElementById("methods").dataset;
  const boards = JSON.parse(document.getElementById("boards").textContent);
  const opened = boards.find(({ id }) => id === select.dataset.first) ?? boards[0];
  const loaded = new Map(); // id -> data of a board
  let state = {};

  const make = (name, properties = {}, ...children) => {
    const element = document.createElement(name);
    const { data = {}, attributes = {}, ...own } = properties;
    Object.assign(element, own);
    Object.assign(element.dataset, data);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  const swatch = (slug) => document.querySelector(`#swatches [data-slug="${CSS.escape(slug)}"] svg`)?.cloneNode(true) ?? "";

  // State in the address
  const read = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    const methods = (asked.get("m") || "").split(",").filter(Boolean);
    const of = boards.find((board) => board.id === asked.get("board"))
      || boards.find((board) => methods.length && methods.every((slug) => board.methods.includes(slug))) || opened;
    const own = [...new Set(methods)].filter((slug) => of.methods.includes(slug)).slice(0, Number(most));
    // one method alone is set against the first ones of its board
    const chosen = own.length >= Number(fewest) ? own : [...new Set([...own, ...of.methods])].slice(0, 3);
    return { board: of.id, phase: asked.get("phase"), axis: asked.get("axis"), methods: chosen };
  };

  const write = () => {
    const hash = new URLSearchParams({ board: state.board, phase: state.phase, axis: state.axis, m: state.methods.join(",") });
    history.replaceState(null, "", `#${hash.toString().replaceAll("%2F", "/").replaceAll("%2C", ",")}`);
  };

  // Data
  globalThis.espalierBoard = (data) => {
    loaded.set(data.id, data);
    show();
  };

  const load = ({ file }) => {
    if (document.querySelector(`script[src="${CSS.escape(file)}"]`)) return;
    document.head.append(make("script", { src: file, onerror: () => { result.textContent = `${file} could not be read.`; } }));
  };

  // Statistics: a mean with Student's t interval, of values by seed or of their paired differences
  const interval = (values, quantiles) => {
    const n = values.length;
    if (!n) return null;
    const mean = values.reduce((sum, value) => sum + value, 0) / n;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
    const half = n > 1 ? (quantiles[n - 2] ?? 1.96) * Math.sqrt(variance / n) : null;
    return { mean, half, n, low: half === null ? NaN : mean - half, high: half === null ? NaN : mean + half };
  };

  const difference = (column, one, other, quantiles) => {
    const [a, b] = [column.values[one] || [], column.values[other] || []];
    const values = a.map((value, i) => (value === null || (b[i] ?? null) === null ? null : value - b[i])).filter((v) => v !== null);
    return interval(values, quantiles);
  };

  const fixed = (value, digits) => value.toFixed(digits).replace("-", MINUS);
  const signed = (value, digits) => {
    const text = value.toFixed(digits);
    return Number(text) === 0 ? (0).toFixed(digits) : (value > 0 ? "+" : "") + fixed(value, digits);
  };
  const verdict = (one) => (!(one.half > 1e-9) ? "" : one.low > 0 ? "up" : one.high < 0 ? "down" : ""); // the same at every seed is no certainty

  // Drawing: one interval as a whisker, on a scale that all rows share
  const whisker = (one, reach) => {
    const namespace = "http://www.w3.org/2000/svg";
    const node = (name, attributes) => {
      const element = document.createElementNS(namespace, name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      return element;
    };
    const x = (value) => (80 + 76 * Math.max(-1, Math.min(1, value / reach))).toFixed(1);
    const svg = node("svg", { class: `whisker ${verdict(one)}`, viewBox: "0 0 160 20", "aria-hidden": "true" });
    svg.append(node("line", { class: "zero", x1: 80, x2: 80, y1: 0, y2: 20 }));
    if (one.half !== null) svg.append(node("line", { x1: x(one.low), x2: x(one.high), y1: 10, y2: 10 }));
    svg.append(node("circle", { cx: x(one.mean), cy: 10, r: 4 }));
    return svg;
  };

  // Page
  const method = (data, slug) => data.methods.find((one) => one.slug === slug);

  const link = (data, slug) => make("a", { href: `methods/${slug}.html`, textContent: method(data, slug).title });

  const records = (data, slugs) => make("span", { className: "sub" }, "records: ", ...slugs.flatMap((slug, i) => [
    i ? ", " : "", make("a", { href: method(data, slug).records, textContent: method(data, slug).title, attributes: { "aria-label": `Records of ${method(data, slug).title}` } }),
  ]));

  const banner = (text) => make("p", { className: "banner local", textContent: text });

  const cell = (one, column, seeds) => {
    if (!one) return make("td", { className: "figure" }, make("span", { className: "none", textContent: "\u2013" }));
    const td = make("td", { className: `figure ${verdict(one)}` }, signed(one.mean, column.digits));
    if (one.half !== null) td.append(make("span", { className: "half", textContent: ` \u00b1 ${fixed(one.half, column.digits)}` }));
    if (one.n < seeds) td.append(make("span", { className: "flag quiet", textContent: `n = ${one.n}` }));
    return td;
  };

  const table = (data, columns) => {
    const last = columns.at(-1);
    const pairs = state.methods.flatMap((one, i) => state.methods.slice(i + 1).map((other) => [one, other]));
    const rows = pairs.map(([one, other]) => ({ one, other, by: columns.map((c) => difference(c, one, other, data.quantiles)) }));
    const ends = rows.map(({ by }) => by.at(-1)).filter(Boolean).flatMap((d) => (d.half === null ? [d.mean] : [d.low, d.high]));
    const reach = Math.max(...ends.map(Math.abs), 1e-9);
    const head = make("tr", {}, make("th", { scope: "col", textContent: "Difference" }));
    for (const column of columns) head.append(make("th", { scope: "col", className: "figure", title: column.hint, textContent: column.label }));
    head.append(make("th", { scope: "col", textContent: `${last.label}, drawn` }));
    const body = make("tbody");
    for (const { one, other, by } of rows) {
      const title = make("th", { scope: "row" }, swatch(one), link(data, one), make("span", { className: "minus", textContent: ` ${MINUS} ` }), swatch(other), link(data, other), records(data, [one, other]));
      const drawn = by.at(-1) ? whisker(by.at(-1), reach) : make("span", { className: "none", textContent: "\u2013" });
      body.append(make("tr", {}, title, ...by.map((d, i) => cell(d, columns[i], data.seeds)), make("td", {}, drawn)));
    }
    const inner = make("table", { className: "plain differences" }, make("thead", {}, head), body);
    return make("div", { className: "scroll", tabIndex: 0, attributes: { role: "group", "aria-label": "Differences" } }, inner);
  };

  // Chart: that of the board, with the methods chosen; it stays in its place while they change
  const figure = make("figure", { className: "chart close" }, make("figcaption", {}, make("span")), make("div", { className: "canvas", attributes: { role: "img" } }));

  const draw = (data, phase, axis) => {
    const words = axis.id === "pattern" ? `Top-1 ${axis.title}` : `Top-1 against ${axis.id}`;
    figure.id = `chart-${phase.chart}-${axis.id}`;
    figure.dataset.specifications = data.charts;
    figure.querySelector("figcaption span").textContent = `${words}, ${phase.title}`;
    const titles = state.methods.map((slug) => method(data, slug).title).join(", ");
    figure.querySelector(".canvas").setAttribute("aria-label", `${words} on ${data.title}, ${phase.title}: ${titles}. The tables have the figures.`);
    figure.dispatchEvent(new CustomEvent("chart", { bubbles: true, detail: { shown: new Set(state.methods) } }));
  };

  // Cost: of one network, by the method at the costliest of its targets, and of retraining, which is the same for all
  const time = (seconds) => (seconds < 60 ? `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
    : seconds < 3600 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`);

  const costs = (data, column) => {
    const trains = state.methods.some((slug) => method(data, slug).epochs);
    const heads = [["Method"], [column.label, "figure"], ["Pruning", "figure"], ...(trains ? [["Its epochs", "figure"]] : []), ["Memory", "figure"], ["Retraining", "figure"], ["One network takes", "figure"], ["Needs"]];
    const figure = (value, words) => make("td", { className: "figure" }, value === null ? make("span", { className: "none", textContent: "\u2013" }) : words(value));
    const rows = state.methods.map((slug) => {
      const { seconds, epochs, memory_mb: memory, needs } = method(data, slug);
      const own = interval((column.values[slug] ?? []).filter((value) => value !== null), data.quantiles);
      const [mean] = [figure(own, ({ mean }) => fixed(mean, column.digits))];
      if (own?.half) mean.append(make("span", { className: "half", textContent: ` \u00b1 ${fixed(own.half, column.digits)}` }));
      return make("tr", {}, make("th", { scope: "row" }, swatch(slug), link(data, slug)), mean, figure(seconds, time),
        ...(trains ? [figure(epochs, String)] : []), figure(memory, (value) => `${value.toFixed(0)} MB`), figure(data.retraining, (value) => (value ? time(value) : "none")),
        figure(seconds === null || data.retraining === null ? null : seconds + data.retraining, time),
        make("td", { textContent: needs === null ? "\u2013" : needs.join(", ") || "weights only" }));
    });
    const head = make("tr", {}, ...heads.map(([textContent, className = ""]) => make("th", { scope: "col", className, textContent })));
    const inner = make("table", { className: "plain costs" }, make("thead", {}, head), make("tbody", {}, ...rows));
    return make("div", { className: "scroll", tabIndex: 0, attributes: { role: "group", "aria-label": "Costs" } }, inner);
  };

  const switches = (id, options, chosen, change) => {
    const field = document.getElementById(id);
    const known = [...field.querySelectorAll("input")];
    if (known.map((input) => input.value).join() === options.map((option) => option.id).join()) {
      for (const [i, input] of known.entries()) { // keeps the focus where it is
        input.checked = input.value === chosen;
        input.labels[0].textContent = options[i].title;
      }
      return;
    }
    field.replaceChildren(field.querySelector("legend"));
    for (const option of options) {
      const input = make("input", { type: "radio", name: id, id: `${id}-${option.id}`, value: option.id, checked: option.id === chosen });
      input.addEventListener("change", () => change(option.id));
      field.append(input, make("label", { htmlFor: input.id, textContent: option.title }));
    }
    field.hidden = options.length < 2;
  };

  const pick = ({ slug, title }) => {
    const input = make("input", { type: "checkbox", value: slug });
    input.addEventListener("change", () => {
      update({ methods: input.checked ? [...state.methods, slug] : state.methods.filter((other) => other !== slug) });
    });
    return make("li", {}, make("label", {}, input, swatch(slug), make("span", { textContent: title })));
  };

  const picks = (data) => {
    if (list.dataset.board !== data.id) list.replaceChildren(...data.methods.map(pick));
    list.dataset.board = data.id;
    const full = state.methods.length >= Number(most);
    for (const input of list.querySelectorAll("input")) {
      input.checked = state.methods.includes(input.value);
      input.disabled = full && !input.checked;
    }
  };

  const show = () => {
    const data = loaded.get(state.board);
    select.value = state.board;
    if (!data) {
      load(boards.find((board) => board.id === state.board));
      return;
    }
    const phase = data.phases.find((one) => one.id === state.phase) || data.phases[0];
    const axis = phase.axes.find((one) => one.id === state.axis) || phase.axes[0];
    state = { ...state, phase: phase.id, axis: axis.id };
    switches("phase", data.phases, phase.id, (id) => update({ phase: id }));
    switches("axis", phase.axes, axis.id, (id) => update({ axis: id }));
    picks(data);
    const heading = make("h2", {}, make("a", { href: data.href, textContent: data.title }), make("small", { textContent: ` ${phase.title}, ${axis.title}` }));
    const note = make("p", { className: "note", textContent: "The first method minus the second: mean \u00b1 half the 95 % t interval over the seeds that both have, paired by base model and seed. Shaded where the interval leaves out zero; chance alone does that in 5 of 100 differences, so that the ranks of the board, which allow for the number of its methods, may call a tie what is shaded here." });
    const enough = state.methods.length >= Number(fewest);
    const few = make("p", { textContent: `Choose at least ${fewest} methods.` });
    const banners = [
      ...(data.local ? [banner("Measured on this machine, not published.")] : []),
      ...(data.before ? [banner("The version before, which is being measured anew; its board says how far that is.")] : []),
    ];
    const spent = make("p", { className: "note", textContent: `What one network takes on one ${data.unit}: pruning at the costliest target, the mean over seeds, as recorded; retraining, the median of the board.` });
    result.replaceChildren(heading, ...banners, ...(enough ? [figure, note, table(data, axis.columns)] : [few]));
    bill.replaceChildren(...(enough ? [make("h2", { textContent: "Cost" }), spent, costs(data, axis.columns.at(-1))] : []));
    document.getElementById("told").textContent = `${state.methods.length} methods, ${data.title}, ${phase.title}, ${axis.title}`;
    chooser.hidden = false;
    result.hidden = false;
    bill.hidden = !enough;
    if (enough) draw(data, phase, axis);
    write();
  };

  const update = (change) => {
    state = { ...state, ...change };
    show();
  };

  select.addEventListener("change", () => {
    const own = boards.find((board) => board.id === select.value).methods;
    const methods = state.methods.filter((slug) => own.includes(slug));
    update({ board: select.value, axis: null, methods: methods.length >= Number(fewest) ? methods : own.slice(0, 3) });
  });
  addEventListener("hashchange", () => { state = read(); show(); });
  state = read();
  show();
})();
