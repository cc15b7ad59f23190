// Tables that sort: a button in every sortable heading. A method and its controls move as one (a tbody each).
// A table says "sorted" when its reader has sorted it, and sorts itself when it hears "sort" (without an order: as at first).
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

  const bodiesOf = (table) => [...table.tBodies].filter((body) => !body.classList.contains("dense"));

  const mark = (table, heading, order) => {
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading?.setAttribute("aria-sort", order);
  };

  const sort = (table, heading, order) => {
    const column = heading.cellIndex;
    const sign = order === "ascending" ? 1 : -1;
    bodiesOf(table)
      .map((body, index) => ({ body, index, value: valueOf(body, column) }))
      .sort((a, b) => compare(a.value, b.value, sign) || a.index - b.index)
      .forEach(({ body }) => table.append(body));
    mark(table, heading, order);
  };

  const next = (table, heading) => {
    const text = bodiesOf(table).some((body) => typeof valueOf(body, heading.cellIndex) === "string");
    const now = heading.getAttribute("aria-sort");
    return now === "descending" || (!now && text) ? "ascending" : "descending";
  };

  const make = (table) => {
    const headings = [...table.querySelectorAll("thead th.sortable")];
    const labels = headings.map((heading) => heading.textContent.trim());
    const first = { bodies: bodiesOf(table), heading: headings.find((heading) => heading.ariaSort), order: null };
    first.order = first.heading?.ariaSort;
    for (const [i, heading] of headings.entries()) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        sort(table, heading, next(table, heading));
        table.dispatchEvent(new CustomEvent("sorted", { bubbles: true, detail: { label: labels[i], order: heading.ariaSort } }));
      });
    }
    table.addEventListener("sort", ({ detail }) => {
      table.append(...first.bodies);
      mark(table, first.heading, first.order);
      const heading = headings[labels.indexOf(detail?.label)];
      if (heading) sort(table, heading, detail.order === "ascending" ? "ascending" : "descending");
    });
  };

  document.querySelectorAll("table.ranking").forEach(make);
})();
