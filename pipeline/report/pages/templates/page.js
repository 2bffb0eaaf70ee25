(() => {
  const text = cell => (cell ? cell.dataset.sort || cell.innerText : "").trim();
  const number = cell => { const found = text(cell).replace(/[,\u202f\u00a0]/g, "").match(/-?\u2212?\d+(\.\d+)?(e[+-]?\d+)?/); return found ? parseFloat(found[0].replace("\u2212", "-")) : null; };
  const button = (label, act) => { const made = document.createElement("button"); made.type = "button"; made.textContent = label; made.className = "tool"; made.addEventListener("click", () => act(made)); return made; };
  const said = (made, word) => { const before = made.textContent; made.textContent = word; setTimeout(() => { made.textContent = before; }, 1500); };
  const save = (name, kind, content) => { const link = document.createElement("a"); link.href = URL.createObjectURL(new Blob([content], {type: kind})); link.download = name; link.click(); URL.revokeObjectURL(link.href); };

  document.querySelectorAll("table[data-sortable]").forEach(table => {
    table.querySelectorAll("thead th").forEach((head, column) => {
      if (head.classList.contains("chart") || !text(head)) return;
      const sort = button(text(head), () => {
        const up = head.getAttribute("aria-sort") === "descending";
        table.querySelectorAll("thead th").forEach(each => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const body = table.tBodies[0];
        [...body.rows].map(row => [row, row.cells[column]]).sort(([, a], [, b]) => {
          const [x, y] = [number(a), number(b)];
          if (x === null || y === null) return x === y ? text(a).localeCompare(text(b)) * (up ? 1 : -1) : x === null ? 1 : -1;
          return up ? x - y : y - x;
        }).forEach(([row]) => body.append(row));
      });
      sort.className = "sort";
      head.replaceChildren(sort);
    });
  });
  document.querySelectorAll("table[data-csv]").forEach(table => {
    const quoted = cell => `"${text(cell).replace(/\s*\n\s*/g, "; ").replace(/"/g, '""')}"`;
    const csv = () => [...table.rows].map(row => [...row.cells].filter(cell => !cell.classList.contains("chart")).map(quoted).join(",")).join("\r\n");
    table.after(button("Download this table as CSV", () => save(table.dataset.csv, "text/csv", csv())));
  });
  document.querySelectorAll("[data-copy]").forEach(block => {
    const content = block.dataset.copy || block.innerText;
    block.after(button("Copy", made => navigator.clipboard ? navigator.clipboard.writeText(content).then(() => said(made, "Copied"), () => said(made, "Not allowed here")) : said(made, "Not possible here")));
  });
})();
