"""Forty models of the kinds that people have, none of them gradest's own: (parameters, distribution, objective).

`python -m tests.support.forty_models NAME… --seconds 60` prints, for each, the answer and how it compares with plain
training loops of 10⁴ steps.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch import distributions as D  # noqa: N812
from torch.distributions import Independent, constraints

from estimators import Evidence

Model = tuple[Any, Callable[[Any], Any], Any]
MODELS: dict[str, Callable[[], Model]] = {}


def model(made: Callable[[], Model]) -> Callable[[], Model]:
    MODELS[made.__name__] = made
    return made


def fixed(*shape: int, seed: int = 0) -> Tensor:
    """Numbers that are the same every time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def bits(theta: Tensor) -> D.Distribution:
    return Independent(D.Bernoulli(logits=theta), 1)


def normals(theta: dict[str, Tensor]) -> D.Distribution:
    return Independent(D.Normal(theta["loc"], theta["log_scale"].exp()), 1)


def normal_theta(size: int) -> dict[str, Tensor]:
    return {"loc": 0.3 * fixed(size), "log_scale": torch.full((size,), -0.5)}


@model
def toy_bits() -> Model:
    return torch.tensor([0.2, -0.4, 0.1]), bits, lambda z: (z - 0.49).square().sum(-1)


@model
def many_bits() -> Model:
    return 0.5 * fixed(40), bits, lambda z: 30 + (z.sum(-1) - 15).square()


@model
def coupled_bits() -> Model:
    coupling = fixed(12, 12, seed=1)
    return 0.5 * fixed(12), bits, lambda z: ((z @ coupling) * z).sum(-1)


@model
def bits_with_a_threshold() -> Model:
    return torch.zeros(16), bits, lambda z: z.sum(-1) > 9


@model
def bits_of_data() -> Model:
    x = fixed(30, 5)
    return {"w": 0.1 * fixed(5, 8)}, lambda p: bits(x @ p["w"]), lambda z: (z.sum(-1) - x.sum(-1)).square()


@model
def belief_net() -> Model:
    weight = fixed(10, 20, seed=2)
    x = (fixed(15, 20, seed=3) > 0).float()

    def log_joint(z: Tensor) -> Tensor:
        return D.Bernoulli(logits=z @ weight, validate_args=False).log_prob(x).sum(-1) - 10 * float(np.log(2))

    return torch.zeros(15, 10), bits, Evidence(log_joint)


@model
def small_vae() -> Model:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(20, 16), nn.Tanh(), nn.Linear(16, 6))
    decoder = nn.Linear(6, 20).requires_grad_(False)
    x = (fixed(10, 20, seed=4) > 0).float()

    def log_joint(z: Tensor) -> Tensor:
        return D.Bernoulli(logits=decoder(z), validate_args=False).log_prob(x).sum(-1) - 6 * float(np.log(2))

    return encoder, lambda net: bits(net(x)), Evidence(log_joint)


@model
def gaussian_vae() -> Model:
    torch.manual_seed(1)
    encoder = nn.Linear(20, 8)
    decoder = nn.Linear(4, 20).requires_grad_(False)
    x = fixed(10, 20, seed=5)

    def distribution(net: nn.Module) -> D.Distribution:
        loc, log_scale = net(x).chunk(2, -1)
        return Independent(D.Normal(loc, log_scale.exp()), 1)

    def log_joint(z: Tensor) -> Tensor:
        return -0.5 * (x - decoder(z)).square().sum(-1) - 0.5 * z.square().sum(-1)

    return encoder, distribution, Evidence(log_joint)


@model
def one_category() -> Model:
    reward = fixed(8)
    return torch.zeros(8), lambda t: D.OneHotCategorical(logits=t), lambda z: z @ reward


@model
def many_categories() -> Model:
    reward = fixed(500)
    return torch.zeros(500), lambda t: D.OneHotCategorical(logits=t), lambda z: 3 + z @ reward


@model
def integer_bandit() -> Model:
    reward = fixed(10, seed=6)
    return torch.zeros(10), lambda t: D.Categorical(logits=t), lambda z: 5 + reward[z]


@model
def token_rewards() -> Model:
    answer = nn.functional.one_hot(torch.tensor([0, 3, 1, 2, 4]), 5).float()
    right = lambda z: ((z * answer).sum(-1).sum(-1) >= 3).float()  # noqa: E731
    return torch.zeros(5, 5), lambda t: Independent(D.OneHotCategorical(logits=t), 1), right


@model
def clusters() -> Model:
    likelihood = 2 * fixed(40, 3, seed=7)
    return 0.1 * fixed(40, 3), lambda t: D.OneHotCategorical(logits=t), Evidence(lambda z: (z * likelihood).sum(-1))


@model
def masked_actions() -> Model:
    mask, reward = torch.tensor([True, True, False, True, False]), fixed(5, seed=8)
    return fixed(5), lambda t: D.OneHotCategorical(logits=t.masked_fill(~mask, -torch.inf)), lambda z: 2 + z @ reward


@model
def quadratic_normal() -> Model:
    return normal_theta(10), normals, lambda z: (z - 1).square().sum(-1)


@model
def curved_normal() -> Model:
    return normal_theta(6), normals, lambda z: (2 * z).sin().sum(-1) + 0.1 * z.pow(4).sum(-1)


@model
def step_normal() -> Model:
    return normal_theta(4), normals, lambda z: (z.sum(-1) > 0.5).float()


@model
def jump_and_slope() -> Model:
    return normal_theta(3), normals, lambda z: 5 * (z > 0).float().sum(-1) + 0.1 * z.square().sum(-1)


@model
def numpy_box() -> Model:
    return normal_theta(4), normals, lambda z: np.abs(np.asarray(z)).sum(-1)


@model
def logistic_regression() -> Model:
    x = fixed(50, 6, seed=9)
    y = (x[:, 0] + fixed(50, seed=10) > 0).float()

    def log_joint(w: Tensor) -> Tensor:
        return D.Bernoulli(logits=w @ x.T).log_prob(y).sum(-1) - 0.5 * w.square().sum(-1)

    return normal_theta(6), normals, Evidence(log_joint)


@model
def full_normal() -> Model:
    target = fixed(5, seed=11)

    def distribution(p: dict[str, Tensor]) -> D.Distribution:
        return D.MultivariateNormal(
            p["loc"], scale_tril=p["raw"].tril(-1) + torch.diag_embed(p["raw"].diagonal().exp())
        )

    return {"loc": torch.zeros(5), "raw": 0.1 * fixed(5, 5)}, distribution, lambda z: (z - target).square().sum(-1)


@model
def mixture_of_normals() -> Model:
    def distribution(p: dict[str, Tensor]) -> D.Distribution:
        return D.MixtureSameFamily(D.Categorical(logits=p["w"]), D.Normal(p["loc"], p["log_scale"].exp()))

    theta = {"w": torch.zeros(3), "loc": torch.tensor([-1.0, 0.0, 1.0]), "log_scale": torch.zeros(3)}
    return theta, distribution, lambda z: 4 + (z - 0.3).square()


@model
def gamma_rates() -> Model:
    return (
        0.5 + 0.3 * fixed(4),
        lambda t: Independent(D.Gamma(t.exp(), torch.tensor(2.0)), 1),
        lambda z: (z - 1).square().sum(-1),
    )


@model
def beta_chances() -> Model:
    return (
        {"a": torch.zeros(3), "b": torch.ones(3)},
        lambda p: Independent(D.Beta(p["a"].exp(), p["b"].exp()), 1),
        (lambda z: z.square().sum(-1)),
    )


@model
def topic_shares() -> Model:
    words = fixed(4, seed=12)
    return torch.tensor([0.5, 1.0, 0.2, 0.0]), lambda t: D.Dirichlet(t.exp()), lambda z: (z @ words).square()


@model
def counts() -> Model:
    return torch.tensor([0.3, 1.0]), lambda t: Independent(D.Poisson(t.exp()), 1), lambda z: (z.sum(-1) - 4).square()


@model
def waiting_times() -> Model:
    return torch.tensor([0.1, 0.4]), lambda t: Independent(D.Exponential(t.exp()), 1), lambda z: z.max(-1).values


@model
def binomial_yield() -> Model:
    return torch.tensor([0.2, -0.3]), lambda t: Independent(D.Binomial(6, logits=t), 1), lambda z: z.prod(-1)


@model
def multinomial_votes() -> Model:
    return torch.tensor([0.2, -0.3, 0.5]), lambda t: D.Multinomial(10, logits=t), lambda z: (z[..., 0] - 4).square()


@model
def log_normal_prices() -> Model:
    def distribution(p: dict[str, Tensor]) -> D.Distribution:
        return Independent(D.LogNormal(p["loc"], p["log_scale"].exp()), 1)

    return normal_theta(3), distribution, lambda z: (z.sum(-1) - 3).relu()


@model
def heavy_tails() -> Model:
    return (
        {"loc": torch.zeros(3)},
        lambda p: Independent(D.StudentT(torch.tensor(5.0), p["loc"], 1.0), 1),
        lambda z: z.tanh().sum(-1),
    )


@model
def laplace_noise() -> Model:
    return {"loc": fixed(4)}, lambda p: Independent(D.Laplace(p["loc"], 0.7), 1), lambda z: z.abs().sum(-1)


@model
def squashed_actions() -> Model:
    def distribution(p: dict[str, Tensor]) -> D.Distribution:
        inner = D.Normal(p["loc"], p["log_scale"].exp())
        return Independent(D.TransformedDistribution(inner, [D.transforms.TanhTransform(cache_size=1)]), 1)

    return normal_theta(3), distribution, lambda z: (z - 0.5).square().sum(-1)


@model
def relaxed_bits() -> Model:
    return (
        torch.zeros(4),
        lambda t: Independent(D.RelaxedBernoulli(torch.tensor(0.5), logits=t), 1),
        (lambda z: (z - 0.3).square().sum(-1)),
    )


@model
def moving_support() -> Model:
    def distribution(p: dict[str, Tensor]) -> D.Distribution:
        return Independent(D.Uniform(p["low"], p["low"] + p["log_width"].exp()), 1)

    return {"low": torch.zeros(2), "log_width": torch.zeros(2)}, distribution, lambda z: z.square().sum(-1)


@model
def angles() -> Model:
    return (
        torch.tensor([1.5, -0.4]),
        lambda t: Independent(D.VonMises(t, torch.tensor(2.0)), 1),
        lambda z: z.cos().sum(-1) + 2,
    )


class Chain(D.Distribution):
    """Bits, each of which depends on those before it."""

    arg_constraints = {"b": constraints.real_vector, "w": constraints.real}  # noqa: RUF012  # pyright: ignore

    def __init__(self, b: Tensor, w: Tensor, validate_args: bool | None = None) -> None:
        self.b, self.w = b, w
        super().__init__(b.shape[:-1], b.shape[-1:], validate_args=False)

    def logits(self, z: Tensor) -> Tensor:
        return self.b + (self.w.tril(-1) @ z.unsqueeze(-1)).squeeze(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:  # type: ignore[override]
        z = torch.zeros(*sample_shape, *self.b.shape)
        for d in range(self.b.shape[-1]):
            z[..., d] = torch.bernoulli(self.logits(z)[..., d].sigmoid())
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        return D.Bernoulli(logits=self.logits(value)).log_prob(value).sum(-1)


@model
def autoregressive_bits() -> Model:
    return {"b": torch.zeros(6), "w": 0.3 * fixed(6, 6)}, lambda p: Chain(**p), lambda z: 3 + (z.sum(-1) - 3.9).square()


class Recurrent(D.Distribution):
    """Tokens from a recurrent network: a user's own class, which names no parameters."""

    arg_constraints: dict = {}  # noqa: RUF012

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        super().__init__(torch.Size(), torch.Size([4]), validate_args=False)

    def logits(self, z: Tensor) -> Tensor:
        before = torch.cat([torch.zeros_like(z[..., :1]), z[..., :-1] + 1], -1)
        one_hot = nn.functional.one_hot(before.reshape(-1, 4), 4).float()
        return self.net.head(self.net.rnn(one_hot)[0]).reshape(*z.shape, 3)  # type: ignore[operator, union-attr]

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:  # type: ignore[override]
        z = torch.zeros(*sample_shape, 4, dtype=torch.long)
        for t in range(4):
            z[..., t] = D.Categorical(logits=self.logits(z)[..., t, :]).sample()
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        return self.logits(value).log_softmax(-1).gather(-1, value[..., None])[..., 0].sum(-1)


@model
def recurrent_policy() -> Model:
    torch.manual_seed(2)
    net = nn.ModuleDict({"rnn": nn.RNN(4, 5, batch_first=True), "head": nn.Linear(5, 3)})
    return net, Recurrent, lambda z: (z.sum(-1) == 4).float()


@model
def double_precision() -> Model:
    return torch.zeros(5, dtype=torch.float64), bits, lambda z: 100 + (z.sum(-1) - 1.7).square()


@model
def half_precision() -> Model:
    return torch.zeros(5, dtype=torch.bfloat16), bits, lambda z: (z.sum(-1) - 1.7).square()


QUICK = (
    *("toy_bits", "coupled_bits", "bits_with_a_threshold", "one_category", "integer_bandit"),
    *("quadratic_normal", "jump_and_slope", "mixture_of_normals", "gamma_rates", "recurrent_policy"),
)
"""Those that `make test` asks."""
