// Charts: each static drawing is replaced by a live one when it comes into view. The specification lies in the page;
// nothing is fetched, nothing is evaluated (`ast: true` has Vega interpret its expressions).
(() => {
  "use strict";
  const views = new WeakMap(); // figure -> Vega view

  const tokens = (text, style) => text
    .replaceAll(/var\((--[a-z0-9-]+)\)/g, (_, name) => style.getPropertyValue(name).trim())
    .replaceAll("currentColor", style.color);

  const loader = { load: () => Promise.reject(new Error("charts load nothing")), sanitize: () => Promise.reject(new Error("no links")) };
  const options = { ast: true, renderer: "svg", actions: false, defaultStyle: false, loader, tooltip: { disableDefaultStyle: true, theme: "site" } };

  const specOf = (figure) => JSON.parse(figure.querySelector("script.spec").textContent);

  const draw = async (figure) => {
    if (views.has(figure)) return;
    views.set(figure, null);
    const canvas = figure.querySelector(".canvas");
    const place = document.createElement("div");
    place.className = "live";
    const picture = canvas.firstElementChild;
    canvas.append(place);
    try {
      const spec = { ...specOf(figure), height: canvas.clientHeight };
      const { view } = await vegaEmbed(place, spec, options);
      views.set(figure, view);
      picture.remove();
      figure.classList.add("drawn");
      applyFocus(figure);
    } catch (error) {
      place.remove(); // the static drawing stays
      console.error(`chart ${figure.id}: ${error.message}`);
    }
  };

  // Focus: methods picked in a legend stand out in the charts and in the table of the same board.
  const boardOf = (element) => element.closest(".panel, .board");
  const picked = (board) => [...board.querySelectorAll(".legend button[aria-pressed=true]")].map((button) => button.dataset.slug);

  const applyFocus = (figure, hovered) => {
    const view = views.get(figure);
    const board = boardOf(figure);
    if (!view || !board || !board.querySelector(".legend")) return;
    const slugs = picked(board);
    const focus = hovered ? [hovered, ...slugs] : slugs;
    view.signal("focus", focus.length ? focus : specOf(figure).params[0].value).runAsync();
  };

  const refresh = (board, hovered) => {
    for (const figure of board.querySelectorAll("figure.chart")) applyFocus(figure, hovered);
    const slugs = picked(board);
    for (const body of board.querySelectorAll("tbody[data-slug]")) {
      body.classList.toggle("picked", slugs.includes(body.dataset.slug));
    }
  };

  const legend = (item) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.slug = item.dataset.slug;
    button.setAttribute("aria-pressed", "false");
    button.append(...item.childNodes);
    item.append(button);
    const board = boardOf(item);
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      refresh(board);
    });
    hover(button, board, item.dataset.slug);
  };

  const hover = (element, board, slug) => {
    element.addEventListener("pointerenter", () => refresh(board, slug));
    element.addEventListener("pointerleave", () => refresh(board));
  };

  // Export: a copy with the page's colours written out, drawn off screen, saved by the browser.
  const save = async (figure, kind) => {
    const style = getComputedStyle(figure);
    const spec = JSON.parse(tokens(JSON.stringify(specOf(figure)), style));
    spec.width = figure.clientWidth;
    spec.background = style.getPropertyValue("--paper").trim();
    const place = document.createElement("div");
    place.className = "offscreen";
    document.body.append(place);
    const { view, finalize } = await vegaEmbed(place, spec, options);
    const link = document.createElement("a");
    link.href = await view.toImageURL(kind, kind === "png" ? 2 : 1);
    link.download = `espalier-${figure.id.replace(/^chart-/, "")}.${kind}`;
    link.click();
    finalize();
    place.remove();
  };

  const menu = (figure) => {
    const box = document.createElement("div");
    box.className = "export";
    for (const kind of ["svg", "png"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = kind.toUpperCase();
      button.setAttribute("aria-label", `Save this chart as ${kind.toUpperCase()}`);
      button.addEventListener("click", () => save(figure, kind));
      box.append(button);
    }
    figure.querySelector("figcaption").append(box);
  };

  document.querySelectorAll(".legend li[data-slug]").forEach(legend);
  document.querySelectorAll(".panel tbody[data-slug]").forEach((body) => hover(body, boardOf(body), body.dataset.slug));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        seen.unobserve(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "300px" });
  for (const figure of document.querySelectorAll("figure.chart")) {
    menu(figure);
    seen.observe(figure);
  }
})();
