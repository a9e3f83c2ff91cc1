// The figures and tables of the page, by the name of their place: each returns nodes for the selected cells, or nothing.

const NAMED = 3, MOST_BIASED = 40, PANELS = matchMedia("(max-width: 40rem)").matches ? 6 : 24; // names in a panel, and panels before the fold
const worst = (rows, name, order) => rows.reduce((a, b) => (order.indexOf(get(b, name)) > order.indexOf(get(a, name)) ? b : a));
const estimators_of = (rows) => data.order.filter((name) => rows.some((row) => get(row, "estimator") === name));
const problems_of = (rows) => distinct(rows.map((row) => get(row, "problem")));
const on = (rows) => groups(rows, (row) => `${get(row, "estimator")}\n${get(row, "problem")}`);
const measured = (...names) => selection.rows.filter((row) => names.every((name) => typeof get(row, name) === "number"));
const said = (row) => words(get(row, "status")) + (get(row, "reason") ? `, ${get(row, "reason")}` : "");

const views = {
  ranking(equal) {
    const rows = ranked().filter((row) => row.equal === equal);
    const panels = [...groups(rows, (row) => row.kind ?? "")].map(([kind, own]) => strips(own.map((row) => ({
      estimator: row.estimator,
      text: [number(row.ratio), row.ratio_low < row.ratio_high ? between(row.ratio_low, row.ratio_high) : row.apart ? "apart" : ""],
      look: row.apart ? "apart" : "",
      marks: [{ value: row.ratio, low: row.ratio_low, high: row.ratio_high, wide: [row.problems_low, row.problems_high], biased: row.biased_on > 0, title: about(row) }],
    })), { line: 1, title: headline(kind, own) }));
    return panels.length ? [grid(panels, "rankings")] : [];
  },

  bias_matrix() {
    const cells = on(selection.rows.filter((row) => data.verdicts.includes(get(row, "verdict"))));
    return matrix(cells, (rows) => {
      const row = worst(rows, "verdict", data.verdicts), word = get(row, "verdict");
      const same = rows.filter((each) => get(each, "verdict") === word);
      const most = word === "biased" ? "relative_bias" : "relative_bias_high";
      const shown = same.reduce((a, b) => ((get(b, most) ?? -1) > (get(a, most) ?? -1) ? b : a)), large = get(shown, most);
      const text = { biased: large === null ? "B" : number(large, 2), unclear: reached(shown) || "?", unbiased: "✓" }[word];
      const more = word === "biased" ? `relative bias ${number(get(shown, "relative_bias"))} (${interval(shown, "relative_bias")})` : `bias ${reached(shown)}`;
      return { text, look: `verdict ${word}`, title: [word, more, get(shown, "reason")].filter(Boolean).join("; "), row: shown };
    });
  },

  scale_and_cosine() {
    const rows = measured("scale", "cosine").filter((row) => get(row, "verdict") === "biased");
    const across = axis([...rows.map((row) => get(row, "scale")), 1], { log: false }), up = axis([...rows.map((row) => get(row, "cosine")), 1], { log: false });
    if (!rows.length || !across || !up) return [];
    const series = [...groups(rows, (row) => get(row, "estimator"))].map(([estimator, own]) => ({ estimator, named: true, points: own.map((row) => point(row, "scale", "cosine", "problem")) }));
    const [x, y] = [across, up].map((each, i) => [Math.min(...rows.map((row) => get(row, i ? "cosine" : "scale")), 1), Math.max(...rows.map((row) => get(row, i ? "cosine" : "scale")), 1)]);
    const lines = [{ look: "line", points: x.map((value) => ({ x: value, y: 1 })) }, { look: "line", points: y.map((value) => ({ x: 1, y: value })) }];
    return [grid([panel("cosine to the exact gradient, against scale", series, { across, up, joined: false, lines })], "panels large")];
  },

  relative_variance(equal) {
    const cells = on(selection.rows), pairs = pairs_at(equal), ratios = new Map();
    for (const [key, rows] of cells) {
      const found = rows.map((row) => pairs.get(row)).filter(Boolean);
      if (found.length) ratios.set(key, found.map((pair) => pair));
    }
    const kept = new Map([...cells].filter(([key]) => ratios.has(key)));
    return matrix(kept, (rows, key) => {
      const { value, low, high } = geometric(ratios.get(key)), open = low < high && low <= 1 && high >= 1;
      const problem = get(rows[0], "problem");
      const ends = typeof low === "number" ? ` (${between(low, high)})` : "";
      return { text: number(value, 2) + (open ? "?" : ""), look: shade(value), title: `${number(value)}${ends} times the variance of ${data.baselines[problem]}, at ${data.equal[equal]}`, row: rows[0] };
    });
  },

  variance(equal) {
    const x = { samples: "samples", evaluations: "evaluations", seconds: "seconds_per_estimate" }[equal ?? "samples"];
    return panels(measured(x, "variance"), x, "variance", {
      format: x === "seconds_per_estimate" ? seconds : number, joined: true, front: x !== "samples", slope: x === "samples",
      title: "problem", counted: x !== "seconds_per_estimate",
    });
  },

  trajectory() {
    const rows = measured("turn", "variance").filter((row) => get(row, "variance") > 0);
    return panels(rows, "turn", "variance", { title: "model", places: "point" });
  },

  throughput: () => panels(measured("estimates_per_second"), "samples", "estimates_per_second", { counted: true, most: true, title: "problem" }),

  throughput_by_batch() {
    const rows = [...groups(measured("batch", "estimates_per_second"), (row) => [get(row, "estimator"), get(row, "problem"), get(row, "samples")].join("\n")).values()].filter((own) => own.length > 1).flat();
    return panels(rows, "batch", "estimates_per_second", { counted: true, most: true, title: "problem", limit: true });
  },

  distance_from_limit() {
    const rows = measured("times_of_limit");
    return rows.length ? [strips(dots(rows, "times_of_limit"), { line: 1 })] : [];
  },

  fitting() {
    const rows = measured("fit_seconds", "seconds_per_estimate").filter((row) => get(row, "fit_seconds") > 0);
    const marks = (row) => ({ value: get(row, "fit_seconds") / get(row, "seconds_per_estimate"), title: `${where(row)}: ${seconds(get(row, "fit_seconds"))}`, row });
    return rows.length ? [strips(estimators_of(rows).map((estimator) => ({ estimator, marks: rows.filter((row) => get(row, "estimator") === estimator).map(marks) })))] : [];
  },

  outcome_matrix() {
    return matrix(on(selection.rows), (rows) => {
      const row = worst(rows, "status", data.statuses), word = get(row, "status");
      const text = { ok: "✓", not_applicable: "·", failed: "F", timeout: "T", crashed: "C", out_of_memory: "M", nonfinite: "N" }[word] ?? "?";
      return { text, look: `status ${word}`, title: said(row), row };
    });
  },
};

const tables = {
  ranking() {
    const rows = ranked(), equals = Object.keys(data.equal).filter((equal) => rows.some((row) => row.equal === equal));
    const most = (own, name) => String(Math.max(...own.map((row) => row[name] ?? 0)));
    return [...groups(rows, (row) => row.kind)].flatMap(([kind, all]) => [make("h3", headline(kind, all)), listed(
      ["estimator", ...equals.map((equal) => `at ${data.equal[equal]}`), "problems", "without variance on", "shown biased on", "apart"],
      [...groups(all, (row) => row.estimator)].map(([estimator, own]) => [estimator, ...equals.map((equal) => {
        const row = own.find((each) => each.equal === equal);
        return row && typeof row.ratio === "number" ? [number(row.ratio), between(row.ratio_low, row.ratio_high), between(row.problems_low, row.problems_high)] : "—";
      }), most(own, "problems"), most(own, "without_variance"), most(own, "biased_on"), own.find((row) => row.apart)?.apart ?? ""]), `Ranking on ${kind}`, 1)]);
  },
  biased() {
    const rows = by_harm(selection.rows), columns = ["estimator", "problem", "n", "relative bias", "direction", "angle, degrees", "scale", "⟨E ĝ, g⟩ ÷ ‖g‖²"];
    if (!rows.length) return [];
    const lines = rows.slice(0, MOST_BIASED).map((row) => [
      get(row, "estimator"), get(row, "problem"), String(get(row, "samples")), ...["relative_bias", "direction", "angle", "scale_verdict", "scale"].map((name) => (
        name in data.units ? [number(get(row, name)), interval(row, name)] : get(row, name) ?? ""))]);
    const more = rows.length > MOST_BIASED ? [make("p", `The first ${MOST_BIASED} of ${rows.length}.`, { class: "soft" })] : [];
    return [listed(columns, lines, "Biased cells, the most harmful first", 1), ...more];
  },
  failures() {
    const lost = selection.rows.filter((row) => !["ok", "not_applicable"].includes(get(row, "status")));
    const rest = selection.rows.some((row) => get(row, "status") === "not_applicable");
    if (!lost.length) return [make("p", rest ? "Every cell that fits was measured." : "Every cell was measured.")];
    return [make("h3", "Failures and reasons"), reasons(lost)];
  },
  unfit() {
    const lost = selection.rows.filter((row) => get(row, "status") === "not_applicable");
    return lost.length ? [reasons(lost)] : [make("p", "Every pair fits.")];
  },
};

const headline = (kind, rows) => `${kind || "all problems"}: variance ÷ ${rows[0].baseline ?? data.baseline}'s`;
const where = (row) => `${get(row, "problem")}, n = ${get(row, "samples")}`;
const about = (row) => [
  typeof row.ratio === "number" ? `${number(row.ratio)} (${between(row.ratio_low, row.ratio_high)}) times ${row.baseline ?? data.baseline}` : "",
  typeof row.problems_low === "number" ? `over other problems ${between(row.problems_low, row.problems_high)}` : "",
  `on ${row.problems} problems`, row.without_variance > 0 ? `without variance on ${row.without_variance}` : "",
  row.biased_on > 0 ? `shown biased on ${row.biased_on}` : "not shown biased", row.apart ?? "",
].filter(Boolean).join("; ");

function grid(nodes, look) {
  const box = make("div", null, { class: look });
  box.append(...nodes);
  return box;
}

function matrix(cells, field) {
  const rows = [...cells.values()].flat();
  return rows.length ? fields(estimators_of(rows), problems_of(rows), (estimator, problem) => {
    const key = `${estimator}\n${problem}`, own = cells.get(key);
    return own ? field(own, key) : null;
  }) : [];
}

// The ratios to the baseline of the selected cells.
function pairs_at(equal) {
  const found = new Map(), i = Object.keys(data.equal).indexOf(equal);
  for (const pair of data.pairs) if (pair[0] === i && selection.places.has(pair[1])) found.set(data.rows[pair[1]], pair.slice(2));
  return found;
}

// The mean of the logarithms, as a ratio; half-widths add in squares, as in `bench.statistics.ratios.middle`.
function geometric(ratios) {
  const logs = ratios.map((ratio) => ratio.map((value) => (typeof value === "number" ? Math.log(value) : NaN)));
  const centre = logs.reduce((sum, [value]) => sum + value, 0) / logs.length;
  const reach = (end) => Math.sqrt(logs.reduce((sum, each) => sum + (Number.isFinite(each[end] - each[0]) ? (each[end] - each[0]) ** 2 : 0), 0)) / logs.length;
  return { value: Math.exp(centre), low: Math.exp(centre - reach(1)), high: Math.exp(centre + reach(2)) };
}

// One of nine shades, by the ratio.
function shade(ratio) {
  const size = Math.abs(Math.log10(ratio)), step = [0.02, 0.15, 0.5, 1, 2].filter((least) => size > least).length;
  return step === 0 ? "shade" : `shade ${ratio < 1 ? "less" : "more"}${Math.min(step, 4)}`;
}

function point(row, x, y, said_by) {
  const ends = (name, end) => get(row, name + end);
  return {
    x: get(row, x), y: get(row, y), xl: ends(x, "_low"), xh: ends(x, "_high"), yl: ends(y, "_low"), yh: ends(y, "_high"),
    biased: get(row, "verdict") === "biased", row,
    title: `${said_by ? get(row, said_by) + ", " : ""}n = ${get(row, "samples")}, ${words(y)} ${number(get(row, y))}${interval(row, y) ? ` (${interval(row, y)})` : ""}`,
  };
}

function panels(rows, x, y, { title, format = number, front = false, slope = false, counted = false, most = false, places = null, limit = false }) {
  const drawn = [...groups(rows, (row) => get(row, title))].map(([name, all]) => {
    const own = all.filter((row) => get(row, y) > 0 && (places || get(row, x) > 0));
    const zeros = distinct(all.filter((row) => get(row, y) === 0).map((row) => get(row, "estimator")));
    if (!own.length) return null;
    const steps = places ? distinct([...own].sort((a, b) => get(a, x) - get(b, x)).map((row) => get(row, places))) : null;
    const series = [...groups(own, (row) => get(row, "estimator"))].map(([estimator, mine]) => ({
      estimator,
      points: mine.map((row) => ({ ...point(row, x, y), ...(steps ? { x: steps.indexOf(get(row, places)) } : {}) })).sort((a, b) => a.x - b.x),
    }));
    const best = pareto(series.flatMap((one) => one.points.map((p) => ({ ...p, estimator: one.estimator }))));
    name_leaders(series, front ? best.map((p) => p.estimator) : [], most);
    const xs = series.flatMap((one) => one.points.map((p) => p.x)), counts = distinct(xs).sort((a, b) => a - b);
    const thin = counts.filter((_, i) => i % Math.ceil(counts.length / 5) === 0);
    const across = steps ? axis(xs, { log: false, at: steps.map((_, i) => i), room: 0.12, format: (i) => steps[i] }) : axis(xs, { at: counted ? thin : null, room: 0.08, format, most: 3 });
    const up = axis(series.flatMap((one) => one.points.flatMap((p) => [p.y, p.yl, p.yh])), { room: 0.06 });
    const lines = [];
    if (front) lines.push({ look: "front", points: best, steps: true });
    if (slope && counts.length > 1) {
      const top = Math.max(...series.flatMap((one) => one.points.filter((p) => p.x === counts[0]).map((p) => p.y)));
      lines.push({ look: "slope", points: [counts[0], counts.at(-1)].map((n) => ({ x: n, y: top * counts[0] / n })) });
    }
    if (limit) for (const one of series) {
      const least = one.points.filter((p) => get(p.row, "random_seconds_per_estimate") > 0).map((p) => ({ x: p.x, y: 1 / get(p.row, "random_seconds_per_estimate") }));
      if (least.length > 1) lines.push({ look: "limit", points: least });
    }
    return panel(name, series, { across, up, joined: !front || counts.length < 40, lines, note: zeros.length ? `without variance: ${zeros.join(", ")}` : "" });
  }).filter(Boolean);
  if (!drawn.length) return [];
  const [shown, rest] = [drawn.slice(0, PANELS), folded(drawn, PANELS, "problems").at(-1)];
  return drawn.length > PANELS ? [grid(shown, "panels"), rest] : [grid(shown, "panels")];
}

// Names the estimators that matter in a panel: those on the front, the best that are not biased, and the baseline.
function name_leaders(series, front, most) {
  const last = (one) => one.points.at(-1).y * (most ? -1 : 1);
  const honest = series.filter((one) => !one.points.some((p) => p.biased));
  const work = (one) => Math.min(...one.points.map((p) => (front.length ? p.x : 1) * last({ points: [p] })));
  const best = [...honest].sort((a, b) => work(a) - work(b)).slice(0, NAMED).map((one) => one.estimator);
  const chosen = distinct([...front, ...best]);
  for (const one of series) one.named = chosen.includes(one.estimator) || one.estimator === data.baseline;
}

function dots(rows, name) {
  return estimators_of(rows).map((estimator) => ({
    estimator,
    marks: rows.filter((row) => get(row, "estimator") === estimator).map((row) => ({
      value: get(row, name), low: get(row, name + "_low"), high: get(row, name + "_high"), title: `${where(row)}: ${number(get(row, name))} (${interval(row, name)})`, row,
    })),
  }));
}

// A table; the first `heads` columns head their rows, the others are numbers, but for names and words.
function listed(columns, lines, name, heads) {
  const look = (i) => (i < heads || ["apart", "problem", "direction", "scale"].includes(columns[i]) ? "" : "number");
  const box = make("div", null, { class: "scroll", tabindex: 0, role: "group", "aria-label": name }), table = make("table");
  const head = make("tr"), top = make("thead"), body = make("tbody");
  head.append(...columns.map((column, i) => make("th", column, { scope: "col", class: look(i) })));
  top.append(head);
  for (const line of lines) {
    const node = make("tr", null, { "data-e": number_of[line.find((text) => text in number_of)] ?? null });
    node.append(...line.map((text, i) => {
      const cell = named(i < heads ? "th" : "td", [text].flat()[0], { scope: i < heads ? "row" : null, class: look(i) });
      if (Array.isArray(text)) cell.append(...text.slice(1).filter(Boolean).map((more) => make("small", more)));
      return cell;
    }));
    body.append(node);
  }
  table.append(top, body);
  box.append(table);
  return box;
}

function reasons(lost) {
  const several = (values, noun) => (distinct(values).length <= 3 ? distinct(values).sort().join("; ") : `${distinct(values).length} ${noun}`);
  const found = [...groups(lost, (row) => `${get(row, "status")}\n${get(row, "reason")}`).values()].sort((a, b) => b.length - a.length);
  return listed(["status", "reason", "estimators", "problems", "cells"], found.map((rows) => [
    words(get(rows[0], "status")), get(rows[0], "reason") || "no reason given", several(rows.map((row) => get(row, "estimator")), "estimators"),
    several(rows.map((row) => get(row, "problem")), "problems"), String(rows.length),
  ]), "Cells that were not measured", 4);
}

// Fills every place; a folded one when it is opened. On paper all is open, and what has a switch is there in each position.
function draw_views() {
  const fill = (node, drawn) => node.querySelector(".drawing").replaceChildren(...(drawn.length ? drawn : [make("p", "Nothing of this in the selection.", { class: "soft" })]));
  const place_of = (node, draw) => {
    const fold = node.closest("details");
    const now = () => (fold && !fold.open && !selection.paper ? node.querySelector(".drawing").replaceChildren() : draw());
    fold?.addEventListener("toggle", now);
    followers.push(now);
  };
  for (const figure of document.querySelectorAll("[data-view]")) {
    const captions = [...figure.querySelectorAll("[data-equal]")], view = views[figure.dataset.view];
    place_of(figure, () => {
      const equals = figure.dataset.view === "ranking" || captions.length ? Object.keys(data.equal) : [];
      if (!selection.paper || equals.length < 2) fill(figure, view(selection.equal));
      else fill(figure, equals.flatMap((equal) => [make("h3", `At ${data.equal[equal]}`), ...view(equal)]));
      for (const caption of captions) caption.hidden = !selection.paper && caption.dataset.equal !== selection.equal;
    });
  }
  for (const node of document.querySelectorAll("[data-table]")) place_of(node, () => fill(node, tables[node.dataset.table]()));
}
