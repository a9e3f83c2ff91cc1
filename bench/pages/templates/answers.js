// The boxes at the top for the selected cells, as `bench.analysis.winners` and `bench.pages.answers` make those of the whole table.

const LEAVE_ONE_OUT = "rloo", DECIDING = ["seconds", "evaluations", "samples"], MOST_SIZES = 3;
const is_leave_one_out = (name) => name.split("(")[0].trim() === LEAVE_ONE_OUT;
const several = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const samples_of = (rows) => distinct(rows.map((row) => get(row, "samples"))).filter((n) => n !== null).sort((a, b) => a - b);
const sizes_of = (rows) => distinct(rows.map((row) => get(row, "size"))).filter((size) => size !== null).sort((a, b) => a - b);

const of_kind = (rows, kind) => rows.filter((row) => (get(row, "kind") ?? "") === kind);

// The estimators that are nowhere on a kind shown biased and somewhere shown unbiased: in the whole page, since a bias may be
// too small to be shown on some problems.
const candidates = new Map();
function unbiased_on(kind) {
  if (!candidates.has(kind)) {
    const said = [...groups(of_kind(data.rows, kind).filter((row) => !earlier.has(row)), (row) => get(row, "estimator"))].map(([name, own]) => [name, own.map((row) => get(row, "verdict"))]);
    candidates.set(kind, new Set(said.filter(([, words]) => words.includes("unbiased") && !words.includes("biased")).map(([name]) => name)));
  }
  return candidates.get(kind);
}

// The winner of each kind and number of samples.
function winners(rows) {
  return samples_of(rows).flatMap((n) => {
    const own = rows.filter((row) => get(row, "samples") === n && !earlier.has(row)), kinds = groups(rankings(own), (ranking) => ranking.kind);
    return [...kinds].map(([kind, ways]) => winner(ways, n, of_kind(own, kind))).filter(Boolean);
  });
}

function winner(ways, n, rows) {
  const ranking = DECIDING.map((equal) => ways.find((each) => each.equal === equal)).find(Boolean), { names, kind } = ranking;
  const [best, ...others] = names.filter((name) => unbiased_on(kind).has(name));
  if (names.length < 2 || best === undefined) return null;
  const reference = names.find(is_leave_one_out) ?? ranking.baseline;
  const over = (other) => Object.fromEntries(ways.filter((each) => each.names.includes(best) && each.names.includes(other)).map((each) => [each.equal, each.ratio(best, other)]));
  const ties = others.filter((name) => ranking.ratio(best, name).high >= 1);
  return {
    kind, samples: n, best, reference, runner_up: others[0], ties, decided_at: ranking.equal, over,
    bias: bias_bound(rows.filter((row) => get(row, "estimator") === best)), problems: ranking.problems(best), of_problems: ranking.of_problems,
  };
}

function bias_bound(cells) {
  const of = (word) => {
    const own = cells.filter((row) => get(row, "verdict") === word), ends = own.map((row) => decimal(get(row, "relative_bias_high"))).filter((end) => !Number.isNaN(end));
    return { most: ends.length ? Math.max(...ends) : NaN, count: count_of(own, (row) => get(row, "problem")) };
  };
  const [unbiased, unclear] = [of("unbiased"), of("unclear")], percent = (share) => (Number.isNaN(share) ? "an unknown size" : `${bound(100 * share)} %`);
  const parts = unbiased.count ? [`bias at most ${percent(unbiased.most)} on ${several(unbiased.count, "problem")}`] : [];
  if (unclear.count) parts.push(`${parts.length ? "on" : "bias on"} ${unclear.count} unclear, at most ${percent(unclear.most)}`);
  return parts.join("; ") || "bias not judged at this number of samples";
}

// What is known of the winner: its bias, and who may be as good.
function known_of({ best, reference, bias, problems, of_problems, ties, decided_at }) {
  const itself = best === reference && is_leave_one_out(reference) ? "leave-one-out itself; " : "", few = problems < of_problems ? `; ratios over ${several(problems, "problem")}` : "";
  const tied = ties.length ? `; not shown better than ${ties.slice(0, 3).join(", ")}${ties.length > 3 ? ` and ${ties.length - 3} more` : ""} at ${data.equal[decided_at]}` : "";
  return `${itself}${bias}${few}${tied}`;
}

function told(found, about) {
  const line = make("p"), against = [], box = make("div");
  line.append(make("span", about, { class: "soft" }), " ", make("b", found.best, { class: "pick" }), " ", make("span", known_of(found), { class: "soft" }));
  if (found.best !== found.reference) against.push([`${is_leave_one_out(found.reference) ? "leave-one-out" : "the baseline"}, ${found.reference}`, found.over(found.reference)]);
  if (found.runner_up && (found.runner_up !== found.reference || !against.length)) against.push([`the next best, ${found.runner_up}`, found.over(found.runner_up)]);
  box.append(line, ...(against.length ? [compared(found, about, against)] : []));
  return box;
}

function compared(found, about, against) {
  const ways = Object.entries(data.equal), dash = (low, high) => `${number(low)}–${number(high)}`;
  const box = make("div", null, { class: "scroll", tabindex: 0, role: "group", "aria-label": `${found.best} compared, ${about}` }), table = make("table"), head = make("tr"), top = make("thead"), body = make("tbody");
  head.append(make("th", "its variance ÷ that of", { scope: "col" }), ...ways.map(([, words]) => make("th", words, { scope: "col", class: "number" })));
  for (const [other, ratios] of against) {
    const line = make("tr");
    line.append(named("th", other, { scope: "row" }), ...ways.map(([equal]) => {
      const { value, low, high, wide } = ratios[equal] ?? {}, cell = make("td", value === undefined ? "—" : null, { class: "number" });
      if (value !== undefined) cell.append(make("b", number(value)), make("small", dash(low, high)));
      if (value !== undefined && equal === found.decided_at && !Number.isNaN(wide[0])) cell.append(make("small", `others ${dash(...wide)}`));
      return cell;
    }));
    body.append(line);
  }
  top.append(head);
  table.append(top, body);
  box.append(table);
  return box;
}

function fold(summary, nodes) {
  const box = make("details");
  box.append(make("summary", summary), grid(nodes, "tolds"));
  return box;
}

// A box per kind: the answer at the largest number of samples, that for each size where sizes vary, and those at others.
function boxes(rows) {
  return [...groups(winners(rows), (found) => found.kind)].sort(([a], [b]) => data.kinds.indexOf(a) - data.kinds.indexOf(b)).map(([kind, own]) => {
    const box = make("article", null, { "data-kind": kind }), title = make("h3", `${kind} `), [first, ...others] = own.reverse();
    title.append(make("small", several(first.of_problems, "problem")));
    const cells = of_kind(rows, kind), sizes = sizes_of(cells);
    const at_most = (own) => { for (const n of samples_of(own).reverse()) for (const found of winners(own.filter((row) => get(row, "samples") === n))) return found; };
    const by_size = sizes.length < 2 ? [] : sizes.map((size) => [size, at_most(cells.filter((row) => get(row, "size") === size))]).filter(([, found]) => found);
    const nodes = by_size.map(([size, found]) => told(found, `${kind === "bits" ? `${size} bits` : `size ${size}`}, n = ${found.samples}`));
    const folded_away = by_size.length > MOST_SIZES;
    box.className = by_size.length ? "answer wide" : "answer";
    box.append(title, grid([told(first, `${by_size.length ? "all sizes, " : ""}n = ${first.samples}`), ...(folded_away ? [] : nodes)], "tolds"));
    if (folded_away) box.append(fold(`By size: ${by_size.map(([size]) => size).join(", ")}`, nodes));
    if (others.length) box.append(fold(others.map((found) => `n = ${found.samples}: ${found.best}`).join("; "), others.map((found) => told(found, `n = ${found.samples}`))));
    return box;
  });
}

// The boxes and the findings of the whole table stand in the page; of a selection they are made again.
function start_answers() {
  for (const [place, made] of [[document.querySelector(".answers"), answered], [document.getElementById("findings"), found_in]]) {
    if (!place) continue;
    const whole = [...place.childNodes];
    followers.push(() => place.replaceChildren(...(selection.all ? whole : made())));
  }
}

function answered() {
  const nodes = boxes(selection.rows);
  return nodes.length ? nodes : [make("p", "No answer in this selection: fewer than two estimators share a problem, or none is shown unbiased.", { class: "soft" })];
}
