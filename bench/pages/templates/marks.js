// The three marks of which all figures are made: a table of fields, rows of intervals on one axis, panels with two axes.

const WIDTH = 250, HEIGHT = 170, LEFT = 42, RIGHT = 10, TOP = 8, BOTTOM = 20, FIELDS = 24;
const svg = (tag, attributes = {}, content) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (content !== undefined) node.textContent = content;
  return node;
};
const finite = (values) => values.filter((value) => typeof value === "number" && Number.isFinite(value));
const positive = (values) => finite(values).filter((value) => value > 0);
const link = (row) => (row ? `#cell=${get(row, "cell")}` : null);

// Round ticks of a log axis: powers of ten, else also 2 and 5 times these, else every digit.
function ticks(low, high, most = 5) {
  const from = Math.floor(Math.log10(low)), to = Math.ceil(Math.log10(high));
  for (const digits of [[1], [1, 2, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9]]) {
    let found = [];
    for (let decade = from; decade <= to; decade++) for (const digit of digits) found.push(Number(`${digit}e${decade}`));
    found = found.filter((tick) => tick >= low && tick <= high);
    if (found.length >= (digits.length === 1 ? 3 : 2)) return found.filter((_, i) => i % Math.ceil(found.length / most) === 0);
  }
  return [low, high];
}
// Ticks of a linear axis: multiples of 1, 2 or 5 times a power of ten, at most seven.
function even_ticks(low, high) {
  const size = 10 ** Math.floor(Math.log10((high - low) / 6)), step = [1, 2, 5, 10].map((each) => each * size).find((each) => (high - low) / each <= 6);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}
const seconds = (value) => {
  const [unit, factor] = [["s", 1], ["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]].find(([, each]) => value >= each * 0.9999) ?? ["ps", 1e-12];
  return `${number(value / factor)} ${unit}`;
};

// An axis: `at` maps a value to 0..1; log where `log`, with some room at its ends.
function axis(values, { log = true, room = 0.04, at = null, format = number, most = 5 } = {}) {
  const known = log ? positive(values) : finite(values);
  if (!known.length) return null;
  const scale = log ? Math.log : (value) => value;
  let [low, high] = [scale(Math.min(...known)), scale(Math.max(...known))];
  if (high - low < 1e-9) [low, high] = [low - (log ? 0.7 : 0.5), high + (log ? 0.7 : 0.5)];
  [low, high] = [low - room * (high - low), high + room * (high - low)];
  const back = log ? Math.exp : (value) => value;
  const marks = at ?? (log ? ticks(back(low), back(high), most) : even_ticks(low, high));
  return { at: (value) => Math.min(1.02, Math.max(-0.02, (scale(value) - low) / (high - low))), ticks: marks, format };
}

// A table of estimators × problems. `field(estimator, problem)`: `{ text, look, title, row }` or null.
function fields(estimators, problems, field) {
  const parts = [];
  for (let i = 0; i < problems.length; i += FIELDS) parts.push(problems.slice(i, i + FIELDS));
  const drawn = parts.map((part) => {
    const box = make("div", null, { class: "scroll", tabindex: 0, role: "group", "aria-label": "A table of estimators and problems" });
    const table = make("table", null, { class: "fields" }), head = make("tr"), body = make("tbody"), top = make("thead");
    head.append(make("td"), ...part.map((problem) => {
      const cell = make("th", null, { scope: "col", title: problem }), name = make("span");
      name.append(...problem.split(" / ").map((line) => make("span", line)));
      cell.append(name);
      return cell;
    }));
    top.append(head);
    for (const estimator of estimators) {
      const line = make("tr", null, { "data-e": number_of[estimator] });
      line.append(named("th", estimator, { scope: "row" }), ...part.map((problem) => {
        const found = field(estimator, problem), cell = make("td", null, { class: found ? `mark ${found.look}` : "" });
        if (found) cell.append(make("a", found.text, { href: link(found.row), title: `${estimator} on ${problem}: ${found.title}`, tabindex: -1 }));
        return cell;
      }));
      body.append(line);
    }
    table.append(top, body);
    box.append(table);
    return box;
  });
  return folded(drawn, 1, "problems");
}

// The first `most` nodes, and the others in a part that unfolds.
function folded(nodes, most, noun) {
  if (nodes.length <= most) return nodes;
  const rest = make("details"), inner = make("div", null, { class: nodes[0].className === "panel" ? "panels" : "" });
  rest.append(make("summary", `Further ${noun}`), inner);
  const fill = () => inner.childElementCount || inner.append(...nodes.slice(most));
  rest.addEventListener("toggle", fill, { once: true });
  if (selection.paper) fill();
  return [...nodes.slice(0, most), rest];
}

// Rows of intervals on one log axis. A row: `{ estimator, marks: [{ value, low, high, wide, biased, title, row }], text, look }`,
// where `wide` are the ends of a second, thin interval, cut at the ends of the axis.
function strips(rows, { line = null, title = null, format = number } = {}) {
  const marks = rows.flatMap((row) => row.marks), box = make("div", null, { class: "strips" });
  const along = axis(marks.flatMap((mark) => [mark.value, mark.low, mark.high]).concat(line ?? []), { format, most: 4 });
  const left = (value) => `left:${(100 * along.at(value)).toFixed(2)}%`;
  if (title) box.append(make("h4", title));
  for (const row of rows) {
    const node = make("div", null, { class: `strip ${row.look ?? ""}`, "data-e": number_of[row.estimator] }), track = make("span", null, { class: "track" });
    if (along) for (const tick of along.ticks) track.append(make("i", null, { class: "tick", style: left(tick) }));
    if (along && line !== null) track.append(make("i", null, { class: "tick line", style: left(line) }));
    for (const mark of row.marks) {
      if (!(mark.value > 0)) { track.append(make("span", number(mark.value), { class: "zero", title: mark.title })); continue; }
      for (const [look, [low, high]] of [["thin bar mark", mark.wide ?? []], ["bar mark", [mark.low, mark.high]]]) {
        if (typeof low !== "number" || !(high > low)) continue;
        const [from, to] = [low > 0 ? along.at(low) : 0, along.at(high)].map((at) => Math.min(Math.max(at, 0), 1));
        track.append(make("i", null, { class: look, style: `left:${(100 * from).toFixed(2)}%;width:${(100 * (to - from)).toFixed(2)}%` }));
      }
      track.append(make(mark.row ? "a" : "i", null, { class: `dot mark${mark.biased ? " biased" : ""}`, style: left(mark.value), title: mark.title, href: link(mark.row), tabindex: mark.row ? -1 : null, "aria-label": mark.row ? mark.title : null }));
    }
    node.append(named("span", row.estimator, { class: "name" }), track);
    if (row.text !== undefined) {
      node.append(make("span", row.text[0], { class: "value" }));
      if (row.text[1]) node.lastChild.append(" ", make("small", row.text[1]));
    }
    box.append(node);
  }
  if (along) {
    const scale = make("div", null, { class: "strip scale", "aria-hidden": "true" }), track = make("span", null, { class: "track" });
    track.append(...along.ticks.map((tick) => make("span", along.format(tick), { style: left(tick) })));
    scale.append(make("span", null, { class: "name" }), track);
    if (rows.some((row) => row.text !== undefined)) scale.append(make("span", null, { class: "value" }));
    box.append(scale);
  }
  return box;
}

// The points that no other beats in both coordinates, by x.
function pareto(points) {
  const front = [];
  for (const point of [...points].sort((a, b) => a.x - b.x || a.y - b.y)) if (!front.length || point.y < front.at(-1).y) front.push(point);
  return front;
}

// A panel. `series`: `[{ estimator, points: [{ x, y, xl, xh, yl, yh, biased, title, row }], named }]`; `lines`: `[{ points, look }]`.
function panel(title, series, { across, up, joined = true, lines = [], note = "" }) {
  const box = make("div", null, { class: "panel" });
  box.append(make("h4", title));
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
  const x = (value) => LEFT + across.at(value) * (WIDTH - LEFT - RIGHT), y = (value) => HEIGHT - BOTTOM - up.at(value) * (HEIGHT - TOP - BOTTOM);
  for (const tick of up.ticks) picture.append(svg("path", { class: "grid", d: `M${LEFT} ${y(tick)}H${WIDTH - RIGHT}` }), svg("text", { x: LEFT - 4, y: y(tick) + 3, class: "end" }, up.format(tick)));
  for (const tick of across.ticks) picture.append(svg("path", { class: "grid", d: `M${x(tick)} ${TOP}V${HEIGHT - BOTTOM}` }), svg("text", { x: x(tick), y: HEIGHT - 6, class: "middle" }, across.format(tick)));
  const path = (points, steps) => points.map((p, i) => (i ? (steps ? `H${x(p.x)}V${y(p.y)}` : `L${x(p.x)} ${y(p.y)}`) : `M${x(p.x)} ${y(p.y)}`)).join("");
  for (const each of lines) picture.append(svg("path", { class: each.look, d: path(each.points, each.steps) }));
  const drawn = [...series].sort((a, b) => Boolean(a.named) - Boolean(b.named));
  for (const one of drawn) {
    const e = number_of[one.estimator], mine = svg("g", { class: "mark", "data-e": e, style: one.named ? `--mine: var(--c${e % 8})` : "" });
    if (joined && one.points.length > 1) mine.append(svg("path", { class: "join", d: path(one.points) }));
    for (const p of one.points) {
      if (p.yh > p.yl && p.yl > 0) mine.append(svg("path", { class: "range", d: `M${x(p.x)} ${y(p.yl)}V${y(p.yh)}` }));
      if (p.xh > p.xl && p.xl > 0) mine.append(svg("path", { class: "range", d: `M${x(p.xl)} ${y(p.y)}H${x(p.xh)}` }));
      const at = p.row ? svg("a", { href: link(p.row), tabindex: -1 }) : svg("g");
      at.append(p.biased ? svg("rect", { x: x(p.x) - 2.6, y: y(p.y) - 2.6, width: 5.2, height: 5.2 }) : svg("circle", { cx: x(p.x), cy: y(p.y), r: 2.9 }), svg("title", {}, `${one.estimator}: ${p.title}`));
      mine.append(at);
    }
    picture.append(mine);
  }
  const taken = [];
  for (const one of drawn) label(picture, one, one.points.map((p) => [x(p.x), y(p.y)]), taken);
  if (note) box.append(make("p", note));
  box.append(picture);
  return box;
}

// Writes a name beside one of its points, where no other name stands; the names of grey estimators show when pointed at.
function label(picture, one, points, taken) {
  const long = 5.3 * one.estimator.length, e = number_of[one.estimator];
  const places = points.slice().reverse().flatMap(([px, py]) => [[px + 6, py + 3], [px - long - 6, py + 3], [px - long / 2, py - 7], [px - long / 2, py + 13], [px + 4, py - 7], [px - long - 4, py + 13]]);
  const fits = ([left, base]) => left >= LEFT - 8 && left + long <= WIDTH - 1 && base > TOP + 4 && base < HEIGHT - BOTTOM + 4;
  const clear = ([left, base]) => taken.every(([l, b, w]) => left > l + w || l > left + long || Math.abs(base - b) > 8.5);
  const free = one.named ? places.find((each) => fits(each) && clear(each)) : places.find(fits);
  const [left, base] = free ?? [Math.max(2, WIDTH - long - 2), TOP + 6];
  if (free && one.named) taken.push([left, base, long]);
  const shown = one.named && free;
  picture.append(svg("text", { x: left, y: base, class: shown ? "name mark" : "named mark", "data-e": e, style: one.named ? `--mine: var(--c${e % 8})` : "" }, one.estimator));
}
