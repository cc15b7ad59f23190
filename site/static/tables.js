// Tables that sort: a button in every sortable heading. A method and its controls move as one (a tbody each).
(() => {
  "use strict";
  const cellOf = (body, column) => body.rows[0].cells[column];

  const valueOf = (body, column) => {
    const cell = cellOf(body, column);
    if (!cell || cell.dataset.value === undefined) return null;
    const number = Number(cell.dataset.value);
    return Number.isNaN(number) ? cell.dataset.value : number;
  };

  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null); // no figure: always last
    return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
  };

  const sort = (table, heading) => {
    const column = heading.cellIndex;
    const bodies = [...table.tBodies].filter((body) => !body.classList.contains("dense"));
    const text = bodies.some((body) => typeof valueOf(body, column) === "string");
    const now = heading.getAttribute("aria-sort");
    const order = now === "descending" || (!now && text) ? "ascending" : "descending";
    const sign = order === "ascending" ? 1 : -1;
    bodies
      .map((body, index) => ({ body, index, value: valueOf(body, column) }))
      .sort((a, b) => compare(a.value, b.value, sign) || a.index - b.index)
      .forEach(({ body }) => table.append(body));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
  };

  for (const table of document.querySelectorAll("table.ranking")) {
    for (const heading of table.querySelectorAll("thead th.sortable")) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => sort(table, heading));
    }
  }
})();
