"use strict";
// The cells, how a value is written, and what is selected: filters, the quantity held equal, an estimator to highlight.

const source = document.getElementById("data");
const data = source && JSON.parse(source.textContent);
const selection = { chosen: {}, equal: data && Object.keys(data.equal).at(-1), rows: [], places: new Set(), paper: false };
const place = data ? Object.fromEntries(data.columns.map((name, i) => [name, i])) : {};
const get = (row, name) => (name in place ? row[place[name]] : null);
const number_of = data ? Object.fromEntries(data.order.map((name, i) => [name, i])) : {}; // estimator → its number

if (data) {
  for (const row of data.rows) while (row.length < data.columns.length) row.push(null);
  for (const [name, values] of Object.entries(data.levels)) for (const row of data.rows) row[place[name]] = values[row[place[name]]] ?? null;
}

const make = (tag, content, attributes = {}) => {
  const node = document.createElement(tag);
  if (content !== undefined && content !== null) node.textContent = content;
  for (const [name, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(name, value);
  return node;
};

// A name that may break after an underscore, a bracket or a comma, and nowhere else.
const named = (tag, text, attributes = {}) => {
  const node = make(tag, null, attributes);
  node.append(...text.split(/(?<=[_(,=])/).flatMap((part, i) => (i ? [document.createElement("wbr"), part] : [part])));
  return node;
};

// Three significant digits, a power of ten where a number is very large or small.
function number(value, digits = 3) {
  if (typeof value !== "number") return value ?? "—";
  if (value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4)) {
    return Math.abs(value) < 10 ** digits - 0.5 ? String(Number(value.toPrecision(digits))) : value.toFixed(0);
  }
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const power = "10" + [...String(Number(exponent))].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("");
  return Number(mantissa) === 1 ? power : `${Number(mantissa)}×${power}`;
}
// A bound, rounded up to two digits: what is said to be below it, is.
function bound(value) {
  if (!(value > 0)) return number(value);
  const digit = 10 ** (Math.floor(Math.log10(value)) - 1);
  return number(Math.ceil(value / digit - 1e-9) * digit, 2);
}
const between = (low, high) => (typeof low !== "number" || typeof high !== "number" ? "" : `${number(low)} to ${number(high)}`);
const interval = (row, name) => between(get(row, name + "_low"), get(row, name + "_high"));
const words = (text) => String(text).replaceAll("_", " ");
const distinct = (values) => [...new Set(values)];
const groups = (rows, key) => {
  const found = new Map();
  for (const row of rows) (found.get(key(row)) ?? found.set(key(row), []).get(key(row))).push(row);
  return found;
};
// The bound on the relative bias that was reached; on the bias itself, with a star, where the gradient is too near to 0.
const reached = (row) => {
  const [relative, plain] = [get(row, "relative_bias_high"), get(row, "bias_high")];
  return relative !== null ? `≤${bound(relative)}` : plain !== null ? `≤${bound(plain)}*` : "";
};
const verdict = (row) => (get(row, "verdict") === "unclear" && reached(row) ? `unclear: ${reached(row)}` : get(row, "verdict") || "—");

const index = new Map(data?.rows.map((row, i) => [row, i]));
function select() {
  const wanted = Object.entries(selection.chosen).filter(([, value]) => value !== "");
  selection.rows = data.rows.filter((row) => wanted.every(([name, value]) => String(get(row, name)) === value));
  selection.places = new Set(selection.rows.map((row) => index.get(row)));
  selection.all = !wanted.length;
}

// Draws again whatever depends on the selection; others add themselves.
const followers = [];
function selected() {
  select();
  for (const follow of followers) follow();
}

function highlight(number) {
  document.getElementById("hot").textContent = number === "" || number === undefined ? "" :
    `[data-e]:not([data-e="${number}"]) .mark, .mark[data-e]:not([data-e="${number}"]) { opacity: .13; }
     tr[data-e]:not([data-e="${number}"]) .mark { opacity: .45; }
     .mark[data-e="${number}"], [data-e="${number}"] .mark { opacity: 1; --mine: var(--hot); }
     tr[data-e="${number}"] th, .strip[data-e="${number}"] .name { color: var(--hot); }
     .named[data-e="${number}"] { display: inline; }`;
}

function start_selection() {
  document.head.append(make("style", "", { id: "hot" }));
  const reset = document.getElementById("reset"), hot = document.getElementById("highlight");
  for (const field of document.querySelectorAll("[data-select]")) {
    const values = distinct(data.rows.map((row) => get(row, field.dataset.select)));
    for (const value of values.every((each) => each === null || typeof each === "number") ? values.sort((a, b) => a - b) : values) {
      if (value !== null && value !== "") field.append(make("option", value, { value }));
    }
    field.addEventListener("change", () => {
      selection.chosen[field.dataset.select] = field.value;
      selected();
    });
  }
  for (const name of [...data.order].sort()) if (data.rows.some((row) => get(row, "estimator") === name)) hot.append(make("option", name, { value: number_of[name] }));
  hot.addEventListener("change", () => highlight(hot.value));
  document.addEventListener("pointerover", (event) => highlight(event.target.closest?.("[data-e]")?.dataset.e ?? hot.value));
  const equal = document.getElementById("equal");
  if (equal) equal.value = selection.equal;
  equal?.addEventListener("change", (event) => {
    selection.equal = event.target.value;
    selected();
  });
  reset.addEventListener("click", () => {
    for (const field of document.querySelectorAll("[data-select], #highlight")) field.value = "";
    selection.chosen = {};
    highlight("");
    selected();
  });
  followers.push(() => {
    reset.hidden = selection.all;
    document.getElementById("selected").textContent = selection.all ? "" : `${selection.rows.length} of ${data.rows.length} cells selected`;
    for (const node of document.querySelectorAll(".whole")) node.hidden = selection.all;
    const problems = distinct(selection.rows.map((row) => get(row, "problem")));
    for (const node of document.querySelectorAll("[data-note]")) node.hidden = !selection.all && !problems.some((problem) => node.textContent.startsWith(`${problem}: `));
    for (const node of document.querySelectorAll("[data-status]")) node.textContent = selection.rows.filter((row) => get(row, "status") === node.dataset.status).length;
    for (const node of document.querySelectorAll(".way")) node.textContent = data.equal[selection.equal] ? `at ${data.equal[selection.equal]}` : "";
  });
}
