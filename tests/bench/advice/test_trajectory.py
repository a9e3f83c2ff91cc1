"""Advice along a training: θ moves, the answers are at the θ of their step, and where winners change hands is said."""

from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from torch.distributions import Bernoulli, Independent

from bench.advice.advisor import Question
from bench.advice.training import Stretch, Trainer
from bench.advice.trajectory import _points, _sentence, answers_along
from bench.advice.workers import WorkerHere
from estimators import get
from estimators.errors import BadInput
from tests.support.own_models import advice, source_of

pytestmark = pytest.mark.usefixtures("processor_clock")


def bits(theta: torch.Tensor) -> Independent:
    return Independent(Bernoulli(logits=theta), 1)


MODEL = (torch.zeros(4), bits, lambda z: 10 + (z.sum(-1) - 1.3).square())
QUESTION = Question(("rloo", "reinforce", "exact"), (2,), 0.6, False, 0)


def stretch(**more: Any) -> Stretch:
    return Stretch(get("exact"), 1, 0, more.pop("optimiser", "sgd"), more.pop("learning_rate", 0.5), **more)


def test_the_answers_are_at_the_theta_of_their_step(tmp_path: Path):
    worker = WorkerHere(source_of(MODEL))
    found = answers_along(worker, QUESTION, [0, 40, 80], stretch(), clock=process_time)
    assert list(found.answers) == [0, 40, 80] and worker.shop is not None
    plain = {at: each.table.set_index("estimator").loc["reinforce", "variance"] for at, each in found.answers.items()}
    bits_at = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4)
    theta = worker.shop.model.theta["parameters"]
    q = bits(theta)
    weight = q.log_prob(bits_at).exp()[:, None]
    score = (10 + (bits_at.sum(-1) - 1.3).square())[:, None] * (bits_at - theta.sigmoid())
    exact = ((weight * score.square()).sum(0) - (weight * score).sum(0).square()).sum() / 2
    assert plain[80] == pytest.approx(exact.item(), rel=0.35) and plain[0] != pytest.approx(plain[80], rel=0.05)
    assert set(found.table["at"]) == {0, 40, 80} and isinstance(found.figure(), Figure)
    folder = found.save(tmp_path / "along")
    assert {each.name for each in folder.iterdir()} >= {"trajectory.csv", "trajectory.svg", "step-40.json"}
    assert "At step 0: exact with n = 2." in found.sentence


@pytest.mark.parametrize("maximise", [False, True])
def test_training_goes_the_right_way(maximise: bool):
    """SGD with the exact gradient moves E f as asked, and a stretch goes on where the last one ended."""
    model = source_of((torch.zeros(4), bits, lambda z: z.sum(-1))).load()
    trainer = Trainer(model)
    asked = Stretch(get("exact"), 1, 5, "sgd", 1.0, maximise)
    thetas = [torch.zeros(4), *(trainer.train(asked)["parameters"] for _ in range(3))]
    for before, after in pairwise(thetas):
        assert bool(((after > before) == maximise).all())


def test_what_cannot_be_trained_is_said():
    model = source_of((torch.zeros(4), bits, lambda z: z.sum(-1))).load()
    with pytest.raises(BadInput, match="there is no optimiser 'adm'; did you mean 'adam'"):
        Trainer(model).train(Stretch(get("exact"), 1, 1, "adm", 0.1))
    with pytest.raises(BadInput, match="made the parameter 'parameters' NaN or infinite"):
        Trainer(model).train(Stretch(get("exact"), 1, 3, lambda p: torch.optim.SGD(p, lr=float("inf")), 0.0))
    with pytest.raises(BadInput, match="points must lie between 0 and 10"):
        _points(10, [0, 11])
    assert _points(10, 3) == [0, 5, 10]


def test_where_winners_change_hands_is_said():
    first = advice((torch.zeros(4), bits, lambda z: z.sum(-1)), 0.6, (2,), names=("reinforce",))
    second = advice(MODEL, 1.0, (2,), names=("rloo", "reinforce"))
    said = _sentence({0: first, 50: second})
    assert "By step 50 rloo takes over: reinforce has" in said and "times (95 % interval" in said
