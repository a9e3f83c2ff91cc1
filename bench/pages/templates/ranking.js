// The ranking of a selection: that of the whole table for whole kinds, else the same model fitted to the selected cells.

const METRIC = { samples: "variance", evaluations: "variance_per_evaluation", seconds: "work_normalised_variance" };

function ranked() {
  const { kind = "", ...others } = selection.chosen;
  if (Object.values(others).every((value) => value === "")) return data.ranking.filter((row) => kind === "" || row.kind === kind);
  return [...groups(selection.rows, (row) => get(row, "kind") ?? "")].flatMap(([name, rows]) => Object.keys(data.equal).flatMap((equal) => fitted(rows, name, equal)));
}

// Least squares of log variance = estimator + setting of a problem, each problem weighted alike; relative to the baseline.
// The settings drop out: with m the estimators measured in a setting, u its weight, L = Σ u (diag m − m mᵀ ÷ |m|).
function fitted(rows, kind, equal) {
  const metric = METRIC[equal], own = rows.filter((row) => typeof get(row, metric) === "number"), cells = own.filter((row) => get(row, metric) > 0);
  const setting = (row) => [get(row, "problem"), get(row, "samples"), equal === "seconds" ? get(row, "env") : ""].join("\n");
  const shared = [...groups(cells, setting).values()].filter((all) => all.length > 1);
  const baseline = baseline_of(shared.flat());
  if (!baseline) return [];
  const linked = linked_to(baseline, shared), names = [...linked].filter((name) => name !== baseline), place_of = new Map(names.map((name, i) => [name, i]));
  const used = shared.filter((all) => linked.has(get(all[0], "estimator"))), settings = groups(used, (all) => get(all[0], "problem"));
  const left = names.map(() => new Float64Array(names.length)), flat = used.flat(), right = names.map(() => new Float64Array(flat.length));
  let start = 0;
  for (const all of used) {
    const weight = 1 / settings.get(get(all[0], "problem")).length, places = all.map((row) => place_of.get(get(row, "estimator")));
    places.forEach((i, a) => i !== undefined && places.forEach((j, b) => {
      const part = weight * ((a === b ? 1 : 0) - 1 / all.length);
      if (j !== undefined) left[i][j] += part;
      right[i][start + b] += part;
    }));
    start += all.length;
  }
  solve(left, right);
  const logs = flat.map((row) => [get(row, metric), get(row, metric + "_low"), get(row, metric + "_high")].map((value) => (value > 0 ? Math.log(value) : NaN)));
  const half = (one, end) => (Number.isFinite(one[end]) ? Math.abs(one[end] - one[0]) : 0);
  const line = (estimator, weights) => {
    const sum = (each) => flat.reduce((total, _, c) => total + each(weights?.[c] ?? 0, logs[c]), 0);
    const centre = sum((w, one) => w * one[0]);
    const reach = (sign) => Math.sqrt(sum((w, one) => (w * half(one, w * sign > 0 ? 2 : 1)) ** 2));
    const mine = own.filter((row) => get(row, "estimator") === estimator), problems = (all) => distinct(all.map((row) => get(row, "problem"))).length;
    return {
      kind, equal, estimator, baseline, problems: problems(mine.filter((row) => get(row, metric) > 0)),
      without_variance: problems(mine.filter((row) => get(row, metric) === 0)), biased_on: problems(mine.filter((row) => get(row, "verdict") === "biased")),
      ...(weights === undefined ? { ratio: 0 } : { ratio: Math.exp(centre), ratio_low: Math.exp(centre - reach(-1)), ratio_high: Math.exp(centre + reach(1)) }),
    };
  };
  const still = distinct(own.map((row) => get(row, "estimator"))).filter((name) => !cells.some((row) => get(row, "estimator") === name));
  return [...still.map((name) => line(name)), line(baseline, []), ...names.map((name, i) => line(name, right[i]))].sort((a, b) => a.ratio - b.ratio);
}

// The table's baseline where it was measured, else the estimator in most cells.
function baseline_of(cells) {
  const counts = [...groups(cells, (row) => get(row, "estimator"))].map(([name, own]) => [own.length + (name === data.baseline ? cells.length : 0), name]);
  return counts.sort((a, b) => b[0] - a[0])[0]?.[1];
}

// The estimators that share a setting with one, or with one that does.
function linked_to(name, shared) {
  const found = new Set([name]);
  for (let before = 0; before < found.size;) {
    before = found.size;
    for (const all of shared) if (all.some((row) => found.has(get(row, "estimator")))) for (const row of all) found.add(get(row, "estimator"));
  }
  return found;
}

// Solves left · x = right in place by elimination (left is positive definite); `right` becomes x.
function solve(left, right) {
  const subtract = (from, row, factor) => row.forEach((value, i) => (from[i] -= factor * value));
  for (let i = 0; i < left.length; i++) {
    const pivot = left[i][i];
    for (const side of [left, right]) side[i].forEach((value, j) => (side[i][j] = value / pivot));
    for (let k = 0; k < left.length; k++) if (k !== i && left[k][i]) {
      const factor = left[k][i];
      subtract(right[k], right[i], factor);
      subtract(left[k], left[i], factor);
    }
  }
}
