"""Closed forms: estimators that are biased on one bit, by how much; and REBAR, whose relaxed part is not."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

import estimators
from bench.validation.facts.ad_hoc_problem import bits, posed
from bench.validation.facts.agreement import agrees, mean_near, variance_near
from bench.validation.facts.fact import Curve, FactResults, Picture, exact, fact, near, printed
from bench.validation.facts.noise_rules import of_bit, of_logit, population
from bench.validation.facts.one_bit import FEW_BITS, Bit
from bench.validation.facts.sampler import SIGMAS, Sampler
from estimators.core import Estimator

TARGET = 0.45


@fact("closed_form", "biased on a bit", "Shao et al. 2024 (GRPO); Liu et al. 2025; by enumeration of the K bits")
def group_mean_shrinks(sampler: Sampler) -> FactResults:
    """With the mean of all K draws as the baseline, the current one among them, the expectation is (1 − 1/K) g."""
    for K in (2, 4, 8):
        for bit in FEW_BITS:
            shrunk = (1 - 1 / K) * bit.gradient
            yield from agrees(
                sampler,
                f"{bit}, K = {K}",
                bit.problem,
                estimators.get("group_mean"),
                [of_bit(bit.p)] * K,
                samples=K,
                mean=shrunk,
            )
        drawn = sampler.moments(FEW_BITS[0].problem, estimators.get("group_mean"), K)
        yield mean_near(f"{FEW_BITS[0]}, K = {K}: by draws", (1 - 1 / K) * FEW_BITS[0].gradient, drawn, 0)


@fact("closed_form", "biased on a bit", "Bengio, Léonard, Courville 2013; by the two outcomes of b")
def straight_through_on_a_quadratic(sampler: Sampler) -> FactResults:
    """On the quadratic, straight-through's bias is q(2p−1): zero only at p = ½."""
    for bit in FEW_BITS:
        mean = bit.gradient + bit.q * (2 * bit.p - 1)
        yield from agrees(
            sampler, str(bit), bit.problem, estimators.get("straight_through"), [of_bit(bit.p)], mean=mean
        )
        drawn = sampler.moments(bit.problem, estimators.get("straight_through"), full=2**22)
        yield mean_near(f"{bit}: by draws", mean, drawn, 0)


def crossed(z: Tensor) -> Tensor:
    """A quadratic with cross terms of two one-hot variables."""
    rank = torch.arange(3, dtype=z.dtype)
    first, second = (z * rank).sum(-1).unbind(-1)
    return (first - 1.3 * second + 0.4).square() + 0.7 * z[..., 0, 2] * z[..., 1, 0]


@fact("closed_form", "biased on a bit", "Liu, Dong, Liu, Yu, Gao 2023, section 3; derivation")
def reinmax_on_powers(sampler: Sampler) -> FactResults:
    """ReinMax is unbiased on any quadratic, of bits or one-hot variables, cross terms included; on |b − .45|^r its
    mean is [f′(1) + f′(0)]/(2Δ) times the truth: .50084 at r = 1.5, 1.99336 at r = 3."""
    estimator = estimators.get("reinmax")
    for bit in FEW_BITS:
        yield from agrees(sampler, f"r = 2, {bit}", bit.problem, estimator, [of_bit(bit.p)], mean=bit.gradient)
    for power, number in ((1.5, "0.50084"), (3.0, "1.99336")):
        for phi in (0.0, -1.0, 2.0):
            bit = Bit(phi, power=power)
            slopes = power * (1 - TARGET) ** (power - 1) - power * TARGET ** (power - 1)
            mean = slopes / (2 * bit.delta) * bit.gradient
            what = f"r = {power:g}, φ = {phi:g}"
            yield from agrees(sampler, what, bit.problem, estimator, [of_bit(bit.p)], mean=mean)
            yield printed(f"{what}: mean ÷ truth", number, mean / bit.gradient)
    two = {"logits": torch.tensor([[0.4, -0.6, 0.1], [-0.2, 0.5, 0.9]], dtype=torch.float64)}
    yield from unbiased_on_one_hot(sampler, two, crossed, estimator)


def unbiased_on_one_hot(
    sampler: Sampler, theta: dict[str, Tensor], f: Callable[[Tensor], Tensor], estimator: Estimator
) -> FactResults:
    """Unbiased against enumeration, by draws, in every coordinate."""
    from bench.distributions.categorical import FastOneHot
    from bench.problems.exact import reference

    def made(parameters: dict[str, Tensor]) -> torch.distributions.Distribution:
        return torch.distributions.Independent(FastOneHot(**parameters, validate_args=False), 1, validate_args=False)

    problem = posed(made, theta, f)
    found = reference(problem)
    assert found is not None
    truth = found.gradient["logits"].flatten()
    drawn = sampler.moments(problem, estimator)
    for at, value in enumerate(truth.tolist()):
        yield mean_near(f"two one-hot variables, logit {at}", value, drawn, at, scale=float(truth.abs().max()))


@fact("closed_form", "biased on a bit", "derivation: where the mean straight-through gradient is zero")
def straight_through_stalls(sampler: Sampler) -> FactResults:
    """Trained by straight-through on |b − t|^r, t = .45, a bit stalls at p* = t^{r−1}/(t^{r−1} + (1−t)^{r−1}), not
    at the optimum p = 0: losses .352223, .247500, .121300 at r = 1.5, 2, 3, where .301869, .202500, .091125 is best."""
    curves = []
    losses = {1.5: ("0.352223", "0.301869"), 2.0: ("0.247500", "0.202500"), 3.0: ("0.121300", "0.091125")}
    for r, (stalled, best) in losses.items():
        stop = TARGET ** (r - 1) / (TARGET ** (r - 1) + (1 - TARGET) ** (r - 1))
        loss = stop * (1 - TARGET) ** r + (1 - stop) * TARGET**r
        yield printed(f"r = {r:g}: loss at p*", stalled, loss)
        yield printed(f"r = {r:g}: loss at p = 0", best, TARGET**r)
        path, reached = straight_through_descent(sampler, r)
        yield near(f"r = {r:g}: loss after training", loss, *reached, within=0.02)
        curves.append(Curve(f"r = {r:g}", [float(step) for step in range(len(path))], path))
        curves.append(Curve(f"best, r = {r:g}", [0.0, float(len(path))], [TARGET**r] * 2, style="dashed"))
    yield Picture("A bit trained by straight-through", "step", "loss E |b − .45|^r", curves)


def straight_through_descent(
    sampler: Sampler, r: float, chains: int = 64, steps: int = 200
) -> tuple[list[float], tuple[float, float]]:
    """Gradient descent by straight-through: the mean loss of the chains along it, and at the end with its error."""
    bit = Bit(2.0, power=r)
    estimator, f = estimators.get("straight_through"), estimators.Function(bit.f)
    phi, path = torch.full((chains, 1), bit.phi, dtype=torch.float64), []
    loss = phi
    sampler.start()
    for step in range(steps):
        p = phi.sigmoid()
        loss = p * (1 - TARGET) ** r + (1 - p) * TARGET**r
        path.append(float(loss.mean()))
        gradient = torch.func.grad(lambda phi: estimator.surrogate(bits({"logits": phi}), f, 256).sum())(phi)
        phi = phi - 40 / (1 + step / 10) * gradient
    return path, (path[-1], SIGMAS * float(loss.std()) / chains**0.5)


@fact("closed_form", "biased on a bit", "Maddison, Mnih, Teh 2017; Jang, Gu, Poole 2017; derivation")
def concrete_on_a_quadratic(sampler: Sampler) -> FactResults:
    """The binary Concrete at temperature λ has the bias λq(2p−1) + O(λ²), and −λ²(1−2t)π²/48 at p = ½; its variance
    grows to q(1/5 − 2t/3 + 2t²/3)/λ as λ → 0."""
    bit, known = Bit(-1.0), {0.05: "-4.532e-3", 0.1: "-8.947e-3", 0.5: "-3.1297e-2", 1.0: "-3.4195e-2"}
    limit = bit.q * (1 / 5 - 2 * TARGET / 3 + 2 * TARGET**2 / 3)
    found: dict[float, tuple[float, float]] = {}
    for heat in (0.001, 0.01, *known, 2.0):
        whole = population(bit.problem, estimators.get("gumbel_softmax", temperature=heat), 1, of_logit(-bit.phi, heat))
        found[heat] = float(whole.mean[0]) - bit.gradient, float(whole.variance[0])
    for heat, number in known.items():
        yield printed(f"bias at λ = {heat:g}, by a rule", number, found[heat][0])
        if heat >= 0.5 or not sampler.quick:
            full = 2**22 if heat >= 0.5 else 2**25
            drawn = sampler.moments(bit.problem, estimators.get("gumbel_softmax", temperature=heat), 1, full)
            yield mean_near(f"mean at λ = {heat:g}, by draws", bit.gradient + found[heat][0], drawn, 0)
    first = bit.q * (2 * bit.p - 1)
    yield near("bias ÷ λ at λ = .001", first, found[0.001][0] / 0.001, 1e-3 * abs(first))
    yield near("variance × λ at λ = .001", limit, found[0.001][1] * 0.001, 0.01 * limit)
    half = Bit(0.0)
    whole = population(half.problem, estimators.get("gumbel_softmax", temperature=0.01), 1, of_logit(0.0, 0.01))
    second = -(1 - 2 * TARGET) * math.pi**2 / 48
    yield near("bias ÷ λ² at p = ½, λ = .01", second, float(whole.mean[0] - half.gradient) / 1e-4, 1e-3 * abs(second))
    heats = sorted(found)
    yield Picture(
        "Binary Concrete on a quadratic, p = .27",
        "temperature λ",
        "|bias|, variance",
        [
            Curve("|bias|", heats, [abs(found[heat][0]) for heat in heats]),
            Curve("λ q |2p − 1|", heats, [heat * abs(first) for heat in heats], style="dashed"),
            Curve("variance", heats, [found[heat][1] for heat in heats]),
            Curve("its limit ÷ λ", heats, [limit / heat for heat in heats], style="dashed"),
        ],
        "xy",
    )


REBAR = {0.1: ("8.72517e-2", "9.04144e-2"), 0.5: ("2.26531e-2", "2.40671e-2"), 1.0: ("1.84891e-2", "1.79167e-2")}


@fact("closed_form", "biased on a bit", "Tucker et al. 2017; by a rule over both noises")
def rebar_on_a_bit(sampler: Sampler) -> FactResults:
    """REBAR with η = 1 is unbiased; at t = .45, φ = 0 its variance is .0872517 at λ = .1, .0226531 at .5 and .0184891
    at 1, above REINFORCE's .0159391; with coupled noise .0904144, .0240671 and .0179167."""
    bit = Bit(0.0)
    for heat, numbers in REBAR.items():
        for joined, number in zip((False, True), numbers, strict=True):
            estimator = estimators.get("rebar", eta=1.0, temperature=heat, coupled=joined)
            lines = [of_logit(0.0, heat, 32)] * (1 if joined else 2)
            whole = population(bit.problem, estimator, 1, *lines)
            what = f"λ = {heat:g}, {'coupled' if joined else 'independent'} noise"
            yield exact(f"{what}: mean, by a rule", bit.gradient, float(whole.mean[0]), 1e-6)
            yield printed(f"{what}: variance, by a rule", number, float(whole.variance[0]))
            drawn = sampler.moments(bit.problem, estimator)
            yield variance_near(
                f"{what}: variance, by draws", float(number), drawn, 0, kurtosis=float(whole.kurtosis[0])
            )
