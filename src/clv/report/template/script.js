"use strict";
(() => {
  // Digits and marks of Persian and Arabic as those of English, so that either finds the other.
  const plain = (text) => text
    .replace(/[۰-۹]/g, (d) => d.charCodeAt(0) - 0x06f0)
    .replace(/[٠-٩]/g, (d) => d.charCodeAt(0) - 0x0660)
    .replace(/ي/g, "ی").replace(/ك/g, "ک").normalize("NFC").toLocaleLowerCase().trim();
  const table = document.getElementById("customers-table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];

  // What a cell is sorted by: a number, a day, or its text; missing ones come last.
  const key = (cell) => {
    if (cell.dataset.sort) return Number(cell.dataset.sort);
    const data = cell.querySelector("data, time");
    if (data) return data.tagName === "TIME" ? data.dateTime : Number(data.value);
    const text = plain(cell.textContent);
    return text === "–" ? null : text;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number"
    ? a - b : String(a).localeCompare(String(b), document.documentElement.lang, { numeric: true }));

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    [...body.rows]
      .map((row, place) => ({ row, place, key: key(row.cells[column]) }))
      .sort((a, b) => {
        if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
        return (down ? -1 : 1) * compare(a.key, b.key) || a.place - b.place;
      })
      .forEach(({ row }) => body.append(row));
  }));

  const field = document.getElementById("search");
  const count = document.getElementById("count");
  const local = (number) => number.toLocaleString(document.documentElement.lang);
  field.addEventListener("input", () => {
    const wanted = plain(field.value);
    let shown = 0;
    for (const row of body.rows) {
      const found = [...row.cells].slice(0, Number(table.dataset.texts)).some((cell) => plain(cell.textContent).includes(wanted));
      row.hidden = !found;
      shown += found;
    }
    count.textContent = count.dataset.text.replace("{shown}", local(shown)).replace("{all}", local(body.rows.length));
  });
})();
