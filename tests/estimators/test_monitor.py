"""The monitor of a training loop: its statistics, its intervals on models whose noise is known, its manners."""

import math
import runpy
from collections.abc import Callable
from itertools import combinations, permutations
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.statistics.block import Block
from bench.statistics.stream import Replicates
from estimators.errors import BadInput
from estimators.monitor import Monitor, gradient_noise, increments, numbers
from estimators.tools import gradient_moments as its_module
from estimators.tools.gradient_moments import GradientMoments, centring, gradient_moments, gram, pooled
from estimators.tools.noise_intervals import positive_interval, ratio_interval, student_quantile

ROOT = Path(__file__).parents[2]
NAMES = ("variance", "snr", "noise_scale", "cosine")


def gradients(count: int, size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator).double().exp() + 0.5  # skewed


def moments(rows: Tensor) -> GradientMoments:
    return gradient_moments(gram(rows, centring(len(rows))))


def block(rows: Tensor) -> Block:
    """The suite's statistics of the same gradients."""
    kept = Replicates({"all": slice(0, rows.shape[1])}, None, None)
    kept.add(rows)
    return kept.block("all")


def squared_length(of: Block) -> float:
    return float(of.moments.mean @ of.moments.mean) - of.trace / of.count


def test_values_are_the_suites():
    rows = gradients(16, 7)
    suite, own = block(rows), pooled(GradientMoments(*(each[None] for each in moments(rows))))
    said = numbers(own, samples=1, in_sum=1.0)
    assert said["variance"] == pytest.approx(suite.trace, rel=1e-12)
    assert said["snr"] == pytest.approx(suite.snr().value, rel=1e-12)
    assert float(own.signal) == pytest.approx(squared_length(suite), rel=1e-12)


def test_the_jackknife_is_that_of_the_suites_statistics():
    """Each gradient is left out in turn, and the suite computes both statistics from the others."""
    rows = gradients(9, 5)
    others = [block(rows[torch.arange(9) != i]) for i in range(9)]
    without = np.array([[squared_length(each) for each in others], [each.trace for each in others]])
    expected = 8 * np.cov(without) * 8 / 9
    assert moments(rows).covariance.numpy() == pytest.approx(expected, rel=1e-10)


def test_the_error_of_the_variance_is_the_suites():
    """The suite adds the quadratic part, the jackknife takes the surplus away: equal for many gradients of the same
    noise, up to the suite's allowance for the largest distance."""
    rows = torch.randn(2048, 20, generator=torch.Generator().manual_seed(0)).double()
    own = pooled(GradientMoments(*(each[None] for each in moments(rows))))
    assert math.sqrt(own.covariance[1, 1]) / own.noise == pytest.approx(block(rows).variance_error(), rel=0.01)


def test_the_trace_of_the_squared_covariance_is_the_mean_over_all_quadruples():
    rows = gradients(6, 3)
    products = [float((rows[i] - rows[j]) @ (rows[k] - rows[m])) ** 2 / 4 for i, j, k, m in permutations(range(6), 4)]
    centred = rows - rows.mean(0)
    found = its_module.trace_of_squared_covariance(centred @ centred.T)
    assert float(found) == pytest.approx(np.mean(products), rel=1e-10)


def test_signal_and_noise_are_means_over_pairs():
    rows = gradients(5, 3)
    pairs = [*combinations(range(5), 2)]
    found = moments(rows)
    assert float(found.signal) == pytest.approx(np.mean([float(rows[i] @ rows[j]) for i, j in pairs]), rel=1e-12)
    squares = [float((rows[i] - rows[j]).square().sum()) / 2 for i, j in pairs]
    assert float(found.noise) == pytest.approx(np.mean(squares), rel=1e-12)


def covariances(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Of many studies `[studies, K, P]`: the covariance of (signal, noise), and the mean of its corrected estimates."""
    centred = torch.cat([rows.mean(1, keepdim=True), rows - rows.mean(1, keepdim=True)], 1)
    found = gradient_moments(centred @ centred.mT)
    true = torch.cov(torch.stack([found.signal, found.noise]))
    sign = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double()
    return true, (found.covariance - found.excess[:, None, None] * sign).mean(0)


@pytest.mark.parametrize("signal", [0.0, 0.5])
def test_the_corrected_jackknife_is_unbiased(signal):
    """Without the correction it is twice too large where there is no signal."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.empty(40_000, 6, 3).exponential_(generator=generator).double() - 1 + signal
    true, estimated = covariances(rows)
    assert estimated[0, 0] == pytest.approx(float(true[0, 0]), rel=0.06)
    assert estimated[1, 1] == pytest.approx(float(true[1, 1]), rel=0.15)
    assert estimated[0, 1] == pytest.approx(float(true[0, 1]), rel=0.15)


def test_pooling_is_a_mean_over_independent_steps():
    steps = [moments(gradients(8, 5, seed)) for seed in range(3)]
    found = pooled(GradientMoments(*map(torch.stack, zip(*steps, strict=True))))
    assert float(found.noise) == pytest.approx(sum(float(each.noise) for each in steps) / 3)
    assert float(found.degrees) == 3 * 7 / 2 and float(found.count) == pytest.approx(8)
    raw = torch.stack([each.covariance for each in steps]).sum(0) / 9
    assert torch.linalg.eigvalsh(found.covariance)[0] > 0
    assert bool((found.covariance.diagonal() <= raw.diagonal()).all())


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1))


def accumulate(model: nn.Module, count: int, seed: int, monitor: Monitor | None) -> dict[str, float]:
    torch.manual_seed(seed)
    model.zero_grad()
    for _ in range(count):
        (model(torch.randn(4, 6)).square().mean() / count).backward()
        if monitor is not None:
            monitor.add()
    return {} if monitor is None else monitor.step()


@pytest.mark.parametrize("count", [4, 8, 19])
def test_the_gradients_of_micro_batches_are_told_apart(count, monkeypatch):
    """Running sums in `.grad` give the numbers of separate gradients, in blocks too; the gradient is of their sum."""
    monkeypatch.setattr(its_module, "BLOCK", 7)
    model = net()
    said = accumulate(model, count, 1, Monitor(model.parameters(), micro_batch_size=4, every=1))
    torch.manual_seed(1)
    rows = []
    for _ in range(count):
        loss = model(torch.randn(4, 6)).square().mean() / count
        rows.append(torch.cat([each.flatten() for each in torch.autograd.grad(loss, [*model.parameters()])]))
    found = moments(torch.stack(rows).double())
    ratio = float(found.signal / found.noise)
    assert said["variance"] == pytest.approx(count * float(found.noise), rel=1e-4)
    assert said["noise_scale"] == pytest.approx(4 / ratio if ratio > 0 else math.inf, rel=1e-4)
    assert said["snr"] == pytest.approx(math.sqrt(max(count * ratio, 0.0)), rel=1e-4)
    assert said["cosine"] == pytest.approx(said["snr"] ** 2 / (said["snr"] ** 2 + 2), rel=1e-9)


def test_the_matrix_of_increments_makes_deviations_from_running_sums():
    rows = gradients(5, 3)
    assert torch.allclose(increments(5) @ rows.cumsum(0), centring(5) @ rows)


def test_training_is_the_same_to_the_bit():
    trained = []
    for monitored in (False, True):
        model = net()
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        monitor = Monitor(model.parameters(), every=2) if monitored else None
        for seed in range(5):
            accumulate(model, 4, seed, monitor)
            optimiser.step()
        trained.append(torch.cat([each.detach().flatten() for each in model.parameters()]))
    assert torch.equal(*trained)


def test_one_step_of_so_many_is_monitored():
    model = net()
    monitor = Monitor(model.parameters(), every=3, window=2)
    said = [accumulate(model, 4, seed, monitor) for seed in range(8)]
    assert [bool(each) for each in said] == [True, False, False, True, False, False, True, False]
    assert {*said[0]} == {f"{name}{end}" for name in NAMES for end in ("", "_low", "_high")}
    assert len(monitor._latest) == 2


def test_a_small_noise_beside_a_large_gradient_is_not_lost_to_rounding():
    """‖G‖/√tr Σ = 1e4: inner products of float32 gradients that are not centred would be off by all of the noise."""
    weight = torch.zeros(2000, requires_grad=True)
    torch.manual_seed(0)
    noises = 1e-4 * torch.randn(8, 2000)
    monitor = Monitor([weight], every=1)
    for noise in noises:
        (weight @ (1 + noise)).backward()
        monitor.add()
    assert monitor.step()["variance"] == pytest.approx(8 * float(noises.var(0).sum()), rel=0.01)


def test_parameters_without_a_gradient_and_of_other_types_take_part():
    used, unused = torch.zeros(3, dtype=torch.float64, requires_grad=True), torch.zeros(2, requires_grad=True)
    half = torch.zeros(2, dtype=torch.bfloat16, requires_grad=True)
    monitor = Monitor([used, torch.zeros(2), unused, half], every=1)
    for scale in (1.0, 2.0, 3.0, 4.0):
        (scale * (used.sum() + half.sum())).backward()
        monitor.add()
    assert monitor.step()["variance"] == pytest.approx(4 * 5 * 5 / 3)


def test_micro_batches_may_differ_in_number():
    model = net()
    monitor = Monitor(model.parameters(), every=1)
    for count in (4, 9, 5):
        said = accumulate(model, count, count, monitor)
    assert all(math.isfinite(said[name]) for name in ("variance", "snr", "cosine"))
    assert monitor._latest[1].count == 9


def test_a_step_that_is_not_finite_is_left_out():
    model = net()
    monitor = Monitor(model.parameters(), every=1)
    before = accumulate(model, 4, 0, monitor)
    model.zero_grad()
    for _ in range(4):
        (model(torch.randn(4, 6)).sum() * math.nan).backward()
        monitor.add()
    assert monitor.step() == before


def told(loss: Callable[[Tensor], Tensor], size: int = 3) -> dict[str, float]:
    weight = torch.zeros(size, requires_grad=True)
    return gradient_noise([weight], lambda: loss(weight))


def test_without_noise_the_numbers_are_exact():
    said = told(lambda weight: (weight - 1).square().sum())
    assert [said[name] for name in NAMES] == [0, math.inf, 0, 1]
    assert said["noise_scale_high"] == 0 and said["cosine_low"] == 1


def test_without_a_gradient_no_number_is_nan():
    for loss in (lambda weight: 0 * weight.sum(), lambda weight: weight @ torch.randn(3)):
        torch.manual_seed(0)
        said = told(loss)
        assert not any(math.isnan(each) for each in said.values())
        assert said["snr_low"] == 0 and said["cosine_low"] == 0 and said["noise_scale_high"] == math.inf


def test_extra_passes_leave_the_model_alone():
    model = net()
    accumulate(model, 2, 0, None)
    before = [each.grad.clone() for each in model.parameters() if each.grad is not None]
    said = gradient_noise(model.parameters(), lambda: model(torch.randn(4, 6)).square().mean(), batch_size=4)
    assert said["noise_scale"] == pytest.approx(4 / said["snr"] ** 2)
    assert all(torch.equal(a, b.grad) for a, b in zip(before, model.parameters(), strict=True) if b.grad is not None)


def test_a_parameter_that_is_given_twice_counts_once():
    """Tied weights: Σ (g_i − ḡ)²/(K − 1) · K of the four gradients 0, 1, 2, 3 is 4 · 5/3."""
    tied = torch.zeros((), requires_grad=True)
    monitor = Monitor([tied, tied], every=1)
    for slope in range(4):
        (tied * slope).backward()
        monitor.add()
    assert monitor.step()["variance"] == pytest.approx(20 / 3)


def steps_of(weight, zero, steps=3):
    """The numbers of each step of a loop that calls `zero` after it."""
    optimiser, found = torch.optim.SGD([weight], lr=0.1), []
    monitor = Monitor([weight], every=1, window=1)
    for step in range(steps):
        for slope in range(4):
            (weight.sum() * (slope + step)).backward()
            monitor.add()
        found.append(monitor.step()["variance"])
        optimiser.step()
        zero(optimiser)
    return found


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("to_none", [True, False])
def test_a_gradient_that_is_zeroed_is_not_left_over(to_none):
    weight = torch.zeros(1, requires_grad=True)
    assert steps_of(weight, lambda own: own.zero_grad(set_to_none=to_none)) == pytest.approx([20 / 3] * 3)


@pytest.mark.filterwarnings("error")
def test_a_gradient_of_zeros_may_stay():
    """Zeroed before the monitor's step: its mark is of zeros."""
    weight = torch.zeros(1, requires_grad=True)
    weight.grad = torch.zeros(1)
    monitor = Monitor([weight], every=1)
    for slope in range(4):
        (weight.sum() * slope).backward()
        monitor.add()
    assert monitor.step()["variance"] == pytest.approx(20 / 3)


def test_a_gradient_that_is_left_over_is_told_and_left_out():
    weight = torch.zeros(1, requires_grad=True)
    with pytest.warns(UserWarning, match=r"begins with the gradient of the step before.*call zero_grad") as told:
        assert steps_of(weight, lambda own: None) == pytest.approx([20 / 3] * 3)  # the first step's, in a window of 1
    assert len(told) == 2


def test_sparse_gradients_count_as_dense_ones():
    torch.manual_seed(0)
    found = []
    for sparse in (False, True):
        torch.manual_seed(0)
        table = nn.Embedding(5, 3, sparse=sparse)
        monitor = Monitor(table.parameters(), every=1)
        for row in (0, 1, 1, 4):
            table(torch.tensor([row])).square().sum().backward()
            monitor.add()
        found.append(monitor.step())
        noise = gradient_noise(table.parameters(), lambda table=table: table(torch.tensor([2])).sum())
        assert noise["variance"] == 0
    assert found[0] == found[1]


WEIGHT = torch.zeros(3, requires_grad=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Monitor([torch.zeros(2)]), "none of them requires a gradient"),
        (lambda: Monitor(WEIGHT), "parameters must be several tensors.* found one Tensor"),
        (lambda: Monitor([WEIGHT], every=0), "every must be at least 1, found 0"),
        (lambda: Monitor([WEIGHT], window=cast(Any, 1.5)), "window must be a whole number, at least 1; found 1.5"),
        (lambda: Monitor([WEIGHT], every=cast(Any, "9")), "every must be a whole number, at least 1; found '9'"),
        (lambda: gradient_noise([WEIGHT], WEIGHT.sum, passes=cast(Any, 8.0)), "passes must be a whole number"),
        (lambda: Monitor([WEIGHT], window=0), "window must be at least 1, found 0"),
        (lambda: Monitor([WEIGHT], micro_batch_size=0), "micro_batch_size must be at least 1, found 0"),
        (lambda: Monitor([WEIGHT]).add(), "no parameter has a gradient; call add"),
        (lambda: Monitor([WEIGHT]).step(), "at least 4 micro-batches: call add.* found 0"),
        (lambda: gradient_noise([WEIGHT], WEIGHT.sum, passes=3), "at least 4 passes, found 3"),
        (lambda: gradient_noise([WEIGHT], WEIGHT.sum, batch_size=0), "batch_size must be at least 1, found 0"),
        (lambda: gradient_noise([WEIGHT], lambda: 2 * WEIGHT), r"scalar loss .* found shape \(3,\)"),
        (lambda: gradient_noise([WEIGHT], lambda: torch.ones(())), "without a graph"),
        (lambda: gradient_noise([WEIGHT], cast(Any, lambda: 3.0)), "scalar loss with a graph, found 3.0"),
        (lambda: gradient_noise([WEIGHT], lambda: WEIGHT.sum() * math.inf), "a gradient has a NaN or an infinity"),
    ],
)
def test_bad_input_is_told_in_a_sentence(call: Callable[[], Any], message: str):
    with pytest.raises(BadInput, match=message):
        call()


def test_quantiles_of_student():
    from scipy.stats import t

    for degrees in (3.5, 7.0, 28.0, 56.0):
        assert student_quantile(degrees) == pytest.approx(t.ppf(0.975, degrees), rel=0.01)


def test_the_interval_of_a_ratio_far_from_zero_is_fiellers():
    covariance = [[0.04, -0.01], [-0.01, 0.09]]
    value, low, high = ratio_interval(2.0, 4.0, covariance, 1e9)
    z = 1.959963985
    for end in (low, high):
        variance = 0.04 + 0.02 * end + 0.09 * end**2
        assert abs(2 - 4 * end) == pytest.approx(z * math.sqrt(variance), rel=1e-6)
    assert low < value == 0.5 < high


def test_the_interval_of_a_ratio_is_never_empty():
    """With a signal of −5 standard errors, too, and the high end grows with the signal."""
    ends = [ratio_interval(signal, 1.0, [[1.0, 0.0], [0.0, 0.0]], 1e9) for signal in (-5.0, -1.0, 0.0, 1.0, 1.6, 1.7)]
    highs = [high for _, _, high in ends]
    assert highs[0] > 0 and highs == sorted(highs)
    assert [low > 0 for _, low, _ in ends] == [False] * 5 + [True]  # one-sided at 0: 1.645 standard errors


def test_where_the_noise_is_not_known_the_ratio_has_no_end():
    assert ratio_interval(5.0, 1.0, [[1.0, 0.0], [0.0, 1.0]], 1e9)[2] == math.inf
    assert positive_interval(1.0, 1.0, 1e9)[1:] == pytest.approx((math.exp(-1.96), math.exp(1.96)), rel=1e-3)


# Intervals on models whose noise is known.


Changed = Callable[[GradientMoments], GradientMoments]


def covered(
    rows: Callable[[], Tensor], true: dict[str, float], studies: int, changed: Changed | None = None
) -> dict[str, float]:
    """The share of studies whose intervals hold the true numbers; a study is `[steps, K, P]` gradients."""
    hits = dict.fromkeys(NAMES, 0)
    for _ in range(studies // 100):
        each = torch.stack([rows() for _ in range(100)], 1)
        mean = each.mean(-2, keepdim=True)
        products = torch.cat([mean, each - mean], -2)
        found = gradient_moments((products @ products.mT).double())
        means = pooled(changed(found) if changed else found)
        for i in range(100):
            said = numbers(type(means)(*(x[i] for x in means)), 1, float(COUNT))
            for name in NAMES:
                hits[name] += said[f"{name}_low"] <= true[name] <= said[f"{name}_high"]
    return {name: hit / studies for name, hit in hits.items()}


STEPS, COUNT, SAMPLES, SIZE = 16, 8, 16, 10


def regression(distance: float) -> tuple[Callable[[], Tensor], float, float]:
    """Micro-batches of a linear regression, x and noise standard normal, at weights `distance` from the true ones.

    A sample's gradient is (x·d − e) x, of mean d; the trace of its covariance is (P + 1) ‖d‖² + P.
    """
    d = distance * torch.ones(SIZE) / SIZE**0.5

    def rows() -> Tensor:
        x, e = torch.randn(STEPS, COUNT, SAMPLES, SIZE), torch.randn(STEPS, COUNT, SAMPLES)
        return ((x @ d - e)[..., None, :] @ x)[..., 0, :] / SAMPLES

    return rows, distance**2, ((SIZE + 1) * distance**2 + SIZE) / SAMPLES


def quadratic(length: float) -> tuple[Callable[[], Tensor], float, float]:
    """A gradient of length `length` with normal noise whose standard deviations are 1, 1/2, …, 1/30."""
    scale = 1 / torch.arange(1.0, 31.0)
    g = length * torch.ones(30) / 30**0.5
    return lambda: g + scale * torch.randn(STEPS, COUNT, 30), length**2, float(scale.square().sum())


def truths(signal: float, noise: float) -> dict[str, float]:
    """The numbers of the sum of COUNT gradients; `noise_scale` in gradients."""
    snr = math.sqrt(COUNT * signal / noise)
    scale = noise / signal if signal else math.inf
    return {"variance": COUNT * noise, "snr": snr, "noise_scale": scale, "cosine": snr**2 / (snr**2 + 2)}


MODELS = {
    **{f"regression {each}": (regression(each), each in (0.0, 0.3)) for each in (0.0, 0.1, 0.2, 0.3, 1.0, 3.0)},
    **{f"quadratic {each}": (quadratic(each), each == 3.0) for each in (0.7, 1.0, 3.0)},
}
"""Models whose noise is known, and whether they are studied in `make test`."""


@pytest.mark.parametrize(
    "model",
    [pytest.param(each, marks=[] if quick else pytest.mark.slow) for each, quick in MODELS.values()],
    ids=MODELS,
)
def test_intervals_cover_93_to_97_percent(model):
    """Signal-to-noise ratios of a sum of COUNT gradients from 0 to 6."""
    rows, signal, noise = model
    torch.manual_seed(1)
    found = covered(rows, truths(signal, noise), 2000)
    assert all(0.93 <= each <= 0.97 for each in found.values()), found


def uncorrected(found: GradientMoments) -> GradientMoments:
    return found._replace(excess=torch.zeros_like(found.excess))


def naive(found: GradientMoments) -> GradientMoments:
    """The squared length of the mean, with its noise."""
    return found._replace(signal=found.signal + found.noise / found.count)


def in_deviations(found: GradientMoments) -> GradientMoments:
    """Divides by K in place of K − 1."""
    return found._replace(noise=found.noise * (found.count - 1) / found.count)


@pytest.mark.parametrize(
    ("changed", "name", "low", "high"),
    [(uncorrected, "snr", 0.97, 1), (naive, "snr", 0, 0.9), (in_deviations, "variance", 0, 0.9)],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_wrong_statistics_do_not_cover_93_to_97_percent(changed, name, low, high):
    rows, signal, noise = regression(0.1)
    torch.manual_seed(1)
    found = covered(rows, truths(signal, noise), 300, changed)
    assert low <= found[name] <= high, found


def trained_study(monitor: Monitor, weight: Tensor, goal: Tensor) -> tuple[dict[str, float], dict[str, float]]:
    """A training run of STEPS steps on fresh data with its report, and the true numbers: means over the run."""
    optimiser = torch.optim.SGD([weight], lr=0.02)
    signals, noises, said = [], [], {}
    for _ in range(STEPS):
        squared = float((weight.detach() - goal).square().sum())
        signals.append(squared)
        noises.append(((SIZE + 1) * squared + SIZE) / SAMPLES)
        optimiser.zero_grad()
        x = torch.randn(COUNT, SAMPLES, SIZE)
        y = x @ goal + torch.randn(COUNT, SAMPLES)
        for inputs, outputs in zip(x, y, strict=True):
            ((inputs @ weight - outputs).square().mean() / 2 / COUNT).backward()
            monitor.add()
        said = monitor.step()
        optimiser.step()
    signal, noise = float(np.mean(signals)), float(np.mean(noises))
    true = truths(signal, noise)
    return said, {**true, "variance": true["variance"] / COUNT**2, "noise_scale": SAMPLES * true["noise_scale"]}


def trained_coverage(studies: int) -> dict[str, float]:
    hits = dict.fromkeys(NAMES, 0)
    torch.manual_seed(0)
    goal = torch.ones(SIZE) / SIZE**0.5
    for _ in range(studies):
        weight = torch.zeros(SIZE, requires_grad=True)
        said, true = trained_study(Monitor([weight], micro_batch_size=SAMPLES, every=1), weight, goal)
        for name in NAMES:
            hits[name] += said[f"{name}_low"] <= true[name] <= said[f"{name}_high"]
    return {name: hit / studies for name, hit in hits.items()}


def test_the_monitor_of_a_training_run_holds_the_truth():
    """The numbers are means over the window, while the weights move; units are samples and the loop's own gradient."""
    found = trained_coverage(30)
    assert all(each >= 0.75 for each in found.values()), found


@pytest.mark.slow
def test_the_monitor_of_a_training_run_covers_93_to_97_percent():
    found = trained_coverage(2000)
    assert all(0.93 <= each <= 0.97 for each in found.values()), found


def test_the_example_shows_that_a_baseline_takes_noise_away():
    train = runpy.run_path(str(ROOT / "examples" / "monitored_training.py"))["train"]
    logs = {name: train(name, steps=4, every=3) for name in ("rloo", "reinforce")}
    assert [row["step"] for row in logs["rloo"]] == [0, 3]
    for rloo, reinforce in zip(*logs.values(), strict=True):
        assert rloo["variance_high"] < reinforce["variance_low"]
        assert rloo["noise_scale_low"] < rloo["noise_scale"] <= rloo["noise_scale_high"]
