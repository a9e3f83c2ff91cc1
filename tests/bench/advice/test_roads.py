"""Both roads measure the user's model; the batched one is taken only where that is shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import (
    Beta,
    Distribution,
    Independent,
    MixtureSameFamily,
    Multinomial,
    Normal,
    OneHotCategorical,
    TransformedDistribution,
    constraints,
    transforms,
)

from bench.advice.own_model import OwnModel, own_model
from bench.advice.roads import Batched, Loop, no_batch, training_step
from estimators import get
from tests.support.own_models import EXAMPLES, source_of

AGREE = 6.0
"""Standard errors that two means of one coordinate may be apart: 2e-9 for each."""


def means_agree(a: torch.Tensor, b: torch.Tensor) -> bool:
    error = (a.double().var(0) / len(a) + b.double().var(0) / len(b)).sqrt()
    slack = 1e-4 * (a.double().abs().mean(0) + b.double().abs().mean(0))
    return bool(((a.double().mean(0) - b.double().mean(0)).abs() <= AGREE * error + slack).all())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_both_roads_agree_on_the_examples(path: Path):
    """Means, and variances to within a factor that 200 estimates of kurtosis 30 allow."""
    model = source_of(path).load()
    if no_batch(model) is not None:
        pytest.skip(f"the loop road is the only one here: {no_batch(model)}")
    torch.manual_seed(0)
    batched, loop = Batched(model, get("rloo"), 4)(200), Loop(model, get("rloo"), 4)(200)
    assert batched.shape == loop.shape == (200, model.dim)
    assert means_agree(batched, loop)
    assert 0.3 < float(batched.var(0).sum() / loop.var(0).sum()) < 3


class Shifted(Normal):
    """A class whose constructor changes what it is given."""

    def __init__(self, loc: torch.Tensor, scale: torch.Tensor, validate_args: bool | None = None) -> None:
        super().__init__(loc + 1.0, scale, validate_args=False)


class Hidden(Distribution):
    """A density with a parameter of θ that it does not name."""

    arg_constraints = {"loc": constraints.real}  # noqa: RUF012  # pyright: ignore

    def __init__(self, loc: torch.Tensor, validate_args: bool | None = None, tilt: Any = 0.0) -> None:
        self.loc, self.tilt = loc, tilt
        super().__init__(loc.shape, validate_args=False)

    def sample(self, sample_shape: Any = ()) -> torch.Tensor:  # type: ignore[override]
        return (self.loc + self.tilt).detach() + torch.randn(*sample_shape, *self.loc.shape)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        return -0.5 * (value - self.loc - self.tilt).square()


def mixture(theta: dict[str, torch.Tensor]) -> Distribution:
    weights = torch.distributions.Categorical(logits=theta["w"])
    return MixtureSameFamily(weights, Normal(theta["loc"], 1.0))


ONE = torch.tensor([0.3, -0.2])
LOOP: dict[str, tuple[Any, Any, Any]] = {
    "a mixture": ({"w": torch.zeros(2), "loc": ONE}, mixture, lambda z: z.square()),
    "a changed argument": (ONE, lambda t: Independent(Shifted(t, torch.ones(2)), 1), lambda z: z.sum(-1)),
    "a hidden parameter": (ONE, lambda t: Hidden(t[0], tilt=t[1].square()), lambda z: z.square()),
    "transforms": (
        ONE, lambda t: Independent(TransformedDistribution(Normal(t, 1.0), [transforms.SigmoidTransform()]), 1),
        lambda z: z.square().sum(-1),
    ),
    "f of all draws": (ONE, lambda t: Independent(Normal(t, 1.0), 1), lambda z: z.sum(-1) + 0 * z.mean() + z.numel()),
}  # fmt: skip


@pytest.mark.parametrize("given", LOOP.values(), ids=LOOP)
def test_what_cannot_be_shown_the_same_takes_the_loop_road(given: tuple[Any, Any, Any]):
    assert no_batch(own_model(*given)) is not None


BATCHED: dict[str, tuple[Any, Any, Any]] = {
    "trials are kept": (torch.tensor([0.2, -0.3, 0.5]), lambda t: Multinomial(10, logits=t), lambda z: z[..., 0]),
    "torch's Beta": (ONE, lambda t: Independent(Beta(t.exp(), t.exp() + 1), 1), lambda z: z.square().sum(-1)),
    "numpy": (ONE, lambda t: Independent(Normal(t, 1.0), 1), lambda z: torch.from_numpy(np.square(z.numpy()).sum(-1))),
}


@pytest.mark.parametrize("given", BATCHED.values(), ids=BATCHED)
def test_the_batched_road_gives_what_the_loop_gives(given: tuple[Any, Any, Any]):
    model = own_model(*given)
    assert no_batch(model) is None
    torch.manual_seed(0)
    assert means_agree(Batched(model, get("rloo"), 2)(4000), Loop(model, get("rloo"), 2)(600))


def exact_multinomial(t: torch.Tensor) -> Any:
    """∇ E[z₀] = 10 ∇ p₀."""
    return torch.autograd.functional.jacobian(lambda t: 10 * t.softmax(0)[0], t)


def test_a_rebuilt_multinomial_has_its_trials():
    theta = torch.tensor([0.2, -0.3, 0.5])
    model = own_model(*BATCHED["trials are kept"])
    torch.manual_seed(0)
    estimates = Batched(model, get("rloo"), 4)(4000).double()
    error = estimates.std(0) / len(estimates) ** 0.5
    assert bool(((estimates.mean(0) - exact_multinomial(theta)).abs() < 6 * error).all())


class Policy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def modules() -> list[tuple[str, Callable[[], OwnModel]]]:
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))

    def of_module() -> OwnModel:
        torch.manual_seed(0)
        net = Policy()
        return own_model(net, lambda m: OneHotCategorical(logits=m(x)), lambda z: z[..., 0])

    def of_names() -> OwnModel:
        torch.manual_seed(0)
        net = Policy()
        call = torch.func.functional_call
        return own_model(
            dict(net.named_parameters()), lambda p: OneHotCategorical(logits=call(net, p, (x,))), lambda z: z[..., 0]
        )

    return [("module", of_module), ("names", of_names)]


@pytest.mark.parametrize("made", [each for _, each in modules()], ids=[name for name, _ in modules()])
def test_a_modules_parameters_have_the_gradient_that_training_gives(made: Callable[[], OwnModel]):
    """Exact enumeration of three categories: the gradient of mean(softmax) by hand."""
    model = made()
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    weight, bias = (model.theta[name].clone().requires_grad_() for name in ("inner.weight", "inner.bias"))
    (x @ weight.T + bias).softmax(-1)[:, 0].mean().backward()
    expected = torch.cat([weight.grad.flatten(), bias.grad])  # type: ignore[union-attr]
    order = list(model.theta)
    assert order == ["inner.weight", "inner.bias"]
    assert torch.allclose(training_step(model, get("exact"), 1), expected, atol=1e-6)
    assert no_batch(model) is None
    assert torch.allclose(Batched(model, get("exact"), 1)(2)[1], expected, atol=1e-6)
