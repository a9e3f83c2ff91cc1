"""Rewards of a language model's answers: alone, less a penalty on the distance from a reference, best of k."""

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from bench.distributions.base import Family
from bench.distributions.prefix_policy import LanguagePolicy, PrefixPolicy, table_from_file
from bench.distributions.prefix_tree import action_values, sequence_rows, sequences, starts
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from bench.objectives.sets_of_draws import of_finite_law
from estimators.core import Objective, Terms
from estimators.errors import BadInput
from estimators.order_statistics import OrderStatistics, maximum_weights
from estimators.policy.sequence import Regularised


class TableReward(Objective):
    """R(z) by the row of an answer.

    Args:
        table: R, `[prompts, sequences]`.
        values: the expected reward after each prefix, `[prompts, prefixes]`. Default: computed from q at each call.
    """

    differentiable = twice_differentiable = relaxable = False

    def __init__(
        self, table: Float[Tensor, "prompts sequences"], values: Float[Tensor, "prompts prefixes"] | None = None
    ) -> None:
        self.table, self.values = table, values

    def of(self, z: Tensor) -> Tensor:
        """Returns R of answers `[*sample, prompts, T, V]`."""
        return self.table[torch.arange(len(self.table), device=z.device), sequence_rows(z)]

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return self.of(z)

    def state_values(self, z: Tensor, q: PrefixPolicy) -> Tensor:
        """Returns the exact E_π[R | the tokens before] at every token, `[*sample, *batch, T]`, 0 after the end."""
        values = prefix_values(q.logits.detach(), self.table) if self.values is None else self.values
        return q.rows(values.unsqueeze(-1), q.prefix(z)).squeeze(-1) * q.mask(z)


def prefix_values(
    logits: Float[Tensor, "*batch prefixes V"], rewards: Float[Tensor, "prompts sequences"]
) -> Float[Tensor, "*batch prefixes"]:
    """Returns the expected reward after each prefix."""
    probs, V = logits.softmax(-1), logits.shape[-1]
    size = next(T for T in itertools.count(1) if starts(T, V)[-2] == logits.shape[-2])
    return (probs * action_values(probs, rewards, size)).sum(-1)


class PricedReward(Terms):
    """R(z), received at the last token, less `prices` of the tokens before the end: a term for each step.

    Args:
        table: R by the row of an answer, `[prompts, sequences]`.
        prices: of each token, `[V]`; the end token's is 0.
        size: the largest number of tokens, T.
        values: the expected total after each prefix, as those of `TableReward`.
    """

    differentiable = twice_differentiable = relaxable = False

    def __init__(
        self,
        table: Float[Tensor, "prompts sequences"],
        prices: Float[Tensor, " V"],
        size: int,
        values: Float[Tensor, "prompts prefixes"] | None = None,
    ) -> None:
        self.reward, self.prices = TableReward(table), prices
        self.totals = TableReward(table - costs_of_answers(prices, size, len(prices)), values)
        self.depends = torch.ones(size, size, device=table.device).tril()

    def each(self, z: Tensor, q: PrefixPolicy) -> Tensor:  # type: ignore[override]
        mask = q.mask(z)
        last = mask - torch.nn.functional.pad(mask[..., 1:], (0, 1))
        return last * self.reward(z, q).unsqueeze(-1) - z @ self.prices

    def state_values(self, z: Tensor, q: PrefixPolicy) -> Tensor:
        """Returns the exact expected rewards from each token on, `[*sample, *batch, T]`, 0 after the end."""
        paid = (z @ self.prices).cumsum(-1) - z @ self.prices
        return self.totals.state_values(z, q) + paid * q.mask(z)


def costs_of_answers(prices: Float[Tensor, " V"], T: int, V: int) -> Float[Tensor, " sequences"]:
    """Returns the sum of the tokens' prices of every answer, in the order of `bench.distributions.prefix_tree`."""
    return (sequences(T, V, prices) @ prices).sum(-1)


@dataclass(frozen=True)
class AnswerReward(Target):
    """A reward for each answer of a language model: 1 for right answers by the policy's `law`, else 0.

    `table`: a `.npy`, `.npz` or `.csv` file of rewards `[prompts, sequences]` instead, sequences in the order of
    `bench.distributions.prefix_tree`.
    """

    differentiable = False
    twice_differentiable = False
    relaxable = False

    table: str = ""

    def fits(self, family: Family) -> str | None:
        return None if isinstance(family, LanguagePolicy) else "rewards the answers of a language-model policy"

    def rewards(self, family: Family) -> Float[Tensor, "prompts sequences"]:
        """Returns R of every answer. Raises BadInput if a file's table has another shape."""
        assert isinstance(family, LanguagePolicy)
        if not self.table:
            return family.right()
        found, shape = table_from_file(self.table), (family.prompts, starts(family.size, family.vocabulary)[-1])
        if found.shape != shape:
            raise BadInput(f"{self.name}: {self.table} has the shape {list(found.shape)}, {list(shape)} would be right")
        return torch.tensor(found)

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        return TableReward(self.rewards(family).to(like), self.values(family, like))

    def values(self, family: Family, like: Tensor) -> Float[Tensor, "prompts prefixes"] | None:
        """Returns the expected reward after each prefix at the family's θ if q has no table to read them from."""
        assert isinstance(family, LanguagePolicy)
        if not family.visited:
            return None
        return prefix_values(family.encode_table(family.start()), self.rewards(family)).to(like)

    def policy(self, family: Family, parameters: Tensors) -> PrefixPolicy:
        """Returns the policy at these parameters."""
        q = family.build(parameters)
        assert isinstance(q, PrefixPolicy)
        return q


@objectives.register("right_answers")
@dataclass(frozen=True)
class RightAnswers(AnswerReward):
    """E R: the probability of a right answer."""

    used_by = "reinforcement learning with verifiable rewards (DeepSeek-R1, Dr. GRPO)"

    def expectation(self, family: Family, point: str, parameters: Tensors, level: int = 0) -> Float[Tensor, "*leading"]:
        return (self.policy(family, parameters).sequence_log_probs().exp() * self.rewards(family)).sum(-1)


@objectives.register("priced_answers")
@dataclass(frozen=True)
class PricedAnswers(RightAnswers):
    """E[R − Σ_t c(y_t)]: a right answer less a cost at each token, so rewards of single steps.

    Token v of V costs `price` × (v + 1)/V; the end token is free.
    """

    used_by = "rewards with a price on length or on steps (Kimi k1.5; process rewards); returns to go and GAE"

    price: float = 0.1

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        assert isinstance(family, LanguagePolicy)
        table, prices = super().rewards(family).to(like), self.prices(family).to(like)
        return PricedReward(table, prices, family.size, self.values(family, like))

    def prices(self, family: LanguagePolicy) -> Float[Tensor, " V"]:
        """Returns the cost of each token."""
        V = family.vocabulary
        worth = torch.arange(1, V + 1, dtype=torch.float64) / V
        worth[-1] = 0
        return self.price * worth

    def rewards(self, family: Family) -> Float[Tensor, "prompts sequences"]:
        """Returns R less the costs of every answer."""
        assert isinstance(family, LanguagePolicy)
        return super().rewards(family) - costs_of_answers(self.prices(family), family.size, family.vocabulary)


@objectives.register("regularised_answers")
@dataclass(frozen=True)
class RegularisedAnswers(AnswerReward):
    """E R − `beta` KL(π‖π_ref): the reward less a penalty on the distance from the reference policy."""

    used_by = "reinforcement learning from human feedback (Ouyang 2022), GRPO with a KL term (Shao 2024)"

    beta: float = 0.1

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        return Regularised(super().build(family, point, like), self.beta)

    def expectation(self, family: Family, point: str, parameters: Tensors, level: int = 0) -> Float[Tensor, "*leading"]:
        q = self.policy(family, parameters)
        assert isinstance(q.reference, PrefixPolicy)
        log_law = q.sequence_log_probs()
        return (log_law.exp() * (self.rewards(family) - self.beta * (log_law - q.reference.sequence_log_probs()))).sum(
            -1
        )


@objectives.register("best_answer")
@dataclass(frozen=True)
class BestAnswer(AnswerReward):
    """E max_k R of `draws` answers: pass@k for rewards of 0 and 1, max@k for graded ones."""

    used_by = "pass@k and max@k policy optimisation (Walder, Karkhanis 2025)"

    draws: int = 2

    def __post_init__(self) -> None:
        if self.draws < 2:
            raise BadInput(f"{self.name} takes at least 2 draws at once, found {self.draws}")

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        weights = torch.tensor(maximum_weights(self.draws), dtype=torch.float64, device=like.device)
        return OrderStatistics(TableReward(self.rewards(family).to(like)).of, weights)

    def expectation(self, family: Family, point: str, parameters: Tensors, level: int = 0) -> Float[Tensor, "*leading"]:
        mass = self.policy(family, parameters).sequence_log_probs().exp().movedim(-1, 0)
        rewards = self.rewards(family).movedim(-1, 0)
        rewards = rewards.reshape(len(rewards), *(1 for _ in mass.shape[1:-1]), -1).expand(mass.shape)
        return of_finite_law(maximum_weights(self.draws), rewards, mass)
