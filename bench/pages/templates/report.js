// Behaviour of the page: theme, print, and a table of all cells with sorting, filters, search and download. No network access.

const root = document.documentElement;
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

if (data) {
  start_selection();
  start_answers();
  draw_views();
  start_cells();
  start_paper();
}

// On paper everything is unfolded.
function start_paper() {
  let opened = [];
  const paper = (on) => {
    if (selection.paper === on) return;
    selection.paper = on;
    selected();
    if (on) for (const each of opened = [...document.querySelectorAll("details:not([open])")]) each.open = true;
    else for (const each of opened) each.open = false;
  };
  addEventListener("beforeprint", () => paper(true));
  addEventListener("afterprint", () => paper(false));
  const media = matchMedia("print");
  media.addEventListener("change", () => paper(media.matches));
}

function start_cells() {
  const PAGE = 100;
  const box = document.getElementById("cells");
  const head = box.querySelector("thead tr"), body = box.querySelector("tbody");
  const search = document.getElementById("search"), more = document.getElementById("more");
  const filters = [...box.querySelectorAll("select[data-filter]")];
  const state = { sort: null, down: false, shown: PAGE, rows: [] };

  const text = (row) => row.join(" ").toLowerCase();
  const texts = new Map(data.rows.map((row) => [row, text(row)]));
  for (const filter of filters) {
    const values = [...new Set(data.rows.map((row) => get(row, filter.dataset.filter)))];
    for (const value of values.filter((v) => v !== null && v !== "")) filter.append(make("option", value, { value }));
    filter.addEventListener("change", update);
  }
  search.addEventListener("input", update);
  more.addEventListener("click", () => { state.shown += 10 * PAGE; draw(); });

  for (const name of data.shown) {
    const measured = name in data.units || name === "samples";
    const cell = make("th", null, { scope: "col", class: measured ? "number" : "", "data-column": name });
    const button = make("button", name.replaceAll("_", " "), { type: "button", title: data.sentences[name] ?? "" });
    button.addEventListener("click", () => {
      state.down = state.sort === name && !state.down;
      state.sort = name;
      update();
    });
    cell.append(button);
    head.append(cell);
  }

  function compare(a, b) {
    const [x, y] = [get(a, state.sort), get(b, state.sort)];
    if (x === null || y === null) return (x === null) - (y === null); // missing values come last in both directions
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    return state.down ? -order : order;
  }

  function update() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = filters.filter((f) => f.value).map((f) => [f.dataset.filter, f.value]);
    state.rows = selection.rows.filter(
      (row) => words.every((word) => texts.get(row).includes(word)) && wanted.every(([n, v]) => get(row, n) === v),
    );
    if (state.sort) state.rows.sort(compare);
    for (const cell of head.children) {
      const mine = cell.dataset.column === state.sort;
      if (mine) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    state.shown = PAGE;
    draw();
  }

  function draw() {
    const rows = state.rows.slice(0, state.shown);
    body.replaceChildren(...rows.map(line));
    document.getElementById("count").textContent =
      `${state.rows.length} of ${data.rows.length} cells` + (rows.length < state.rows.length ? `, ${rows.length} shown` : "");
    more.hidden = rows.length >= state.rows.length;
  }

  function line(row) {
    const node = make("tr", null, { "data-cell": get(row, "cell") });
    for (const name of data.shown) {
      const value = get(row, name);
      if (name === "estimator") {
        const cell = make("td");
        const link = make("a", value, { href: `#cell=${get(row, "cell")}` });
        cell.append(link);
        node.append(cell);
        continue;
      }
      const kind = name in data.units || name === "samples" ? "number" : name === "status" || name === "verdict" ? `${name}-${value}` : "";
      const cell = make("td", kind === "number" ? number(value) : (value || "—").replaceAll("_", " "), { class: kind });
      if (name === "problem") cell.textContent = value;
      if (name === "verdict") cell.textContent = verdict(row);
      const ends = interval(row, name);
      if (ends) cell.append(make("small", ends));
      if (name === "status") cell.title = get(row, "reason") || value;
      node.append(cell);
    }
    node.addEventListener("click", (event) => {
      if (!event.target.closest("a")) location.hash = `cell=${get(row, "cell")}`;
    });
    return node;
  }

  const dialog = document.getElementById("detail");
  function open() {
    const id = /^#cell=(\w+)$/.exec(location.hash)?.[1];
    const row = id && data.rows.find((each) => get(each, "cell") === id);
    if (!row) return;
    document.getElementById("detail-title").textContent =
      `${get(row, "estimator")} on ${get(row, "problem")}, n = ${get(row, "samples")}`;
    const table = make("table");
    const add = (name, value, title) => {
      if (value === null || value === "" || value === undefined) return;
      const one = make("tr");
      one.append(make("th", name.replaceAll("_", " "), { scope: "row", title: title ?? "" }), make("td", value));
      table.append(one);
    };
    for (const name of ["status", "reason", "verdict", "stop_reason", "cell"]) add(name, name === "verdict" && get(row, name) ? verdict(row) : get(row, name));
    for (const name of Object.keys(data.units)) {
      const value = get(row, name), ends = interval(row, name), unit = data.units[name];
      if (value !== null) add(name, `${number(value)}${unit === "1" ? "" : ` ${unit}`}${ends ? ` (${ends})` : ""}`, data.sentences[name]);
    }
    document.getElementById("detail-body").replaceChildren(table);
    for (const other of body.querySelectorAll(".chosen")) other.classList.remove("chosen");
    body.querySelector(`[data-cell="${id}"]`)?.classList.add("chosen");
    if (!dialog.open) dialog.showModal();
  }
  dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
  addEventListener("hashchange", open);

  document.getElementById("download").addEventListener("click", () => {
    const quote = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    const lines = [data.columns, ...state.rows].map((row) => row.map((value) => quote(String(value ?? ""))).join(","));
    const link = make("a", null, { download: "cells.csv", href: URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  followers.push(update);
  selected();
  open();
}
