"""From suites to cells."""

import json
import resource
from dataclasses import replace

import pytest

from bench.distributions.bernoulli import BernoulliFamily
from bench.measure.execution.devices import check_device
from bench.suites.cell import estimator_of, problem_of
from bench.suites.grid import suite_cells
from bench.suites.suite import parse_suite
from bench.sweeps.cell_record import ended, record
from estimators.errors import BadInput
from estimators.text import visible

BITS = {
    "distribution": {"name": "bernoulli", "size": [3, 5]},
    "objective": {"name": "quadratic_bits", "t": [0.45, 0.4]},
}


def suite(**changes):
    return parse_suite({"samples": [1, 4], "estimators": ["rloo", "reinforce"], "problems": [BITS]} | changes, "here")


def test_cells_are_the_product_of_the_axes():
    found = suite_cells(suite(dtype=["float32", "float64"]))
    assert len(found) == 2 * 2 * 2 * 2 * 2
    assert len({cell.id for cell in found}) == len(found)
    assert {json.loads(cell.distribution_params)["size"] for cell in found} == {3, 5}


def test_defaults():
    cell = suite_cells(suite())[0]
    assert (cell.coordinates, cell.point, cell.dtype, cell.mode, cell.dim) == (
        "unconstrained",
        "default",
        "float64",
        "eager",
        3,
    )


def test_a_cell_and_its_record_say_the_kind_of_the_problem():
    """The kind describes a cell and is no part of its id; a pair that does not fit has none."""
    problems = [BITS, {"distribution": "normal", "objective": ["linear", "step", "parity"]}]
    found = suite_cells(suite(problems=problems, samples=[2]))
    kinds = {(cell.objective, cell.kind) for cell in found}
    assert kinds == {
        ("quadratic_bits", "bits"), ("linear", "smooth continuous"), ("step", "continuous with kinks or jumps"),
        ("parity", ""),
    }  # fmt: skip
    assert record(found[0], "plan", ended("not_applicable", "no"), 0.0)["kind"] == "bits"
    assert replace(found[0], kind="").id == found[0].id


def test_a_suite_leaves_out_cells_by_their_kind():
    given = {"problems": [BITS, {"distribution": "normal", "objective": "linear"}], "samples": [2]}
    kept = [cell for cell in suite_cells(suite(**given, exclude=[{"where": "kind == 'bits'", "reason": "no bits"}]))
            if not cell.reason]  # fmt: skip
    assert {cell.distribution for cell in kept} == {"normal"}


def test_what_does_not_fit_is_a_cell_with_its_sentence():
    few = [cell for cell in suite_cells(suite()) if cell.samples == 1 and cell.estimator == "rloo"]
    assert {cell.reason for cell in few} == {"rloo needs at least 2 samples, not 1"}
    normal = {"distribution": "normal", "objective": "quadratic_bits"}
    misfit = suite_cells(suite(problems=[normal]))
    assert all("normal does not fit" in cell.reason for cell in misfit)


def test_force_measures_what_does_not_fit_as_another_cell():
    plain, forced = suite_cells(suite()), suite_cells(suite(), force=True)
    assert not any(cell.reason for cell in forced)
    changed = [one for one, other in zip(forced, plain, strict=True) if one.id != other.id]
    assert changed and all(cell.forced and cell.samples == 1 and cell.estimator == "rloo" for cell in changed)
    assert all(
        cell.reason
        for cell in suite_cells(suite(problems=[{"distribution": "normal", "objective": "quadratic_bits"}]), force=True)
    )


def test_excluded_cells_carry_the_reason():
    found = suite_cells(
        suite(exclude=[{"where": "estimator == 'reinforce' and distribution.size == 5", "reason": "too noisy"}])
    )
    excluded = [cell for cell in found if cell.reason == "excluded: too noisy"]
    assert len(excluded) == 2 * 2 and all('"size":5' in cell.distribution_params for cell in excluded)


def test_a_block_of_problems_may_have_settings_of_its_own():
    block = BITS | {"objective": "quadratic_bits"}
    other = block | {"objective": "squared_sum", "accuracy": {"max_replicates": 4096}}
    cells = suite_cells(suite(problems=[block, other], accuracy={"precision": 0.2}))
    limits = {cell.objective: json.loads(cell.accuracy) for cell in cells}
    assert {name: each["max_replicates"] for name, each in limits.items()} == {
        "quadratic_bits": 1_000_000,
        "squared_sum": 4096,
    }
    assert {each["precision"] for each in limits.values()} == {0.2}


def test_a_problem_that_is_named_twice_is_measured_once():
    assert len(suite_cells(suite(problems=[BITS, BITS]))) == len(suite_cells(suite()))


def test_the_id_follows_what_determines_the_number_and_nothing_else():
    cell = suite_cells(suite())[0]
    assert replace(cell, seed=1).id != cell.id
    assert replace(cell, accuracy='{"precision":0.1}').id != cell.id
    assert replace(cell, dim=99, plugin="x", source_digest="y", reason="z").id == cell.id
    assert replace(cell, device="cuda:0").id == replace(cell, device="cuda:1").id
    # An integer where a number is meant is the same setting.
    whole = suite(problems=[BITS | {"objective": {"name": "quadratic_bits", "t": 1}}])
    same = suite(problems=[BITS | {"objective": {"name": "quadratic_bits", "t": 1.0}}])
    assert [cell.id for cell in suite_cells(whole)] == [cell.id for cell in suite_cells(same)]


def test_a_cell_rebuilds_its_estimator_and_problem():
    cell = suite_cells(suite())[0]
    assert problem_of(cell).dim == cell.dim
    assert type(estimator_of(cell)).__name__ == "LeaveOneOut"


def test_a_nested_estimator_is_a_setting():
    inner = {"name": "antithetic", "inner": {"name": "reinforce"}}
    found = suite_cells(suite(samples=4, estimators=[inner]))
    assert found[0].estimator_params == '{"inner":{"name":"reinforce"}}'
    assert vars(estimator_of(found[0]))["inner"] == estimator_of(suite_cells(suite(estimators=["reinforce"]))[0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"estimators": ["rlo"]}, "estimators[0]: there is no estimator 'rlo'; did you mean 'rloo'?"),
        ({"estimators": [{"name": "rloo", "k": 2}]}, "estimators[0].k: unknown setting"),
        (
            {"problems": [BITS | {"distribution": {"name": "bernoulli", "size": "big"}}]},
            "problems[0].distribution[0].size",
        ),
        ({"problems": [BITS | {"distribution": {"name": "bernoulli", "size": 0}}]}, "problems[0].distribution[0]"),
        (
            {"problems": [BITS | {"distribution": {"name": "bernoulli", "size": []}}]},
            "problems[0].distribution[0].size",
        ),
        (
            {"problems": [BITS | {"coordinates": "natrual"}]},
            "problems[0].coordinates: there is no coordinates 'natrual'",
        ),
        ({"problems": [BITS | {"point": "start"}]}, "problems[0].point: there is no point 'start'"),
        ({"device": "gpu"}, "there is no device 'gpu'"),
    ],
)
def test_mistakes_are_told_with_their_place(changes, said):
    with pytest.raises(BadInput) as caught:
        suite_cells(suite(**changes))
    assert str(caught.value).startswith(said)


def test_devices():
    check_device("cpu")
    with pytest.raises(BadInput, match="on this machine"):
        check_device("mps:7")


@pytest.mark.parametrize("size", [10**9, 10**12, 2**62])
def test_a_problem_that_no_memory_holds_is_planned_without_it(size):
    """Fault C9: what it takes is the worker's to find out; its row says so."""
    block = {"distribution": {"name": "bernoulli", "size": [3, size]}, "objective": "quadratic_bits"}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, resource.getrlimit(resource.RLIMIT_DATA)
    found = suite_cells(suite(problems=[block]))
    assert len(found) == 8 and {cell.dim for cell in found} == {3, 0}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before[0] < 2**21  # 2 GiB in kB
    assert resource.getrlimit(resource.RLIMIT_DATA) == before[1]


def test_a_file_of_data_that_cannot_be_read_is_bad_input(tmp_path):
    """Fault C16, before anything is measured."""
    (tmp_path / "images").write_bytes(b"\x1f\x8b")
    family = {"name": "bernoulli_encoder", "data": str(tmp_path / "images")}
    with pytest.raises(BadInput, match=r"^digits_vae/bernoulli_encoder: cannot read the image file '.*images': "):
        suite_cells(suite(problems=[{"distribution": family, "objective": "digits_vae"}]))


NAMES = "half \ud800", "line\nbreak", "turned \u202e", "\x1b[2J"


@pytest.mark.parametrize("name", NAMES)
def test_names_of_points_and_coordinates_stand_in_cells_as_they_print(monkeypatch, name):
    """Names that a plug-in's class gives; no file can hold half a character."""
    monkeypatch.setattr(BernoulliFamily, "points", (name,))
    monkeypatch.setattr(BernoulliFamily, "coordinates", (name,))
    monkeypatch.setattr(BernoulliFamily, "version", name)
    shown = visible(name)
    for cell in suite_cells(suite()):
        assert (cell.point, cell.coordinates, cell.problem_version) == (shown, shown, f"{shown}.1")
