// The view of a list of methods (`data-view`): what its reader has chosen by its controls, picked and sorted stands in the
// address, so that it can be linked: #board=ID&phase=before&criterion=magnitude&without=data&sort=8x:descending&m=lamp.
// What is as it was when the page came is not written. Tables and charts are told by events and know nothing of the address.
(() => {
  "use strict";
  const traits = JSON.parse(document.getElementById("traits")?.textContent ?? "{}");
  const lists = [...document.querySelectorAll("[data-view], .board:has(.legend)")];
  const states = new Map(lists.map((list) => [list, { picked: [], sort: null, pointed: null }]));
  const listOf = (element) => lists.find((list) => list.contains(element));
  const every = (list, selector) => [...list.querySelectorAll(selector)];

  // Controls: radio buttons and boxes as they were at first, and selects without a value, say nothing
  const changed = (input) => (input.tagName === "SELECT" ? input.value !== "" : input.checked !== input.defaultChecked);

  const said = (list) => {
    const found = {};
    for (const input of every(list, "[data-key]")) {
      if (!changed(input) || (input.type === "radio" && !input.checked)) continue;
      found[input.dataset.key] = [...new Set([...(found[input.dataset.key] ?? []), input.value])];
    }
    return found;
  };

  const set = (list, asked) => {
    const values = (input) => asked.get(input.dataset.key)?.split(",") ?? [];
    for (const input of every(list, "[data-key]")) {
      if (input.tagName === "SELECT") {
        input.value = values(input)[0] ?? "";
        if (input.selectedIndex < 0) input.value = "";
      } else if (input.type === "radio") input.checked = input.defaultChecked;
      else input.checked = input.defaultChecked !== values(input).includes(input.value);
    }
    for (const input of every(list, "input[type=radio][data-key]")) if (values(input).includes(input.value)) input.checked = true;
  };

  // Filters: a method is shown that has every trait asked for, and needs nothing that is left out
  const known = new Set(Object.values(traits).flatMap(Object.keys));

  const fits = (slug, { without = [], ...asked }) => {
    const own = traits[slug] ?? {};
    const alike = Object.entries(asked).every(([key, [value]]) => !known.has(key) || own[key] === value);
    return alike && (!without.length || (own.needs ?? without).every((need) => !without.includes(need)));
  };

  const apply = (list) => {
    const asked = said(list);
    const { picked, pointed } = states.get(list);
    const bodies = every(list, "tbody[data-slug]");
    const items = every(list, ".legend li[data-slug]");
    const slugs = new Set([...bodies, ...items].map((element) => element.dataset.slug));
    const shown = new Set([...slugs].filter((slug) => fits(slug, asked)));
    for (const element of [...bodies, ...items]) element.hidden = !shown.has(element.dataset.slug);
    for (const body of bodies) {
      body.classList.toggle("picked", picked.includes(body.dataset.slug));
      body.classList.toggle("pointed", pointed === body.dataset.slug);
    }
    for (const button of every(list, ".legend button")) button.setAttribute("aria-pressed", String(picked.includes(button.dataset.slug)));
    const detail = { shown: shown.size < slugs.size ? shown : null, picked, pointed, scale: asked.scale?.[0] ?? null, seeds: asked.seeds?.includes("every") ?? false, axis: asked.axis };
    list.dispatchEvent(new CustomEvent("view", { bubbles: true, detail }));
    tell(list, shown.size, slugs.size, asked);
  };

  const tell = (list, shown, all, asked) => {
    const status = list.querySelector(".shown");
    if (!status) return;
    const { picked, sort } = states.get(list);
    const traits = Object.entries(asked).filter(([key]) => known.has(key) || key === "without");
    const words = traits.map(([key, values]) => `${key.replace("_", " ")} ${values.join(", ")}`).join("; ");
    const text = words ? `${shown} of ${all} methods: ${words}. ${status.dataset.note}` : "";
    if (status.textContent !== text) status.textContent = text;
    list.querySelector(".clear").hidden = !(Object.keys(asked).length || picked.length || sort);
    const link = list.querySelector("a.compare");
    if (link) link.hash = link.hash.replace(/&m=.*|$/, picked.length ? `&m=${picked.join(",")}` : "");
  };

  // Address
  const write = (list) => {
    if (!list.matches("[data-view]")) return;
    const { picked, sort } = states.get(list);
    const parts = Object.entries({ ...said(list), ...(sort && { sort: [sort] }), ...(picked.length && { m: picked }) });
    const rest = parts.map(([key, values]) => `&${key}=${values.map(encodeURIComponent).join(",")}`).join("");
    history.replaceState(null, "", rest ? `#board=${encodeURIComponent(list.id)}${rest}` : `#${list.id}`);
  };

  const resort = (list) => {
    const [label, order] = states.get(list).sort?.split(":") ?? [];
    for (const table of every(list, "table.ranking")) table.dispatchEvent(new CustomEvent("sort", { detail: label ? { label, order } : null }));
  };

  const restore = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    const target = lists.find((list) => list.matches("[data-view]") && list.id === asked.get("board"));
    for (const list of lists) {
      const own = list === target ? asked : new URLSearchParams();
      const present = new Set(every(list, "[data-slug]").map((element) => element.dataset.slug));
      const picked = (own.get("m") ?? "").split(",").filter((slug) => present.has(slug));
      states.set(list, { picked, sort: own.get("sort"), pointed: null });
      set(list, own);
      resort(list);
      apply(list);
    }
    target?.scrollIntoView();
    const other = document.getElementById(asked.get("board") ?? "")?.querySelector("a.whole"); // it has a page of its own
    if (other) location.replace(other.href + location.hash);
  };

  // What the reader does
  const update = (list, change) => {
    states.set(list, { ...states.get(list), ...change });
    apply(list);
    if (!("pointed" in change)) write(list);
  };

  const pick = (list, slug) => {
    const { picked } = states.get(list);
    update(list, { picked: picked.includes(slug) ? picked.filter((other) => other !== slug) : [...picked, slug] });
  };

  const point = (list, slug) => {
    if (states.get(list).pointed !== slug) update(list, { pointed: slug });
  };

  const follow = (element, list) => {
    const { slug } = element.dataset;
    element.addEventListener("pointerenter", () => point(list, slug));
    element.addEventListener("pointerleave", () => point(list, null));
    element.addEventListener("focusin", (event) => { if (event.target.matches(":focus-visible")) point(list, slug); });
    element.addEventListener("focusout", () => point(list, null));
  };

  for (const list of lists) {
    for (const item of every(list, ".legend li[data-slug]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.slug = item.dataset.slug;
      button.append(...item.childNodes);
      item.append(button);
      button.addEventListener("click", () => pick(list, item.dataset.slug));
      follow(item, list);
    }
    for (const body of every(list, "tbody[data-slug]")) follow(body, list);
    list.querySelector(".clear")?.addEventListener("click", () => {
      set(list, new URLSearchParams());
      update(list, { picked: [], sort: null });
      resort(list);
    });
  }
  document.addEventListener("change", ({ target }) => {
    const list = target.dataset.key && listOf(target);
    if (!list) return;
    for (const twin of every(list, `input[type=checkbox][data-key="${target.dataset.key}"]`)) {
      if (twin.value === target.value) twin.checked = target.checked; // the same box stands in every panel
    }
    update(list, {});
  });
  document.addEventListener("sorted", ({ target, detail }) => {
    const list = listOf(target);
    if (!list) return;
    update(list, { sort: `${detail.label}:${detail.order}` });
    resort(list);
  });
  document.addEventListener("point", ({ target, detail }) => {
    const list = listOf(target);
    if (list) (detail.click ? pick : point)(list, detail.slug);
  });
  addEventListener("hashchange", restore);
  restore();
})();
