"""Every estimator, family and objective on a device without values, within the rules of graph capture."""

from collections.abc import Iterable

import pytest
import torch

from bench.distributions import distributions
from bench.measure.estimates import gradients
from bench.objectives import objectives
from bench.problems.problem import Problem
from bench.validation.checks.capture_rules import Watched, broken_rules
from estimators import Estimator, Traits, get
from tests.support.pairings import Pairing, covering, pairings

ESTIMATORS = {"quasi_monte_carlo": "takes its table of direction numbers from the CPU at every step"}
FAMILIES = {
    "student_t": "torch makes the Chi2 inside of Python numbers, which are copied to the device",
    "von_mises": "torch draws by rejection, and asks the device whether all are accepted",
}
TABLES = ("binomial", "layered_encoder", "plackett_luce", "token_policy")
PAIRS = {("self_critical", "beta"): "torch finds the mode of a Beta by a mask"}
"""What breaks the rules, with the reason; `exact` on these families lists the states on the host at every step."""

NO_META = {
    "cauchy": "torch draws it into `Tensor.new`, which the meta device lacks",
    "exponential": "the same",
    "geometric": "the same",
    "laplace": "the same",
    "weibull": "the same",
    "beta": "torch has no meta kernel of its draw",
    "binomial": "the same",
    "dirichlet": "the same",
    "gamma": "torch has no meta kernel of its implicit derivative",
}
"""Families that are followed on fake CPU tensors, which show a value read back, not a mix of devices."""


def excepted(case: Pairing) -> bool:
    listed = case.name == "exact" and case.family in TABLES
    return case.name in ESTIMATORS or case.family in FAMILIES or listed or (case.name, case.family) in PAIRS


def wrong(cases: Iterable[Pairing]) -> list[str]:
    """The cases that break a rule, and those that are excepted without need."""
    found = []
    for case in cases:
        device = "cpu" if case.family in NO_META else "meta"
        broken = broken_rules(case.problem, case.estimator, case.draws, device=device)
        if broken and not excepted(case):
            found.append(f"{case}: {'; '.join(broken)}")
        if excepted(case) and not broken and device == "meta":
            found.append(f"{case}: needs no exception")
    return found


@pytest.fixture(autouse=True)
def unvalidated(monkeypatch):
    """torch's one-hot categorical validates the Categorical inside it, whatever it is told."""
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", False)


def test_every_family_objective_and_estimator_once():
    assert wrong(covering()) == []


@pytest.mark.slow
def test_every_estimator_on_every_problem():
    assert wrong(pairings()) == []


LOSSES = {
    "per_decision": {},
    "trl:gspo": {},
    "verl:tis": {},
    "remax": {},
    "ppo": {},
    "reinforce": {"kl": "full", "kl_place": "loss", "beta": 0.1},
}


@pytest.mark.parametrize(
    ("family", "road"),
    [
        ("automaton_policy", "table"),
        ("transformer_policy", "visited"),
        pytest.param("prefix_policy", "table", marks=pytest.mark.slow),
        pytest.param("log_linear_policy", "visited", marks=pytest.mark.slow),
        pytest.param("log_linear_policy", "table", marks=pytest.mark.slow),
        pytest.param("transformer_policy", "table", marks=pytest.mark.slow),
    ],
)
def test_losses_over_rollouts_of_a_stale_and_truncated_behaviour(family, road, monkeypatch):
    """Behaviour and reference policies are read once; also where estimates go through the visited prefixes alone."""
    if road == "visited":
        monkeypatch.setattr(gradients, "MOST_STORED", 0)
    policy = distributions.get(family, size=3, stale=1, learning_rate=0.1, top_p=0.9, truncated_trainer=True)
    objective = "accepted_answers" if family == "automaton_policy" else "regularised_answers"
    for preset, parts in LOSSES.items():
        if objective == "accepted_answers" and parts:
            continue  # its reward has no penalty here
        if preset == "ppo" and objective == "regularised_answers":
            continue  # no critic knows the penalty
        problem = Problem(policy, objectives.get(objective))
        assert broken_rules(problem, get("policy_loss", preset=preset, **parts), 4) == [], preset


class Bad(Estimator):
    """REINFORCE that breaks one rule."""

    traits = Traits(unbiased=True)

    def __init__(self, breaks):
        self.breaks = breaks

    def surrogate(self, q, f, n):
        z = self.breaks(q.sample((n,)))
        return (f(z, q).detach() * q.log_prob(z)).mean(0)


calls = iter(range(1000))
BREAKS = {
    "Tensor.item() cannot be called on meta tensors": lambda z: z * z.sum().item(),
    "it is on cpu": lambda z: z * torch.arange(5.0).to(z.device, z.dtype),
    "not on the expected device": lambda z: torch.where(torch.ones(5) > 0, z, z),
    "other operations": lambda z: z + 0 * torch.zeros(next(calls) + 1, device=z.device).sum(),
}


@pytest.mark.parametrize("said", BREAKS)
def test_each_rule_has_power(said):
    bits = Problem(distributions.get("bernoulli"), objectives.get("quadratic_bits"))
    broken = broken_rules(bits, Bad(BREAKS[said]), 2)
    assert any(said in rule for rule in broken), broken


def test_a_generator_of_ones_own_is_not_registered_with_a_graph():
    with Watched("cpu") as watched:
        torch.rand(3)
        torch.rand(3, generator=torch.Generator())
    assert watched.broken == ["rand: it draws from a generator that no graph knows"]


def test_masks_have_shapes_that_depend_on_data_and_indices_do_not():
    x = torch.rand(4)
    with Watched("cpu") as watched:
        _ = x[torch.tensor([0, 2])]
    assert watched.broken == []
    with Watched("cpu") as watched:
        _ = x[x > 0.5]
    assert any("its shape depends on data" in rule for rule in watched.broken)


def test_fake_cpu_tensors_show_a_value_read_back():
    bits = Problem(distributions.get("bernoulli"), objectives.get("quadratic_bits"))
    broken = broken_rules(bits, Bad(lambda z: z * z.sum().item()), 2, device="cpu")
    assert "_local_scalar_dense" in " ".join(broken)
    assert broken_rules(bits, get("rloo"), 2, device="cpu") == []
