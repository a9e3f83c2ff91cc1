"""Cells that go wrong in sixty ways: each has a row that says what it did, and the good cells beside it are the same.

The good cells are built-in ones and one of the same plug-in. `make test` has ten kinds in one sweep, `make test-all`
each kind in a separate sweep.
"""

import ast
from pathlib import Path

import pandas as pd
import pytest

from bench.sweeps.run import run
from bench.tables.folder import load

PLUGIN = Path(__file__).parents[2] / "support" / "bad_cells.py"
ASIDE = ["run", "created", "wall_s", "attempt", "env"]
CODE = "estimators.score_function.Reinforce"
FRESH = "its worker was replaced"
KINDS = {
    "half_a_character": ("failed", r"ValueError: bad \ud800 text"),
    "no_text": ("failed", "SilentError: its message cannot be shown: RuntimeError"),
    "colour": ("failed", r"RuntimeError: first \x1b[31mline second line \x1b[0m"),
    "long_text": ("failed", "RuntimeError: xxxx"),
    "unpicklable": ("failed", "LocalError: held"),
    "leaves_by_exit": ("failed", "SystemExit: 0"),
    "interrupts": ("crashed", "the worker raised KeyboardInterrupt"),
    "generator_exit": ("failed", "GeneratorExit"),
    "recursion": ("failed", "RecursionError"),
    "dies": ("crashed", "the worker died with exit code 0"),
    "segfaults": ("crashed", "the worker died with exit code -11"),
    "is_killed": ("crashed", "the worker died with exit code -9"),
    "aborts": ("crashed", "the worker died with exit code -6"),
    "hangs": ("timeout", "took longer than 20 s"),
    "keeps_memory": ("out_of_memory", "allocate"),
    "fork_goes_on": ("ok", f"left a process: {FRESH}"),
    "fork_raises": ("ok", f"left a process: {FRESH}"),
    "fork_by_c": ("ok", f"left a process: {FRESH}"),
    "starts_a_program": ("ok", f"left a process: {FRESH}"),
    "starts_a_daemon": ("ok", f"left a process: {FRESH}"),
    "thread_draws": ("ok", f"left a thread: {FRESH}"),
    "thread_exits": ("ok", f"left a thread: {FRESH}"),
    "alarm": ("ok", f"left a timer: {FRESH}"),
    "ticks": ("ok", f"left a timer: {FRESH}"),
    "default_device": ("failed", "changed torch's default device: restored"),
    "default_dtype": ("ok", "changed torch's default dtype: restored"),
    "patches_reinforce": ("ok", f"patched {CODE}.coefficient: {FRESH}"),
    "patches_code": ("ok", f"patched {CODE}.coefficient: {FRESH}"),
    "patches_inherited": ("ok", f"patched {CODE}.draw: {FRESH}"),
    "patches_torch": ("ok", f"patched torch.exp: {FRESH}"),
    "patches_tensor": ("ok", f"patched torch.Tensor.mean: {FRESH}"),
    "patches_clock": ("ok", f"patched time.perf_counter: {FRESH}"),
    "patches_registry": ("ok", "patched estimators.registry.estimators._classes.rloo"),
    "validates_no_more": ("ok", f"patched torch.distributions.distribution.Distribution._validate_args: {FRESH}"),
    "imprecise": ("ok", f"left torch's matrix products in another precision: {FRESH}"),
    "flushes_denormal": ("ok", "left torch without denormal numbers"),
    "rounds_up": ("ok", "left a changed number format"),
    "autocasts": ("ok", f"left torch's autocast: {FRESH}"),
    "watches_functions": ("ok", f"left a mode of torch: {FRESH}"),
    "anomalies": ("ok", f"left torch's anomaly mode: {FRESH}"),
    "hooks_tensors": ("failed", "saved tensor hooks"),
    "hooks_modules": ("ok", f"left hooks of torch: {FRESH}"),
    "environment": ("ok", f"left a changed environment: {FRESH}"),
    "elsewhere": ("ok", "changed the working directory: restored"),
    "nowhere": ("ok", "changed the working directory: restored"),
    "opens": ("ok", f"left open or closed files: {FRESH}"),
    "closes_input": ("ok", f"left open or closed files: {FRESH}"),
    "closes_everything": ("crashed", "the worker died with exit code 1"),
    "other_output": ("ok", f"left other output streams: {FRESH}"),
    "handles": ("ok", f"left a signal handler: {FRESH}"),
    "blocks": ("ok", f"left blocked signals: {FRESH}"),
    "umask": ("ok", f"left a changed file mode mask: {FRESH}"),
    "limits": ("ok", f"left changed limits: {FRESH}"),
    "nice": ("ok", f"left a changed priority: {FRESH}"),
    "recursion_limit": ("ok", f"left changed settings of Python: {FRESH}"),
    "no_collection": ("ok", f"left changed settings of Python: {FRESH}"),
    "traces": ("ok", f"left a trace or profile function: {FRESH}"),
    "imports": ("ok", f"left changed imports: {FRESH}"),
    "other_locale": ("ok", f"left a changed locale: {FRESH}"),
    "prints": ("ok", ""),
    "garbage": ("crashed", "sent something that is not the answer to its task"),
    "half_a_frame": ("crashed", "sent something that is not the answer to its task"),
    "no_answer": ("crashed", "sent something that is not the answer to its task"),
    "two_answers": ("crashed", "sent something that is not the answer to its task"),
    "anothers_answer": ("crashed", "sent something that is not the answer to its task"),
}
"""What each kind of `tests/support/bad_cells.py` does, and the row that it leaves."""
QUICK = ("half_a_character", "no_text", "leaves_by_exit", "fork_goes_on", "fork_raises", "thread_draws", "alarm",
         "default_device", "patches_reinforce", "two_answers", "colour")  # fmt: skip
TOML = """
samples = [2]
metrics = ["accuracy"]
timeout = 300.0
estimators = [{{ name = "bad", kind = {kinds} }}, "reinforce", "rloo", "relax"]
accuracy = {{ precision = 0.3, max_replicates = 1024 }}
[[problems]]
distribution = {{ name = "bernoulli", size = 3 }}
objective = "quadratic_bits"
"""


def measured(folder, *kinds):
    """The sweep of cells of these kinds and of good cells; the summary and the table."""
    path = folder / "suite.toml"
    path.write_text(TOML.format(kinds=[*kinds, "none"]))
    timeout = 20.0 if "hangs" in kinds else None
    found = run(path, folder / "out", jobs=1, memory=3.0, timeout=timeout, plugin=PLUGIN)
    return found, load(folder / "out")


def of_good(table):
    good = table[~table["estimator_params"].str.contains("kind") | table["estimator_params"].str.contains("none")]
    return pd.DataFrame(good[good["unit"] != "s"]).drop(columns=ASIDE).reset_index(drop=True)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, forked_workers):
    """The good cells of a sweep without bad ones."""
    found, table = measured(tmp_path_factory.mktemp("alone"))
    assert found.counts == {"ok": 4} and not table["reason"].str.contains("left|patched|changed").any()
    return of_good(table)


def as_said(table, kind):
    row = table[table["estimator_params"].str.contains(f'"{kind}"')].iloc[0]
    status, reason = KINDS[kind]
    found = row["status"], row["reason"]
    assert found[0] == status and reason in found[1] and found[1].isprintable(), found
    assert len(row["reason"]) < 700


def test_good_cells_are_the_same_beside_bad_ones(tmp_path, alone):
    found, table = measured(tmp_path, *QUICK)
    for kind in QUICK:
        as_said(table, kind)
    pd.testing.assert_frame_equal(of_good(table), alone)
    assert found.left == 0 and sum(found.counts.values()) == 4 + len(QUICK)
    assert (tmp_path / "out" / "run.log").read_text().replace("\n", "").isprintable()


def test_in_a_window_of_timed_cells_only_the_bad_one_says_so(tmp_path, forked_workers):
    """The window of the plug-in's cells is measured again, each of them alone; built-in cells have their own window."""
    path = tmp_path / "suite.toml"
    text = TOML.format(kinds=["patches_clock", "dies", "none"]).replace('"accuracy"', '"throughput"')
    path.write_text(text + "[throughput]\nmax_seconds = 0.05\n")
    found = run(path, tmp_path / "out", jobs=1, memory=3.0, plugin=PLUGIN)
    rows = load(tmp_path / "out").drop_duplicates("cell").set_index("estimator_params")
    assert found.counts == {"crashed": 1, "ok": 5} and found.left == 0
    said = pd.Series(rows["reason"][rows["reason"].str.contains("patched|died")])
    assert [*said.index] == ['{"kind":"patches_clock"}', '{"kind":"dies"}']
    assert f"patched time.perf_counter: {FRESH}" in said.iloc[0] and "died with exit code 0" in said.iloc[1]


@pytest.mark.slow  # eleven of them in one sweep: the test above
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone(tmp_path, alone, kind):
    found, table = measured(tmp_path, kind)
    as_said(table, kind)
    pd.testing.assert_frame_equal(of_good(table), alone)
    assert found.left == 0 and sum(found.counts.values()) == 5


def test_every_kind_is_named():
    made = {each.name for each in ast.parse(PLUGIN.read_text()).body if isinstance(each, ast.FunctionDef)}
    assert made - {"_channel"} == KINDS.keys() and len(KINDS) > 40
