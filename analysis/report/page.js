// What the page does by itself: charts are drawn when they are near, tables sort and filter, data
// leave as CSV. Nothing here builds HTML from text, and nothing asks the network.
(function () {
  "use strict";

  const EACH = (list, use) => Array.prototype.forEach.call(list, use);
  const all = (what, from) => (from || document).querySelectorAll(what);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  // ---- data: columns, of which values stand once ------------------------------------------------

  function column(packed) {
    if (Array.isArray(packed)) return packed;
    if (packed.values) return packed.places.map((at) => packed.values[at]);
    const out = [];
    for (const [value, times] of packed.stretches) for (let i = 0; i < times; i++) out.push(value);
    return out;
  }

  function rows(table) {
    const names = Object.keys(table);
    const columns = names.map((name) => column(table[name]));
    const count = columns.length ? columns[0].length : 0;
    const out = new Array(count);
    for (let i = 0; i < count; i++) {
      const row = {};
      for (let j = 0; j < names.length; j++) row[names[j]] = columns[j][i];
      out[i] = row;
    }
    return out;
  }

  function block(figure) {
    return JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  }

  // ---- charts -----------------------------------------------------------------------------------

  const common = JSON.parse(document.getElementById("common").textContent);

  // Put what specifications have in common back into them; a part is copied, since Vega writes in it.
  function whole(value) {
    if (value === null || typeof value !== "object") return value;
    if (Array.isArray(value)) return value.map(whole);
    if ("$" in value) return whole(common.parts[value.$]);
    const out = {};
    for (const name of Object.keys(value)) out[name] = whole(value[name]);
    return out;
  }

  function draw(figure) {
    if (figure.drawing) return figure.drawing;
    const { spec, data } = block(figure);
    const datasets = {};
    for (const name of Object.keys(data)) datasets[name] = rows(data[name]);
    const canvas = figure.querySelector(".canvas");
    figure.drawing = vegaEmbed(canvas, Object.assign(whole(spec), { datasets }), {
      mode: "vega-lite",
      logLevel: vega.Error, // a band that one run does not have is nothing to warn a reader of
      config: common.config,
      ast: true, // expressions are walked, not compiled: the page allows no eval
      actions: false,
      renderer: "svg", // whose texts and axes follow the colour of the page
      tooltip: { theme: dark.matches ? "dark" : "light" },
    }).then(
      (drawn) => {
        canvas.classList.remove("waiting");
        figure.view = drawn.view;
        figure.dataset.drawn = "yes";
      },
      (error) => {
        canvas.classList.remove("waiting");
        canvas.textContent = "This chart cannot be drawn: " + error.message;
        figure.dataset.drawn = "no";
        console.error(error);
      }
    );
    return figure.drawing;
  }

  const figures = all("figure.chart");
  if ("IntersectionObserver" in window) {
    const near = new IntersectionObserver(
      (seen) => EACH(seen, (one) => {
        if (!one.isIntersecting) return;
        near.unobserve(one.target);
        draw(one.target);
      }),
      { rootMargin: "600px" }
    );
    EACH(figures, (figure) => near.observe(figure));
  } else {
    EACH(figures, draw);
  }
  // What is seen first is there from the start, however long the summary above it is.
  const first = Array.prototype.find.call(figures, (one) => !one.closest("details:not([open])"));
  if (first) draw(first);

  function open_all() {
    EACH(all("details.experiment"), (one) => {
      if (!one.open) {
        one.dataset.folded = "yes";
        one.open = true;
      }
    });
    return Promise.all(Array.prototype.map.call(figures, draw));
  }

  window.addEventListener("beforeprint", open_all);
  window.addEventListener("afterprint", () =>
    EACH(all('details[data-folded="yes"]'), (one) => {
      one.open = false;
      delete one.dataset.folded;
    })
  );
  EACH(all("button[data-print]"), (button) =>
    button.addEventListener("click", () => open_all().then(() => window.print()))
  );

  // A link to what is folded opens it.
  function unfold() {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && document.getElementById(id);
    if (!target) return;
    for (let one = target; one; one = one.parentElement) {
      if (one.tagName === "DETAILS") one.open = true;
    }
    target.scrollIntoView();
  }
  window.addEventListener("hashchange", unfold);
  unfold();

  // ---- what leaves the page ---------------------------------------------------------------------

  function hand_out(name, type, text) {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  function cell(value) {
    if (value === null || value === undefined) return "";
    let text = String(value);
    // Spreadsheets run what begins like this; an apostrophe makes it text.
    if (/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text))) text = "'" + text;
    return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  }

  function csv(names, lines) {
    return [names, ...lines].map((line) => line.map(cell).join(",") + "\n").join("");
  }

  EACH(all("button[data-csv]"), (button) =>
    button.addEventListener("click", () => {
      const table = block(button.closest("figure")).data[button.dataset.csv];
      const names = Object.keys(table);
      const columns = names.map((name) => column(table[name]));
      const count = columns.length ? columns[0].length : 0;
      const lines = Array.from({ length: count }, (_, i) => columns.map((values) => values[i]));
      hand_out(button.dataset.file, "text/csv", csv(names, lines));
    })
  );

  EACH(all("button[data-svg]"), (button) =>
    button.addEventListener("click", () => {
      const figure = button.closest("figure");
      draw(figure)
        .then(() => figure.view.toSVG())
        .then((text) => hand_out(button.dataset.file, "image/svg+xml", text));
    })
  );

  // ---- tables -----------------------------------------------------------------------------------

  function key(row, at) {
    const one = row.cells[at];
    const text = one.dataset.v || one.textContent;
    return one.className === "number" && text !== "" ? Number(text) : text;
  }

  function compare(a, b) {
    if (a === "" || b === "") return (a === "") - (b === ""); // what is not there comes last
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  }

  function sort(table, at) {
    const heads = table.tHead.rows[0].cells;
    const falling = heads[at].getAttribute("aria-sort") === "ascending";
    EACH(heads, (head) => head.removeAttribute("aria-sort"));
    heads[at].setAttribute("aria-sort", falling ? "descending" : "ascending");
    const body = table.tBodies[0];
    const sorted = Array.from(body.rows).map((row) => [key(row, at), row]);
    sorted.sort(([a], [b]) => (a === "" || b === "" ? compare(a, b) : (falling ? -1 : 1) * compare(a, b)));
    sorted.forEach(([, row]) => body.appendChild(row));
  }

  function filter(listing, text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const lines = listing.querySelector("table").tBodies[0].rows;
    let shown = 0;
    EACH(lines, (row) => {
      const found = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => found.includes(word));
      shown += row.hidden ? 0 : 1;
    });
    const count = `${lines.length} row${lines.length === 1 ? "" : "s"}`;
    const told = shown === lines.length ? count : `${shown} of ${count}`;
    listing.querySelector(".shown").textContent = told;
    listing.querySelector("button[data-table]").textContent =
      shown === lines.length ? "CSV" : `CSV of ${told}`;
  }

  EACH(all(".listing"), (listing) => {
    const table = listing.querySelector("table");
    EACH(all("th button", table), (button) =>
      button.addEventListener("click", () => sort(table, button.parentElement.cellIndex))
    );
    const box = listing.querySelector('input[type="search"]');
    if (box) box.addEventListener("input", () => filter(listing, box.value));
    EACH(all("button[data-table]", listing), (button) =>
      button.addEventListener("click", () => {
        const names = Array.from(table.tHead.rows[0].cells, (head) => head.title);
        const lines = Array.from(table.tBodies[0].rows)
          .filter((row) => !row.hidden)
          .map((row) => names.map((_, at) => key(row, at)));
        hand_out(button.dataset.file, "text/csv", csv(names, lines));
      })
    );
  });

  // ---- a page that is rewritten while runs go on ------------------------------------------------

  const again = document.querySelector("input[data-every]");
  if (again) {
    setInterval(() => {
      const busy = document.activeElement && document.activeElement.type === "search";
      if (again.checked && !busy && !document.hidden) location.reload();
    }, Number(again.dataset.every) * 1000);
  }
})();
