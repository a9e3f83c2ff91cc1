// Rankings of the selected cells, as `bench.analysis.ranking` makes them: on each kind of problem, estimators compared on
// the problems that they share, by least squares of log variance = estimator + problem.

const METRIC = { samples: "variance", evaluations: "variance_per_evaluation", seconds: "work_normalised_variance" };
const FEWEST_COMMON = 3, COMMON_SHARE = 3, WIDEST = 50, TOUCHED = 1e-9, SINGULAR = 1e-9, AGREES_TO = 2e-3; // page numbers have four digits
const DISAGREES = "its place depends on the problems: the ranking and a direct comparison with another estimator disagree";
const decimal = (value) => (typeof value === "number" ? value : value === "inf" ? Infinity : NaN);
const sum = (values) => values.reduce((total, value) => total + value, 0);
const earlier = new Set(data?.earlier.map((i) => data.rows[i])); // cells that were measured again
const identity = (row) => get(row, "identity") ?? get(row, "problem"); // the same on every device
const count_of = (rows, key) => new Set(rows.map(key)).size;

// The rows of the figure and the table: those of the whole table for whole kinds, else those of the selected cells.
function ranked() {
  const { kind = "", ...others } = selection.chosen;
  if (Object.values(others).every((value) => value === "")) return data.ranking.filter((row) => kind === "" || row.kind === kind);
  return rankings(selection.rows).flatMap((ranking) => ranking.lines());
}

function rankings(rows) {
  const own = rows.filter((row) => !earlier.has(row)), chosen = own.some((row) => get(row, "estimator") === data.baseline) ? data.baseline : most_measured(own, "variance");
  return kinds_of(own).flatMap(([kind, cells]) => Object.keys(data.equal).map((equal) => ranking_of(cells, kind, equal, chosen)).filter(Boolean));
}

const kinds_of = (rows) => [...groups(rows, (row) => get(row, "kind") ?? "")].sort(([a], [b]) => data.kinds.indexOf(a) - data.kinds.indexOf(b));

// Those never shown biased first, of these those measured on most problems.
function most_measured(rows, metric) {
  const measured = [...groups(rows.filter((row) => typeof get(row, metric) === "number"), (row) => get(row, "estimator"))];
  const rank = ([name, own]) => [own.some((row) => get(row, "verdict") === "biased"), -count_of(own, (row) => get(row, "problem")), name];
  return measured.map(rank).sort((a, b) => a[0] - b[0] || a[1] - b[1] || (a[2] < b[2] ? -1 : 1))[0]?.[2];
}

// The estimators of one kind that can be compared at one quantity held equal, best first; nothing where no two can.
function ranking_of(rows, kind, equal, chosen) {
  const metric = METRIC[equal], every = rows.filter((row) => typeof get(row, metric) === "number" && get(row, metric) >= 0);
  const cells = every.filter((row) => get(row, metric) > 0), setting = (row) => [get(row, "problem"), get(row, "samples"), equal === "seconds" ? get(row, "env") : ""].join("\n");
  const sizes = new Map([...groups(cells, setting)].map(([key, own]) => [key, own.length])), shared = cells.filter((row) => sizes.get(setting(row)) > 1);
  if (!shared.length) return null;
  const estimators = (of) => distinct(of.map((row) => get(row, "estimator"))).sort(), apart = new Map();
  const mine = (names) => {
    const wanted = new Set(names);
    return cells.filter((row) => wanted.has(get(row, "estimator")));
  };
  const kept = (names, keep, why) => {
    const left = names.filter((_, i) => keep[i]);
    for (const name of names) if (!left.includes(name)) apart.set(name, why(name, left));
    return left;
  };
  let names = estimators(cells);
  for (const name of estimators(every)) if (!names.includes(name)) apart.set(name, "has no variance on any problem");
  names = kept(names, sharing(names, cells, setting), (name, left) => too_few(name, left, cells, setting));
  let model = null;
  while (names.length !== model?.names.length) {
    model = additive(names, mine(names), metric, setting);
    names = kept(names, agreeing(model), () => DISAGREES);
  }
  const place_of = new Map(names.map((name, i) => [name, i]));
  const level = (name) => Math.round(1e9 * model.effects[place_of.get(name)]);
  names = [...names].sort((a, b) => level(a) - level(b));
  const baseline = names.includes(chosen) ? chosen : most_measured(mine(names), metric) ?? chosen;
  const ratio = (one, other) => model.ratio(place_of.get(one), place_of.get(other));
  const direct = (one, other) => {
    const of = new Map(cells.filter((row) => get(row, "estimator") === other).map((row) => [setting(row), row]));
    const above = cells.filter((row) => get(row, "estimator") === one && of.has(setting(row)));
    return cells.some((row) => get(row, "estimator") === one) ? mean_ratio(above.map((row) => [row, of.get(setting(row))]), metric) : { value: 0, low: 0, high: 0, wide: [0, 0] };
  };
  const lines = () => [...names, ...apart.keys()].map((estimator) => {
    const found = (names.includes(estimator) ? ratio : direct)(estimator, baseline);
    const on = (of, test) => count_of(of.filter((row) => get(row, "estimator") === estimator && test(row)), identity);
    return {
      kind, equal, estimator, baseline, ratio: known(found.value), ratio_low: known(found.low), ratio_high: known(found.high), problems_low: known(found.wide[0]), problems_high: known(found.wide[1]),
      problems: on(shared, () => true), of_problems: count_of(shared, identity), without_variance: on(every, (row) => get(row, metric) === 0),
      biased_on: on(every, (row) => get(row, "verdict") === "biased"), apart: apart.get(estimator) ?? "",
    };
  });
  return { kind, equal, names, baseline, ratio, lines, of_problems: count_of(shared, identity), problems: (name) => count_of(shared.filter((row) => get(row, "estimator") === name), identity) };
}

const known = (value) => (Number.isNaN(value) ? null : value);

// The distances of a cell's logarithm to the ends of its interval: 0 without one, at most `WIDEST`.
function log_cell(row, metric) {
  const [value, low, high] = ["", "_low", "_high"].map((end) => Math.log(decimal(get(row, metric + end))));
  const half = (distance) => (Number.isNaN(distance) ? 0 : Math.min(Math.max(distance, 0), WIDEST));
  return { log: value, down: half(value - low), up: half(high - value) };
}

// The fit of log y = row + column, each problem weighted alike (`bench.statistics.additive`). With m_c the estimators measured in a
// setting and u_c its weight, the settings drop out: L effects = Σ u_c (y_c − m_c ȳ_c), L = Σ u_c (diag m_c − m_c m_cᵀ ÷ |m_c|).
function additive(names, cells, metric, setting) {
  const R = names.length, place_of = new Map(names.map((name, i) => [name, i])), at = cells.map((row) => place_of.get(get(row, "estimator")));
  const problems = distinct(cells.map(identity)), number = new Map(problems.map((problem, g) => [problem, g])), problem = cells.map((row) => number.get(identity(row)));
  const settings = [...groups(cells.map((_, c) => c), (c) => setting(cells[c])).values()].filter((all) => all.length > 1);
  const per_problem = problems.map(() => 0);
  for (const all of settings) per_problem[problem[all[0]]] += 1;
  const square = () => names.map(() => new Float64Array(R)), L = square(), own = problems.map(square), rights = names.map(() => new Float64Array(cells.length));
  const shared_on = names.map(() => names.map(() => new Set()));
  for (const all of settings) {
    const g = problem[all[0]], weight = 1 / per_problem[g];
    for (const a of all) for (const b of all) {
      const part = weight * ((a === b ? 1 : 0) - 1 / all.length);
      L[at[a]][at[b]] += part;
      own[g][at[a]][at[b]] += part;
      rights[at[a]][b] += part;
      shared_on[at[a]][at[b]].add(g);
    }
  }
  const logs = cells.map((row) => log_cell(row, metric)), right = problems.map(() => new Float64Array(R)), total = new Float64Array(R);
  rights.forEach((row, i) => row.forEach((part, c) => {
    right[problem[c]][i] += part * logs[c].log;
    total[i] += part * logs[c].log;
  }));
  const solved = (left, side) => solve(left, [...side].map((value) => [value])).map(([value]) => value);
  const without = problems.map((_, g) => solved(L.map((row, i) => row.map((value, j) => value - own[g][i][j])), total.map((value, i) => value - right[g][i])));
  const effects = solved(L.map((row) => row.slice()), total), weights = solve(L, rights), shared = shared_on.map((row) => row.map((of) => of.size));
  const ratio = (one, other) => {
    if (one === other) return { value: 1, low: 1, high: 1, wide: [1, 1], problems: shared[one][one] };
    const part = problems.map(() => 0), squares = [0, 0];
    logs.forEach(({ down, up }, c) => {
      const weight = weights[one][c] - weights[other][c];
      part[problem[c]] += Math.abs(weight);
      squares[0] += (weight * (weight > 0 ? down : up)) ** 2;
      squares[1] += (weight * (weight > 0 ? up : down)) ** 2;
    });
    const centre = effects[one] - effects[other], behind = problems.map((_, g) => g).filter((g) => part[g] > TOUCHED), k = behind.length;
    const left = sum(behind.map((g) => (without[g][one] - without[g][other] - centre) ** 2));
    return over_problems(centre, Math.sqrt(squares[0]), Math.sqrt(squares[1]), shared[one][other] > 1 ? student(shared[one][other]) * Math.sqrt((k - 1) / k * left) : NaN, shared[one][other]);
  };
  return { names, cells, metric, setting, at, effects, shared, ratio };
}

const student = (problems) => data.student[Math.min(problems, data.student.length + 1) - 2];
const over_problems = (centre, down, up, half, problems) => ({
  value: Math.exp(centre), low: Math.exp(centre - down), high: Math.exp(centre + up), wide: [Math.exp(centre - half), Math.exp(centre + half)], problems,
});

// The mean of log ratios of pairs of cells, each problem counted once (`bench.statistics.over_problems`).
function mean_ratio(pairs, metric) {
  const logs = pairs.map(([one, other]) => {
    const [a, b] = [log_cell(one, metric), log_cell(other, metric)];
    return { problem: identity(one), log: a.log - b.log, down: Math.hypot(a.down, b.up), up: Math.hypot(a.up, b.down) };
  });
  const problems = [...groups(logs, (each) => each.problem).values()], k = problems.length;
  if (!k) return { value: NaN, low: NaN, high: NaN, wide: [NaN, NaN], problems: 0 };
  const means = problems.map((own) => sum(own.map((each) => each.log)) / own.length), centre = sum(means) / k;
  const noise = (end) => Math.sqrt(sum(problems.flatMap((own) => own.map((each) => (Math.min(each[end], WIDEST) / (k * own.length)) ** 2))));
  const spread = Math.sqrt(sum(means.map((mean) => (mean - centre) ** 2)) / (k - 1));
  return over_problems(centre, noise("down"), noise("up"), k > 1 ? student(k) * spread / Math.sqrt(k) : NaN, k);
}

// Which estimators share enough problems with one another (`bench.analysis.common_ground`).
function sharing(names, cells, setting) {
  const settings = [...groups(cells, setting).values()].filter((all) => all.length > 1), on = names.map(() => names.map(() => new Set()));
  const place_of = new Map(names.map((name, i) => [name, i]));
  for (const all of settings) {
    const places = all.map((row) => place_of.get(get(row, "estimator"))), problem = identity(all[0]);
    for (const i of places) for (const j of places) on[i][j].add(problem);
  }
  const problems = count_of(settings, (all) => identity(all[0])), needed = Math.max(Math.min(FEWEST_COMMON, problems), Math.ceil(problems / COMMON_SHARE));
  const own = names.map((_, i) => on[i][i].size);
  return without_worst(on.map((row, i) => row.map((of, j) => i !== j && of.size < needed)), own, own.map((count) => count > 0));
}

// Which estimators have ratios in the model that lie in the intervals of their direct comparisons.
function agreeing({ names, cells, metric, setting, at, effects, shared }) {
  const of = names.map((_, i) => new Map(cells.flatMap((row, c) => (at[c] === i ? [[setting(row), row]] : [])))), all = names.map(() => true);
  if (cells.length === names.length * count_of(cells, setting)) return all;
  const held = (i, j) => {
    const direct = mean_ratio([...of[i]].filter(([key]) => of[j].has(key)).map(([key, row]) => [row, of[j].get(key)]), metric), said = Math.exp(effects[i] - effects[j]);
    const ends = [direct.low, direct.high, ...direct.wide].filter((end) => !Number.isNaN(end));
    return Math.min(...ends) * (1 - AGREES_TO) <= said && said <= Math.max(...ends) * (1 + AGREES_TO);
  };
  return without_worst(names.map((_, i) => names.map((_, j) => i !== j && !held(Math.max(i, j), Math.min(i, j)))), shared.map((row, i) => row[i]), all, 1);
}

// Takes away what is wrong with most of the others, of several the one on fewest problems, at most `most` of them.
function without_worst(wrong, problems, start, most = Infinity) {
  const kept = [...start];
  for (; most > 0; most -= 1) {
    const counts = wrong.map((row, i) => (kept[i] ? row.filter((each, j) => each && kept[j]).length : 0)), highest = Math.max(...counts);
    if (!(highest > 0)) break;
    const worst = counts.map((_, i) => i).filter((i) => counts[i] === highest);
    kept[worst.reduce((a, b) => (problems[b] < problems[a] ? b : a))] = false;
  }
  return kept;
}

function too_few(name, others, cells, setting) {
  const mine = new Set(cells.filter((row) => get(row, "estimator") === name).map(setting)), of = cells.filter((row) => others.includes(get(row, "estimator")));
  const counts = [...others].sort().map((other) => [count_of(of.filter((row) => get(row, "estimator") === other && mine.has(setting(row))), identity), other]);
  const [least, whose] = counts.reduce((a, b) => (b[0] < a[0] ? b : a), counts[0] ?? [0, "others"]);
  return `shares only ${least} of ${count_of(of, identity)} problems with ${whose}`;
}

// Solves left · x = right by elimination and returns x; `left` is a graph's Laplacian, in each connected part of which one x is 0.
function solve(left, right) {
  const size = Math.max(...left.map((row, i) => row[i]), 0), subtract = (from, row, factor) => row.forEach((value, i) => (from[i] -= factor * value));
  for (let i = 0; i < left.length; i++) {
    const pivot = left[i][i];
    if (!(pivot > SINGULAR * size)) {
      left[i].fill(0);
      right[i].fill(0);
      for (const row of left) row[i] = 0;
      continue;
    }
    for (const side of [left, right]) side[i].forEach((value, j) => (side[i][j] = value / pivot));
    for (let k = 0; k < left.length; k++) if (k !== i && left[k][i]) {
      const factor = left[k][i];
      subtract(right[k], right[i], factor);
      subtract(left[k], left[i], factor);
    }
  }
  return right;
}
