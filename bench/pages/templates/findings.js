// The findings as sentences, of the selected cells, as `bench.pages.findings` writes those of the whole table.

const listed_words = (all, most = 8) => (all.length > most ? `${all.slice(0, most).join(", ")} and ${all.length - most} more` : all.length === 1 ? all[0] : `${all.slice(0, -1).join(", ")} and ${all.at(-1)}`);
const by_text = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function found_in() {
  const sentences = [widest(selection.rows), biased_among(selection.rows), unclear_among(selection.rows)].filter(Boolean);
  return (sentences.length ? sentences : ["Nothing was measured that could be compared."]).map((sentence) => make("li", sentence));
}

// The problem where estimators not shown biased differ most, at equal time or else at equal samples.
function widest(rows) {
  for (const [metric, equal] of [["work_normalised_variance", "seconds"], ["variance", "samples"]]) {
    const honest = rows.filter((row) => decimal(get(row, metric)) > 0 && get(row, "verdict") !== "biased"), value = (row) => get(row, metric);
    const together = [...groups(honest, (row) => JSON.stringify([get(row, "problem"), get(row, "samples")])).values()].filter((own) => own.length > 1);
    const found = together.map((own) => ({ low: own.reduce((a, b) => (value(b) < value(a) ? b : a)), high: own.reduce((a, b) => (value(b) > value(a) ? b : a)) }))
      .sort((a, b) => value(b.high) / value(b.low) - value(a.high) / value(a.low) || by_text(get(a.low, "problem"), get(b.low, "problem")) || get(a.low, "samples") - get(b.low, "samples"))[0];
    if (found) return `The choice matters most on ${get(found.low, "problem")} (n = ${get(found.low, "samples")}): at ${data.equal[equal]}, ${get(found.high, "estimator")} has ${number(value(found.high) / value(found.low))} times the variance of ${get(found.low, "estimator")}.`;
  }
  return null;
}

// Biased cells by harm: a wrong direction before a wrong length (`bench.analysis.bias_order`).
const by_harm = (rows) => {
  const own = new Set(rows);
  return data.biased.map((i) => data.rows[i]).filter((row) => own.has(row));
};

function biased_among(rows) {
  const judged = rows.filter((row) => get(row, "verdict")), biased = by_harm(rows);
  if (!biased.length) return judged.length ? `No estimator is shown biased in ${several(judged.length, "cell")} with an exact gradient.` : null;
  const names = distinct(judged.filter((row) => get(row, "verdict") === "biased").map((row) => get(row, "estimator"))), [worst_cell] = biased, direction = get(worst_cell, "direction") ?? "";
  const with_ends = (metric, unit = "") => {
    const [value, low, high] = ["", "_low", "_high"].map((end) => get(worst_cell, metric + end));
    return value === null ? "" : `${number(value)}${unit}${finite([low, high]).length === 2 ? ` (${between(low, high)})` : ""}`;
  };
  const turned = { aligned: "aligned with the gradient", unclear: "perhaps turned", "": "turned" }[direction] ?? direction;
  const parts = [
    with_ends("angle") && `its mean is ${turned}, by ${with_ends("angle", "°")}`, with_ends("scale") && `its length along the gradient is ${with_ends("scale")} of it`,
    with_ends("relative_bias") && `the relative bias is ${with_ends("relative_bias")}`,
  ].filter(Boolean);
  const all = count_of(judged, (row) => get(row, "estimator"));
  return `${names.length} of ${several(all, "estimator")} ${names.length === 1 ? "is" : "are"} shown biased somewhere: ${listed_words(names)}. The most harmful is ${get(worst_cell, "estimator")} on ${get(worst_cell, "problem")}, n = ${get(worst_cell, "samples")}: ${parts.join("; ")}.`;
}

function unclear_among(rows) {
  const judged = rows.filter((row) => get(row, "verdict")), unclear = judged.filter((row) => get(row, "verdict") === "unclear");
  if (!unclear.length) return null;
  const bounds = finite(unclear.map((row) => get(row, "relative_bias_high"))).sort((a, b) => a - b), half = (bounds.length - 1) / 2, those = bounds.length === unclear.length ? "them" : `the ${bounds.length} with a bound`;
  const middle = bounds.length ? (bounds[Math.floor(half)] + bounds[Math.ceil(half)]) / 2 : NaN;
  const reached_by = bounds.length ? ` The relative bias is at most ${bound(middle)} in half of ${those}, and at most ${bound(bounds.at(-1))} in all.` : "";
  return `In ${unclear.length} of ${several(judged.length, "cell")} the bias is unclear: neither shown, nor shown to be below the requested resolution.${reached_by}`;
}
