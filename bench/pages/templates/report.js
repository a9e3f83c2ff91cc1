"use strict";
// Behaviour of the page: theme, and a table of all cells with sorting, filters, search and download. No network access.

const root = document.documentElement;
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

const source = document.getElementById("data");
if (source) {
  const data = JSON.parse(source.textContent);
  const PAGE = 100;
  const place = Object.fromEntries(data.columns.map((name, i) => [name, i]));
  for (const row of data.rows) while (row.length < data.columns.length) row.push(null);
  for (const [name, values] of Object.entries(data.levels)) for (const row of data.rows) row[place[name]] = values[row[place[name]]];
  const box = document.getElementById("cells");
  const head = box.querySelector("thead tr"), body = box.querySelector("tbody");
  const search = document.getElementById("search"), more = document.getElementById("more");
  const filters = [...box.querySelectorAll("select[data-filter]")];
  const state = { sort: null, down: false, shown: PAGE, rows: data.rows };

  const get = (row, name) => (name in place ? row[place[name]] : null);
  const text = (row) => row.join(" ").toLowerCase();
  const texts = new Map(data.rows.map((row) => [row, text(row)]));
  const make = (tag, content, attributes = {}) => {
    const node = document.createElement(tag);
    if (content !== undefined && content !== null) node.textContent = content;
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  const number = (value) => {
    if (typeof value !== "number") return value ?? "—";
    if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5)) return value.toExponential(2);
    return String(Number(value.toPrecision(3)));
  };
  const interval = (row, name) => {
    const low = get(row, name + "_low"), high = get(row, name + "_high");
    return low === null || high === null ? "" : `${number(low)} to ${number(high)}`;
  };

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
    state.rows = data.rows.filter(
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

  const said = (row) => get(row, "status").replaceAll("_", " ") + (get(row, "reason") ? `, ${get(row, "reason")}` : "");
  const numbered = (names) => Object.fromEntries(names.map((name, i) => [name, i]));
  const across = numbered(data.outcomes.problems), down = numbered(data.outcomes.estimators);
  const outcome = (estimator, problem) => data.rows[data.outcomes.places[down[estimator]][across[problem]]];

  for (const fields of document.querySelectorAll(".fields")) {
    const [x, y, width, height] = fields.dataset.box.split(" ").map(Number);
    const estimators = JSON.parse(fields.dataset.estimators), problems = JSON.parse(fields.dataset.problems);
    const [w, h] = [width / problems.length, height / estimators.length];
    const draw = (tag, attributes = {}) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
      return node;
    };
    estimators.forEach((estimator, i) => problems.forEach((problem, j) => {
      const row = outcome(estimator, problem);
      if (!row) return;
      const link = draw("a", { href: `#cell=${get(row, "cell")}`, tabindex: -1 }), title = draw("title");
      title.textContent = `${estimator} on ${problem}: ${said(row)}`;
      link.append(draw("rect", { x: x + j * w, y: y + i * h, width: w, height: h, fill: "transparent" }), title);
      fields.append(link);
    }));
  }

  const outcomes = document.getElementById("outcome-details");
  outcomes.addEventListener("toggle", () => {
    const { estimators, problems } = data.outcomes;
    const head = make("tr"), lines = estimators.map((estimator) => {
      const node = make("tr");
      node.append(make("th", estimator, { scope: "row" }), ...problems.map((problem) => {
        const row = outcome(estimator, problem), cell = make("td", row ? null : "—");
        if (row) cell.append(make("a", get(row, "status").replaceAll("_", " "), {
          class: `status-${get(row, "status")}`, href: `#cell=${get(row, "cell")}`, title: get(row, "reason") || get(row, "status"),
        }));
        return cell;
      }));
      return node;
    });
    head.append(...["estimator", ...problems].map((name) => make("th", name, { scope: "col" })));
    const top = make("thead"), rest = make("tbody");
    top.append(head);
    rest.append(...lines);
    outcomes.querySelector("table").replaceChildren(top, rest);
  }, { once: true });

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
    for (const name of ["status", "reason", "verdict", "stop_reason", "cell"]) add(name, get(row, name));
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

  update();
  open();
}
