"""A user's model in its several forms, and a sentence for each that does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, Distribution, Independent, Normal

from bench.advice.model_file import load_model
from bench.advice.own_model import own_model
from bench.advice.soundness import check_model
from estimators.errors import BadInput
from tests.support.own_models import TEN_LINES

WRONG = {
    "no file": (None, "there is no file"),
    "import": ("import nothing_of_this_name", "does not import: ModuleNotFoundError"),
    "missing": ("parameters = 1", "defines no 'distribution'"),
    "integers": (TEN_LINES.replace("torch.zeros(4)", "torch.zeros(4).long()"), "must hold floating-point numbers"),
    "list": (TEN_LINES.replace("torch.zeros(4)", "[1.0]"), "by name or an nn.Module, found list"),
    "empty": (TEN_LINES.replace("torch.zeros(4)", "torch.zeros(0, 4)"), "hold no number at all"),
    "not a number": (TEN_LINES.replace("torch.zeros(4)", "torch.zeros(4) / 0"), "holds a NaN or an infinity"),
    "not a distribution": (TEN_LINES.replace("Independent(Bernoulli(logits=logits), 1)", "logits"), "found Tensor"),
    "two variables": (
        TEN_LINES.replace("Independent(Bernoulli(logits=logits), 1)", "{'a': 1}"),
        "the first of several random variables must be a torch distribution, found 1",
    ),
    "raises": (TEN_LINES.replace("Bernoulli(logits=logits)", "Bernoulli(scale=logits)"), "raises TypeError"),
    "shape": (TEN_LINES.replace(".sum(-1)", ""), r"must return shape \[2, 3\], found \[2, 3, 4\]"),
    "index": (TEN_LINES.replace("z.sum(-1)", "z[9]"), "objective raises IndexError on z of shape"),
    "objective": (TEN_LINES.replace("def objective(z):", "objective = 3\n    def other(z):"), "found int"),
    "set": (
        TEN_LINES.replace("def objective(z):", "from estimators import OrderStatistics\n    def reward(z):")
        + "    objective = OrderStatistics.maximum(reward, 8)\n",
        "objective takes 8 draws at once, and estimators of such objectives do not race",
    ),
    "text": (TEN_LINES.replace("(z.sum(-1) - 1.3).square()", "'1.0'"), "must return a tensor of values, found str"),
}


@pytest.mark.parametrize("text, says", WRONG.values(), ids=WRONG)
def test_a_model_that_does_not_fit_is_said_in_a_sentence(text: str | None, says: str, write: Callable[[str], Path]):
    path = Path("nowhere.py") if text is None else write(text)
    with pytest.raises(BadInput, match=says):
        load_model(path)


class Copies(Normal):
    def sample(self, sample_shape: Any = ()) -> torch.Tensor:  # type: ignore[override]
        return super().sample().expand(*sample_shape, *self.loc.shape).clone()


class Seeded(Normal):
    def sample(self, sample_shape: Any = ()) -> torch.Tensor:  # type: ignore[override]
        torch.manual_seed(3)
        return super().sample(sample_shape)


class Mirrored(Normal):
    def sample(self, sample_shape: Any = ()) -> torch.Tensor:  # type: ignore[override]
        half = super().sample((sample_shape[0] // 2, *sample_shape[1:])) - self.loc
        return torch.cat([self.loc + half, self.loc - half])


def bits(theta: torch.Tensor) -> Distribution:
    return Independent(Bernoulli(logits=theta), 1)


def normals(theta: torch.Tensor) -> Distribution:
    return Independent(Normal(theta, 1.0), 1)


def categories(theta: torch.Tensor) -> Distribution:
    return Independent(Categorical(logits=theta), 1)


def of_all_draws(z: torch.Tensor) -> torch.Tensor:
    return (z - z.mean(0, keepdim=True)).square().sum(-1)


UNSOUND: dict[str, tuple[Any, Any, str]] = {
    "noise": (bits, lambda z: z.sum(-1) + torch.rand(z.shape[:-1]), "two values for one z"),
    "rare noise": (bits, lambda z: (z.sum(-1) + 0.4 * torch.randn(z.shape[:-1]) > 1.5).float(), "two values for one z"),
    "numpy's noise": (
        bits, lambda z: z.sum(-1) + torch.from_numpy(np.random.default_rng().normal(size=z.shape[:-1])), "two values",
    ),
    "in place": (bits, lambda z: z.clamp_(0.1, 0.9).sum(-1), "in place"),
    "in place by numpy": (bits, lambda z: torch.from_numpy(np.add(z.numpy(), 1, out=z.numpy()).sum(-1)), "in place"),
    "rarely infinite": (lambda t: bits(t - 7), lambda z: (1 - z.prod(-1)).log(), r"not finite .* z = \[1, 1, 1, 1\]"),
    "draws together": (bits, of_all_draws, "another value when other draws are beside it"),
    "copies": (lambda t: Independent(Copies(t, 1.0), 1), lambda z: z.sum(-1), "not independent: they are more alike"),
    "mirrored": (lambda t: Independent(Mirrored(t, 1.0), 1), lambda z: z.sum(-1), "not independent: their mean"),
    "seeded": (lambda t: Independent(Seeded(t, 1.0), 1), lambda z: z.sum(-1), "sets torch's seed"),
}  # fmt: skip


@pytest.mark.parametrize("distribution, objective, says", UNSOUND.values(), ids=UNSOUND)
def test_what_would_spoil_every_measurement_is_found_before(distribution: Any, objective: Any, says: str):
    torch.manual_seed(1)
    with pytest.raises(BadInput, match=says):
        check_model(own_model(torch.zeros(4), distribution, objective), "here")


@pytest.mark.parametrize("seed", range(5))
def test_sound_models_are_not_called_unsound(seed: int):
    """Five of 10⁹ by the limits asked for."""
    torch.manual_seed(seed)
    heavy = lambda t: Independent(torch.distributions.StudentT(2.1, t), 1)  # noqa: E731
    for distribution in (bits, heavy, lambda t: Independent(Normal(t, 1e-8), 1)):
        check_model(own_model(torch.zeros(4), distribution, lambda z: z.tanh().sum(-1)), "here")


def test_parameters_may_be_a_module_which_stays_as_it_is():
    module = nn.Linear(3, 2)
    x = torch.ones(5, 3)
    model = own_model(module, lambda net: Independent(Bernoulli(logits=net(x)), 1), lambda z: z.sum(-1))
    assert sorted(model.theta) == ["bias", "weight"] and model.dim == 8
    moved = {name: value + 1 for name, value in model.theta.items()}
    logits = model.distribution(moved).base_dist.logits  # type: ignore[attr-defined]
    assert torch.allclose(logits, x @ (module.weight + 1).T + module.bias + 1)
    assert not torch.allclose(module(x), logits)


def test_values_of_any_type_are_cast_and_the_code_says_so():
    model = own_model(torch.zeros(4), bits, lambda z: z.sum(-1) >= 1)
    assert model.objective(torch.ones(3, 4), model.q()).dtype == torch.float32
    assert "torch.as_tensor(objective(z), dtype=torch.float32)" in model.spelling.expression
    short = own_model(torch.zeros(4, dtype=torch.bfloat16), bits, lambda z: z.sum(-1))
    assert short.dtype == torch.float32 and "half precision" in short.notes[0]


def test_whether_a_plain_function_has_a_gradient_is_tried():
    smooth = own_model(torch.zeros(4), bits, lambda z: z.sum(-1).square())
    step = own_model(torch.zeros(4), bits, lambda z: (z.sum(-1) > 1.3).float())
    box = own_model(
        torch.zeros(4), lambda t: Independent(Normal(t, 1.0), 1), lambda z: torch.from_numpy(z.numpy().sum(-1))
    )
    index = own_model(
        torch.zeros(4, 3), lambda t: Independent(Categorical(logits=t), 1), lambda z: torch.eye(3)[z, 0].sum(-1)
    )
    both = own_model(torch.zeros(4), bits, lambda z, q: (z * q.base_dist.logits + z).sum(-1))
    assert smooth.objective.relaxable and both.objective.relaxable
    assert not (step.objective.relaxable or box.objective.differentiable or index.objective.differentiable)


def test_a_file_may_import_what_lies_beside_it(write: Callable[..., Path]):
    write("ones = 1.0", "beside_the_model.py")
    path = write(TEN_LINES.replace("import torch\n", "import torch\n    import beside_the_model\n"))
    assert load_model(path).dim == 4


def test_a_module_that_is_asked_later_has_the_gradient_too():
    """A distribution that keeps the network, and asks it when it is asked for a density."""

    class Later(Bernoulli):
        def __init__(self, net: nn.Module) -> None:
            self.net = net
            super().__init__(logits=net(torch.ones(1, 3))[0].detach(), validate_args=False)

        def log_prob(self, value: torch.Tensor) -> torch.Tensor:
            return Bernoulli(logits=self.net(torch.ones(1, 3))[0]).log_prob(value)

    shared = nn.Linear(3, 3)
    model = own_model(nn.Sequential(shared, shared), lambda net: Independent(Later(net), 1), lambda z: z.sum(-1))
    assert model.dim == 12  # a shared layer counts once
    leaves = model.leaves()
    q = model.distribution(leaves)
    gradients = torch.autograd.grad(q.log_prob(torch.ones(3)), list(leaves.values()))
    assert all(bool(each.any()) for each in gradients)


def test_a_recurrent_network_is_at_the_given_parameters():
    net = nn.LSTM(2, 2, batch_first=True)
    x = torch.ones(1, 3, 2)
    model = own_model(net, lambda m: Independent(Bernoulli(logits=m(x)[0][0, -1]), 1), lambda z: z.sum(-1))
    moved = {name: torch.zeros_like(value) for name, value in model.theta.items()}
    assert not model.distribution(moved).base_dist.logits.any()  # type: ignore[attr-defined]


def test_a_distribution_of_other_tensors_is_refused():
    outside = torch.zeros(4, requires_grad=True)
    with pytest.raises(BadInput, match="does not depend on the parameters that it is given"):
        own_model(torch.zeros(4), lambda _: Independent(Bernoulli(logits=outside), 1), lambda z: z.sum(-1))


def test_checks_of_a_large_model_draw_few_numbers():
    """10⁶ parameters: each check of f and of the draws holds 4 M numbers at once, or two draws."""
    asked = []

    def objective(z: Tensor) -> Tensor:
        asked.append(z.numel())
        return z.square().mean(-1)

    model = own_model(torch.zeros(10**6), lambda loc: Independent(Normal(loc, 1.0), 1), objective)
    check_model(model, "here")
    assert max(asked) <= 6 * 10**6


def test_a_slow_objective_is_called_four_times_before_the_race(monkeypatch: pytest.MonkeyPatch):
    calls = []

    def objective(z: Tensor) -> Tensor:
        calls.append(len(z))
        return z.square().sum(-1)

    now = iter(range(10**6))
    monkeypatch.setattr("bench.advice.stopwatch.read", lambda: float(next(now)))  # each call takes a second
    model = own_model(torch.zeros(4), lambda loc: Independent(Normal(loc, 1.0), 1), objective)
    assert check_model(model, "here").seconds == 1.0 and len(calls) == 4


def test_a_note_says_which_checks_a_slow_objective_left_no_time_for(
    monkeypatch: pytest.MonkeyPatch,
):
    calls = []

    def objective(z: Tensor) -> Tensor:
        calls.append(len(z))
        return z.square().sum(-1)

    now = iter(range(10**6))
    monkeypatch.setattr("bench.advice.stopwatch.read", lambda: float(next(now)))  # each call takes a second
    model = own_model(torch.zeros(4), lambda loc: Independent(Normal(loc, 1.0), 1), objective)
    found = check_model(model, "here", 9.0)
    assert found.calls == len(calls) == 3
    assert found.note[0].startswith(
        "A call of the objective takes 1 s, so it was not checked whether it gives the same"
    )
    assert check_model(model, "here", 11.0).unchecked == found.unchecked[1:] and len(calls) == 5
    monkeypatch.setattr("bench.advice.stopwatch.read", lambda: 0.0)
    assert check_model(model, "here", 9.0).note == ()


def test_the_first_draws_of_a_model_of_a_million_parameters_are_few():
    asked = []

    def objective(z: Tensor) -> Tensor:
        asked.append(tuple(z.shape[:-1]))
        return z[..., :4].square().mean(-1)

    own_model(torch.zeros(10**6), lambda loc: Independent(Normal(loc, 1.0), 1), objective)
    assert asked[0] == (1, 2)


@pytest.mark.parametrize("seed", [0, 3])
def test_an_objective_that_sets_the_seed_is_refused(seed: int):
    def objective(z: Tensor) -> Tensor:
        torch.manual_seed(seed)
        return z.square().sum(-1)

    model = own_model(torch.zeros(4), lambda loc: Independent(Normal(loc, 1.0), 1), objective)
    with pytest.raises(BadInput, match="objective sets torch's seed"):
        check_model(model, "here")
