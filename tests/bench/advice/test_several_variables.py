"""Models with several random variables: who races, what is printed, and each variable's part of the gradient."""

# pyright: reportAttributeAccessIssue=false, reportOptionalSubscript=false, reportIndexIssue=false
# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportOptionalMemberAccess=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, Normal, OneHotCategorical

from bench.advice.combinations import EachVariable, offer_of_variable, starting_combination
from bench.advice.model_file import load_model
from bench.advice.own_model import own_model
from bench.advice.printed_code import in_code
from bench.advice.roads import training_step
from bench.advice.training import Stretch, Trainer
from estimators import JointFunction, PerVariable, get
from estimators.errors import BadInput
from tests.support.own_models import advice

pytestmark = pytest.mark.usefixtures("processor_clock")

LAYERS = """
    import torch
    from torch.distributions import Bernoulli, Independent, Normal
    parameters = {"logits": torch.zeros(6), "W": torch.eye(6)}
    def distribution(p):
        q1 = Independent(Bernoulli(logits=p["logits"]), 1)
        return [q1, lambda z1: Independent(Normal(z1 @ p["W"].T, 1.0), 1)]
    def objective(z1, z2):
        return (z1 * z2).sum(-1)
"""
GROUPS = """
    import torch
    from torch.distributions import Bernoulli, Independent, Normal
    parameters = {"logits": torch.zeros(4), "loc": torch.zeros(3), "ls": torch.zeros(3)}
    def distribution(p):
        weight = Independent(Normal(p["loc"], p["ls"].exp()), 1)
        return {"switch": Independent(Bernoulli(logits=p["logits"]), 1), "weight": weight}
    def objective(z):
        return (z["switch"].sum(-1) - z["weight"].sum(-1)) ** 2
"""
NAMES = ("rloo", "reparameterisation", "disarm")


@pytest.mark.parametrize(("text", "second"), [(LAYERS, "z2"), (GROUPS, "weight")], ids=["layers", "groups"])
def test_each_variable_has_its_estimator_and_the_code_runs(text: str, second: str, write: Callable[[str], Path]):
    path = write(text)
    found = advice(path, seconds=3.0, samples=(4, 16), names=NAMES)
    assert found.estimator is not None and found.estimator.endswith(f"reparameterisation for {second}")
    assert (
        found.road == "loop" and "one training step at a time: the model has several random variables" in found.sentence
    )
    parts = found.variables
    assert list(parts["variable"])[1] == second and len(parts) == 2
    assert 2 * parts["variance_high"].sum() < parts["leave_one_out_low"].sum()
    assert bool((parts["bias_at_most"] < 1).all()) and bool((parts["gradient"] > 0.1).all())
    scope: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    for value in scope["parameters"].values():
        value.requires_grad_()
    exec(found.code, scope)
    assert all(value.grad is not None for value in scope["parameters"].values())


def test_the_answer_is_written_and_shown_with_its_variables(tmp_path: Path, write: Callable[[str], Path]):
    found = advice(write(GROUPS), seconds=2.0, samples=(4,), names=("rloo", "reparameterisation"))
    found.save(tmp_path)
    assert (tmp_path / "variables.csv").read_text().startswith("variable,gradient,variance,")
    rows = json.loads(found.to_json())
    assert [row["variable"] for row in rows["variables"]] == ["switch", "weight"] and rows["table"]
    assert "The part of each variable" in found._repr_html_()
    assert any(name.endswith("for switch") for name in found.left_out)


def bits(logits: torch.Tensor) -> Independent:
    return Independent(Bernoulli(logits=logits), 1)


def test_the_starting_combination_takes_paths_where_there_are_such():
    layers = own_model(
        torch.zeros(3), lambda p: [bits(p), lambda b: Normal(b.sum(-1), 1.0)], lambda b, x: x + b[..., 0]
    )
    assert in_code(starting_combination(layers)) == 'PerVariable([get("rloo"), get("reparameterisation")], inner=[1])'
    below = own_model(
        {"loc": torch.zeros(2)},
        lambda p: {"x": Independent(Normal(p["loc"], 1.0), 1), "c": lambda z: OneHotCategorical(logits=z["x"])},
        lambda z: (z["x"] * z["c"]).sum(-1),
    )
    made = starting_combination(below)
    assert in_code(made) == 'PerVariable({"x": get("reparameterisation"), "c": get("rloo")}, inner=[2])'
    assert offer_of_variable(below, made, 0).unmet(get("taylor_pathwise"), 1) is not None  # no second derivative
    jumping = own_model(
        torch.zeros(3), lambda p: [bits(p), lambda b: Normal(b.sum(-1), 1.0)], lambda b, x: (x > 0) * 1.0
    )
    assert in_code(starting_combination(jumping)) == 'PerVariable([get("rloo"), get("rloo")], inner=[2])'


def test_the_parts_of_the_variables_add_up_to_the_gradient(write: Callable[[str], Path]):
    """Of one estimate, drawn with one seed; a parameter of both variables is in both parts."""
    model = own_model(
        {"a": torch.tensor([0.3, -0.2])},
        lambda p: [bits(p["a"]), lambda b: Independent(Normal(b * p["a"], 1.0), 1)],
        lambda b, x: (b * x).sum(-1).square(),
    )
    estimator = PerVariable([get("rloo"), get("reparameterisation")])
    torch.manual_seed(0)
    parts = EachVariable(model, estimator, 8)()
    torch.manual_seed(0)
    whole = training_step(model, estimator, 8)
    torch.testing.assert_close(parts.sum(0), whole)
    assert bool((parts.abs() > 0).any(1).all())


def test_whole_numbers_and_dicts_reach_the_objective_in_double_precision():
    model = own_model(
        {"logits": torch.zeros(3), "loc": torch.zeros(())},
        lambda p: {"k": Categorical(logits=p["logits"]), "x": lambda z: Normal(z["k"] + p["loc"], 1.0)},
        lambda z: torch.tensor([0.0, 1.0, 4.0])[z["k"]] * z["x"],
    )
    twin = model.doubled()
    assert twin is not None
    q = twin.q()
    assert twin.objective(q.sample((4,)), q).dtype == torch.float64


def test_calls_of_f_are_counted(write: Callable[[str], Path]):
    found = advice(write(GROUPS), seconds=2.0, samples=(4,), names=("rloo", "reparameterisation"), cost="calls")
    steps = found.table.set_index("estimator")["step"]
    assert steps["rloo for switch and reparameterisation for weight"] == 4
    assert steps["rloo for switch and rloo (n = 2) for weight"] == 8


def test_combinations_that_are_given_race_as_they_are(write: Callable[[str], Path]):
    given = (PerVariable([get("disarm"), get("reparameterisation")], [3]), PerVariable([get("rloo"), get("rloo")]))
    found = advice(write(LAYERS), seconds=2.0, samples=(4,), names=("rloo", *given))
    assert found.estimator == "disarm for z1 and reparameterisation (n = 3) for z2" and "inner=[3]" in found.code
    assert set(found.table["estimator"]) == {"rloo", found.estimator, "rloo for z1 and rloo (n = 2) for z2"}
    assert len(found.variables) == 2


def test_training_by_leave_one_out_makes_an_evidence_of_several_variables_large():
    model = own_model(
        {"loc": torch.tensor([3.0])},
        lambda p: [Independent(Normal(p["loc"], 1.0), 1), lambda x: Independent(Normal(x, 1.0), 1)],
        JointFunction(lambda x, y: -(x.square() + y.square()).sum(-1) / 2, evidence=True),
    )
    theta = Trainer(model).train(Stretch("rloo", 16, 30, "adam", 0.1))
    assert abs(float(theta["loc"])) < 2.5


WRONG = {
    "first": (LAYERS.replace("return [q1,", "return [3.0,"), "the first of several random variables must be a torch"),
    "batch": (
        LAYERS.replace("Independent(Normal(z1 @", "(Normal(z1 @").replace(", 1.0), 1)]", ", 1.0))]"),
        "z2 must have",
    ),
    "number": (
        LAYERS.replace("objective(z1, z2)", "objective(z1)"),
        r"raises TypeError on z1 of shape \[2, 3, 6\], z2 of",
    ),
    "shape": (LAYERS.replace(".sum(-1)", ""), r"objective must return shape \[2, 3\] on z1 of shape \[2, 3, 6\]"),
    "name": (GROUPS.replace('z["switch"].sum', 'z["swich"].sum'), r"raises KeyError on switch of shape \[2, 3, 4\]"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_said_in_a_sentence(text: str, said: str, write: Callable[[str], Path]):
    path = write(text)
    with pytest.raises(BadInput, match=said) as found:
        load_model(path)
    assert str(found.value).startswith(str(path))
