"""What each kind of extension asks for: a sentence for every step that is forgotten. CONTRIBUTING.md has them too.

A step is a place where every name of a kind must be; `forgotten` says of each name which places it is missing from.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache
from inspect import isfunction
from pathlib import Path

import pandas as pd

import bench
from bench import plots
from bench.analysis.comparison import Comparison
from bench.analysis.ranking import Rankings
from bench.distributions import distributions
from bench.objectives import objectives
from bench.pages.figures import drawings
from bench.sweeps import windows
from bench.sweeps.cell_record import measure_cell
from bench.sweeps.engines.choose import ENGINES
from bench.tables.derived import derived
from bench.tables.metrics import METRICS
from bench.validation.facts import FACTS
from estimators.registry import Registry, estimators
from tests.support.problems import SYNTHETIC
from tests.support.sweeps import small_cells
from tests.support.tables import table as full_table

ROOT = Path(__file__).parents[2]
SWEEP_TESTS = sorted((ROOT / "tests" / "bench" / "sweeps").glob("*.py"))

NOT_IN_CORE: dict[str, str] = {}
"""What the suite `core` leaves out, with the reason."""

NOT_AT_DEFAULTS = {"balanced_brackets": "needs policies over two tokens"}
"""Objectives that fit no distribution at its default settings, which is what results/gradients.csv has."""

OWN_TESTS = {
    "bernoulli_encoder": "tests/bench/objectives/test_vae.py",
    "categorical_encoder": "tests/bench/objectives/test_vae.py",
    "normal_encoder": "tests/bench/objectives/test_vae.py",
    "layered_encoder": "tests/bench/objectives/test_belief_net.py",
    "automaton_policy": "tests/bench/distributions/test_automaton_policy.py",
    "log_linear_policy": "tests/bench/distributions/test_log_linear_policy.py",
    "prefix_policy": "tests/bench/distributions/test_prefix_policy.py",
    "tabular_policy": "tests/bench/distributions/test_tabular_policy.py",
    "token_policy": "tests/bench/distributions/test_token_policy.py",
    "transformer_policy": "tests/bench/distributions/test_transformer_policy.py",
}
"""Distributions that the walks over synthetic ones cannot take (they need data, or an environment), and their tests."""

WITHOUT_INTERVAL = {
    "bias_pvalue",
    "tail_index",
    "reference_error",
    "evaluations",
    "gradient_evaluations",
    "fit_seconds",
    "fit_evaluations",
    "peak_memory",
    "first_call_seconds",
    "compile_seconds",
}
"""Metrics whose rows have no interval."""

STUDIED_AS = {
    "nonfinite_rate": "a binomial share: Wilson's interval is textbook",
    "device_seconds_per_estimate": "made as seconds_per_estimate is",
    "random_seconds_per_estimate": "made as seconds_per_estimate is",
    "variance_per_evaluation": "the variance's interval times an exact count",
    "variance_per_token": "the variance's interval times that of a mean, as work_normalised_variance",
    "entropy_slope": "made as length_slope is",
    "generated_tokens": "a mean over replicates, as clipped_share",
    "dead_groups": "a mean over replicates, as clipped_share",
    "effective_sample_size": "a mean over replicates, as clipped_share",
}
"""Metrics whose interval is known from another's study, with the reason."""

NOT_MEASURED_HERE = {
    "device_seconds_per_estimate": "needs an accelerator",
    "compile_seconds": "needs a compiled step, or a CUDA graph",
    "variance_of_draws": "needs a noisy objective or a minibatch: tests/bench/measure/test_variance_parts.py",
    "variance_of_data": "needs a minibatch: tests/bench/measure/test_variance_parts.py",
    **dict.fromkeys(
        (
            "prompt_weight",
            "length_slope",
            "entropy_slope",
            "clipped_share",
            "effective_sample_size",
            "dead_groups",
            "generated_tokens",
            "variance_per_token",
        ),
        "needs a policy over tokens: tests/bench/measure/test_rollout_metrics.py",
    ),
}
"""Metrics that an eager cell on a CPU does not have, with the reason."""


@dataclass(frozen=True)
class Step:
    """`done`: the names of the kind for which it has been taken. `sentence`: what to do where it has not."""

    done: Callable[[], Collection[str]]
    sentence: str


@dataclass(frozen=True)
class Kind:
    """A kind of extension: all its names, and the steps that each of them needs."""

    names: Callable[[], Iterable[str]]
    steps: tuple[Step, ...]


def forgotten(kind: str, names: Iterable[str] | None = None) -> list[str]:
    """A sentence for every step that was not taken; of all names of the kind unless some are given."""
    steps = KINDS[kind].steps
    chosen = sorted(KINDS[kind].names() if names is None else names)
    taken = [(step, step.done()) for step in steps]
    return [f"{kind} {name!r}: {step.sentence}" for step, done in taken for name in chosen if name not in done]


# Where names are -----------------------------------------------------------------------------------------------------


def own(registry: Registry) -> set[str]:
    """The names that gradest itself registers; other tests register more."""
    return {name for name, cls in registry if cls.__module__.startswith(("bench.", "estimators."))}


def registering(folder: str, decorator: str) -> Callable[[], set[str]]:
    """The modules of a package in which a line begins with a decorator."""
    return lambda: {
        path.stem for path in (ROOT / folder).glob("*.py") if re.search(rf"^@{decorator}\(", read(path), re.M)
    }


def imported(folder: str) -> Callable[[], set[str]]:
    """The modules that a package's `__init__` imports by name."""
    return lambda: set(re.findall(r"^    (\w+),$", read(ROOT / folder / "__init__.py"), re.M))


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def asked(suite: str, column: str) -> frozenset[str]:
    """The names of estimators, distributions or objectives in a suite; tests of the suites see that they fit."""
    found = bench.load_suite(suite)
    blocks = [getattr(block, column) for block in found.problems] if column != "estimator" else [found.estimators]
    return frozenset(choice.name for block in blocks for choice in block)


def in_core(column: str) -> Callable[[], Collection[str]]:
    return lambda: asked("core", column) | NOT_IN_CORE.keys()


@cache
def committed(path: str, column: str) -> frozenset[str]:
    """The values of a column of a committed table."""
    file = ROOT / path
    table = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    return frozenset(table[column])


def counted() -> set[str]:
    from tests.bench.validation.test_checks import CATALOGUE

    return {name for _, names in CATALOGUE.values() for name in names}


def tested(registry: Registry, *folders: str) -> Callable[[], set[str]]:
    """The registered names that stand in the tests of some folders: in text, in the name of a test, or by class."""

    def names() -> set[str]:
        text = "\n".join(read(path) for folder in folders for path in (ROOT / folder).rglob("*.py"))
        return {name for name, cls in registry if re.search(rf"(?<![a-z])({name}|{cls.__name__})(?![a-z])", text)}

    return names


@cache
def measured() -> frozenset[str]:
    """The metrics that a fitted estimator's cell gives on a CPU, eager."""
    (cell,) = small_cells(
        estimators=["moving_average"],
        samples=4,
        metrics=["accuracy", "throughput"],
        throughput={"max_seconds": 0.05, "precision": 0.5},
    )
    records = [measure_cell(cell, "accuracy"), *windows.measure_window([cell])]
    return frozenset(row["metric"] for record in records for row in record["measurements"])


@cache
def derivable() -> frozenset[str]:
    """The metrics that are computed from others when the table is written."""
    return frozenset(derived(full_table())["metric"])


DRAWINGS = drawings(
    Comparison("variance", "reinforce", 0.1, pd.DataFrame(), pd.DataFrame()), Rankings("reinforce", pd.DataFrame(), {})
)


@cache
def drawn() -> frozenset[str]:
    """The figures that the report draws, by name."""
    return frozenset(drawing.name for drawing in DRAWINGS)


@cache
def shown_as() -> frozenset[str]:
    """The figures of the page that show the drawings."""
    return frozenset(drawing.shown_as for drawing in DRAWINGS)


@cache
def shown() -> frozenset[str]:
    """The figures that the report's template names."""
    template = read(ROOT / "bench" / "pages" / "templates" / "report.html.j2")
    return frozenset(re.findall(r'(?:figures_of|folded)\("(\w+)"', template))


@cache
def viewed() -> frozenset[str]:
    """The figures that the page's scripts draw: the functions of `views`."""
    views = re.search(r"const views = \{\n(.*?)\n\};", read(ROOT / "bench/pages/templates/views.js"), re.DOTALL)
    assert views is not None
    return frozenset(re.findall(r"^  (\w+)(?:\(\w*\) \{|: )", views[1], re.MULTILINE))


def figures() -> set[str]:
    """The figures of `bench.plots`: public functions from a table to a Figure."""
    modules = [value for value in vars(plots).values() if getattr(value, "__package__", "") == "bench.plots"]
    return {
        name
        for module in modules
        for name, value in vars(module).items()
        if isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and next(iter(value.__annotations__), "") == "table"
        and value.__annotations__.get("return") in ("Figure", getattr(module, "Figure", None))
    }


def in_report() -> set[str]:
    """The functions of `bench.plots` that a drawing of the report stands for."""
    return {name for name in plots.__all__ if any(drawing.startswith(name) for drawing in drawn())}


# What each kind asks for ---------------------------------------------------------------------------------------------

CORE = (
    "the suite core does not measure it: give it a cell in bench/suites/builtin/core.toml, or name it in NOT_IN_CORE "
    "of tests/support/extending.py"
)

KINDS = {
    "file of estimators": Kind(
        registering("estimators", "register"),
        (Step(imported("estimators"), "nothing imports it: add it to the imports of estimators/__init__.py"),),
    ),
    "file of distributions": Kind(
        registering("bench/distributions", r"distributions\.register"),
        (
            Step(
                imported("bench/distributions"),
                "nothing imports it: add it to the imports of bench/distributions/__init__.py",
            ),
        ),
    ),
    "file of objectives": Kind(
        registering("bench/objectives", r"objectives\.register"),
        (
            Step(
                imported("bench/objectives"),
                "nothing imports it: add it to the imports of bench/objectives/__init__.py",
            ),
        ),
    ),
    "file of facts": Kind(
        registering("bench/validation/facts", "fact"),
        (
            Step(
                imported("bench/validation/facts"),
                "nothing imports it: add it to the imports of bench/validation/facts/__init__.py",
            ),
        ),
    ),
    "estimator": Kind(
        lambda: own(estimators),
        (
            Step(in_core("estimator"), CORE),
            Step(
                lambda: asked("exactness", "estimator"),
                "its claim is not measured: give it three problems in bench/suites/builtin/exactness.toml, one of them "
                "extreme, and one in float32",
            ),
            Step(
                lambda: committed("results/exactness/results.parquet", "estimator"),
                "its verdicts are not in results/exactness: run make exactness, and commit what it writes",
            ),
            Step(counted, "say in CATALOGUE of tests/bench/validation/test_checks.py how often it calls f"),
            Step(
                lambda: set(re.findall(r"^\| [^|]+ \| `(\w+)` \|", read(ROOT / "README.md"), re.M)),
                "README.md does not list it: run python -m bench.catalogue.readme_table",
            ),
            Step(
                tested(estimators, "tests/estimators"),
                "no test names it: compare it with its formula in a file of tests/estimators/",
            ),
        ),
    ),
    "distribution": Kind(
        lambda: own(distributions),
        (
            Step(in_core("distribution"), CORE),
            Step(
                lambda: {*SYNTHETIC, *OWN_TESTS},
                "its density and draws are not tested: add it to SYNTHETIC of tests/support/problems.py, or name its "
                "own test in OWN_TESTS of tests/support/extending.py",
            ),
            Step(
                lambda: {
                    name.partition(" / ")[2].partition("(")[0] for name in committed("results/gradients.csv", "problem")
                },
                "its exact gradients are not in results/gradients.csv: run make gradients, and commit it",
            ),
        ),
    ),
    "objective": Kind(
        lambda: own(objectives),
        (
            Step(in_core("objective"), CORE),
            Step(
                lambda: (
                    {name.partition(" / ")[0] for name in committed("results/gradients.csv", "problem")}
                    | NOT_AT_DEFAULTS.keys()
                ),
                "its exact gradients are not in results/gradients.csv: run make gradients, and commit it",
            ),
            Step(
                tested(objectives, "tests/bench", "tests/estimators"),
                "no test names it: compare its expectation with a formula in a file of tests/bench/objectives/",
            ),
        ),
    ),
    "metric": Kind(
        lambda: METRICS,
        (
            Step(
                lambda: (
                    {each.partition(",")[0] for each in committed("results/coverage/coverage.csv", "metric")}
                    | WITHOUT_INTERVAL
                    | STUDIED_AS.keys()
                ),
                "nobody knows how often its interval holds the truth: add its true value to Case.truths of "
                "bench/validation/coverage/case.py (a time: to clock_lines of clock.py) and run make coverage; without "
                "an interval, name it in WITHOUT_INTERVAL of tests/support/extending.py",
            ),
            Step(
                lambda: set(re.findall(r"^\| `(\w+)` \|", read(ROOT / "results" / "README.md"), re.M)),
                "results/README.md does not describe it: run python -m bench.tables.columns > results/README.md",
            ),
            Step(
                lambda: measured() | derivable() | NOT_MEASURED_HERE.keys(),
                "no cell has it: yield its Measurement in bench/measure/accuracy/measurements.py or "
                "bench/measure/timing/throughput.py, or its rows in bench/tables/derived.py; a metric that a small "
                "cell on a CPU cannot have is named in NOT_MEASURED_HERE of tests/support/extending.py",
            ),
        ),
    ),
    "measured metric": Kind(
        lambda: measured() | derivable(),
        (Step(lambda: METRICS, "it is measured and nothing declares it: add a Metric in bench/tables/metrics.py"),),
    ),
    "plot": Kind(
        figures,
        (
            Step(
                lambda: plots.__all__, "it is not public: import it in bench/plots/__init__.py and name it in __all__"
            ),
            Step(
                in_report,
                "the report does not draw it: give it a Drawing in drawings() of bench/pages/figures.py",
            ),
        ),
    ),
    "figure": Kind(
        shown_as,
        (
            Step(
                shown,
                "it is drawn and never shown: call figures_of with its name in bench/pages/templates/report.html.j2",
            ),
            Step(
                viewed, "the page does not draw it: give it a function of this name in bench/pages/templates/views.js"
            ),
        ),
    ),
    "figure of the template": Kind(
        shown,
        (Step(shown_as, "nothing draws it: give it a Drawing in drawings() of bench/pages/figures.py"),),
    ),
    "engine": Kind(
        lambda: {
            name.lower()
            for path in (ROOT / "bench" / "sweeps" / "engines").glob("*.py")
            for name in re.findall(r"^class (\w+)\(Engine\):", read(path), re.M)
        },
        (
            Step(lambda: ENGINES, "nobody can choose it: name it in ENGINES of bench/sweeps/engines/choose.py"),
            Step(
                lambda: {name for name in ENGINES if any(name in read(path) for path in SWEEP_TESTS)},
                "no test names it: show in a file of tests/bench/sweeps/ that it gives local's numbers, to the bit",
            ),
        ),
    ),
    "fact": Kind(
        lambda: FACTS,
        (
            Step(
                lambda: {fact.name for fact in FACTS.values() if fact.cite and fact.statement.endswith(".")},
                "say in its docstring, in one sentence, what it claims, and in `cite` where that is from "
                "(bench/validation/facts/fact.py)",
            ),
            Step(
                lambda: committed("results/verify/facts.csv", "fact"),
                "its outcome is not in results/verify/facts.csv: run gradest verify, and commit it",
            ),
        ),
    ),
}
