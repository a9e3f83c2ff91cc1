"""Language-model policies given by a table of next-token logits, one row for every prefix, with an end token."""

import errno
import os
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributions import Distribution, constraints

from bench.distributions.base import Family, distributions
from bench.distributions.behaviours import BehaviourSettings, Policies
from bench.distributions.prefix_tree import content_lengths, sequence_log_probs, sequences, starts, tilted
from bench.numerics.tensors import Tensors
from estimators.errors import BadInput, nearest
from estimators.policy.prefix_table import PrefixTable, token_numbers
from estimators.traits import Need

MOST_PREFIXES = 20_000
MOST_LISTED = 2**18
"""Largest number of sequences that are listed one by one."""
MOST_BYTES = 2**30
"""Bytes that an archive with a table may unpack to."""
LAWS = ("short", "long")


class PrefixPolicy(PrefixTable):
    """A `PrefixTable` that reads visited rows alone and lists its sequences by row.

    Its support is not said to be one-hot rows: after the end a step has one value, and an end ends the steps after it.

    Args:
        logits: next-token logits, `[*batch, prefixes, V]`, in the order of `bench.distributions.prefix_tree`.
        behaviour_logits: those of the policy to draw from, a constant; −∞ where a token is never drawn.
        reference_logits: those of the reference policy, a constant.
        prompt_axes: how many of the last batch axes are prompts.
        proximal_logits: those of the policy of a clipped ratio's denominator, a constant. Default: the behaviour.
    """

    support = constraints.independent(constraints.integer_interval(0, 1), 2)  # type: ignore[assignment]
    dropped: Tensor | None = None
    """True for next tokens that the trainer leaves out, `[*batch, prefixes, V]`; None for none."""

    def __init__(
        self,
        logits: Tensor,
        behaviour_logits: Tensor | None = None,
        reference_logits: Tensor | None = None,
        prompt_axes: int = 0,
        proximal_logits: Tensor | None = None,
    ) -> None:
        super().__init__(logits, prompt_axes=prompt_axes)
        self._set_beside(behaviour_logits, proximal_logits, reference_logits)

    def _set_beside(self, behaviour: Tensor | None, proximal: Tensor | None, reference: Tensor | None) -> None:
        """Sets the policies of these logits."""
        self.behaviour = None if behaviour is None else PrefixPolicy(behaviour)
        self.proximal = None if proximal is None else PrefixPolicy(proximal)
        self.reference = None if reference is None else PrefixPolicy(reference)

    def _truncate(self) -> None:
        """Leaves the tokens that the behaviour never draws out of the trainer's log-probabilities, old ones too."""
        if self.behaviour is not None:
            self.dropped = self.behaviour.logits == -torch.inf
            if self.proximal is not None:
                self.proximal.dropped = self.dropped

    @property
    def proximal_logits(self) -> Tensor | None:
        """The logits of the proximal policy; None where that is the behaviour."""
        return None if self.proximal is None else self.proximal.logits

    @property
    def behaviour_logits(self) -> Tensor | None:
        """The logits of the policy to draw from; None where that is this policy."""
        return None if self.behaviour is None else self.behaviour.logits

    @property
    def reference_logits(self) -> Tensor | None:
        """The logits of the reference policy; None without one."""
        return None if self.reference is None else self.reference.logits

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return starts(*self.event_shape)[-1] <= MOST_LISTED

    def rows(self, table: Tensor, index: Int[Tensor, "*sample T"]) -> Tensor:
        """Returns rows `index` `[*sample, *batch, T]` of a table `[*batch, prefixes, V]`: `[*sample, *batch, T, V]`."""
        leading = index.dim() - table.dim() + 1
        index = index.expand(*index.shape[:leading], *table.shape[:-2], index.shape[-1])
        together = index.flatten(0, leading - 1) if leading else index.unsqueeze(0)
        places = together.movedim(0, -2).flatten(-2).unsqueeze(-1)
        found = table.take_along_dim(places, -2).unflatten(-2, (together.shape[0], index.shape[-1]))
        return found.movedim(-3, 0).reshape(*index.shape, table.shape[-1])

    def next_log_probs(self, z: Tensor) -> Tensor:
        return self._next(z, self.dropped)

    def log_prob_steps(self, z: Tensor) -> Tensor:
        return self._steps(z, self.dropped)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._steps(value, None).sum(-1)

    def _next(self, z: Tensor, dropped: Tensor | None) -> Tensor:
        """Returns log π of every next token, without the dropped ones; the fewer rows are normalised."""
        index = self.prefix(z)
        if self.logits.numel() <= z.numel():
            return self.rows(self._log_table(dropped), index)
        found = self.rows(self.logits, index)
        if dropped is not None:
            found = found.masked_fill(self.rows(dropped.expand(self.logits.shape), index), -torch.inf)
        return found.log_softmax(-1)

    def _steps(self, z: Tensor, dropped: Tensor | None) -> Tensor:
        """Returns log π of every token of z, 0 after the end; from a small table each is read alone."""
        if self.logits.numel() > z.numel():
            return self._chosen(self._next(z, dropped), z)
        index = self.prefix(z) * self.event_shape[1] + token_numbers(z)
        chosen = self.rows(self._log_table(dropped).flatten(-2).unsqueeze(-1), index).squeeze(-1)
        return torch.where(self.mask(z) > 0, chosen, 0)

    def _log_table(self, dropped: Tensor | None) -> Float[Tensor, "*batch prefixes V"]:
        logits = self.logits if dropped is None else self.logits.masked_fill(dropped, -torch.inf)
        return logits.log_softmax(-1)

    def _chosen(self, log_probs: Tensor, z: Tensor) -> Tensor:
        places = token_numbers(z).unsqueeze(-1).expand(*log_probs.shape[:-1], 1)
        chosen = log_probs.gather(-1, places).squeeze(-1)
        return torch.where(self.mask(z) > 0, chosen, 0)

    def sequence_log_probs(self) -> Float[Tensor, "*batch sequences"]:
        """Returns log π of every sequence, in the order of rows."""
        return sequence_log_probs(self.logits.log_softmax(-1), self.event_shape[0])

    def mean_length(self) -> Float[Tensor, "*batch"]:
        """Returns the expected number of tokens, with the end token."""
        T, V = self.event_shape
        length = (content_lengths(T, V) + 1).clamp_max(T).to(self.like)
        return (self.sequence_log_probs().exp() * length).sum(-1)

    def entropy(self) -> Float[Tensor, "*batch"]:
        """Returns the entropy of the sequence."""
        log_law = self.sequence_log_probs()
        return -torch.where(log_law > -torch.inf, log_law.exp() * log_law, 0).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Returns all sequences, in the order of rows."""
        T, V = self.event_shape
        z = sequences(T, V, self.logits).reshape(-1, *(1 for _ in self.batch_shape), T, V)
        return z.expand(-1, *self.batch_shape, -1, -1) if expand else z

    @torch.no_grad()
    def _decoded(self, noise: Tensor | None, sample_shape: tuple[int, ...]) -> Tensor:
        T, V = self.event_shape
        start, shape = starts(T, V), (*sample_shape, *self.batch_shape)
        local = torch.zeros(shape, dtype=torch.long, device=self.logits.device)
        ended, tokens = local > 0, []
        few = self.logits.numel() <= local.numel() * T * V  # then the whole table is normalised once, not each row
        table = self.logits.softmax(-1) if few else self.logits
        for t in range(T):
            law = self.rows(table, (start[t] + local).unsqueeze(-1)).squeeze(-2)
            law = law if few else law.softmax(-1)
            drawn = law.argmax(-1) if noise is None else _inverse(law, noise[..., t, :])
            token = torch.where(ended, V - 1, drawn)
            ended = token == V - 1
            local = torch.where(ended, 0, local * (V - 1) + token)
            tokens.append(token)
        return torch.eye(V, dtype=self.logits.dtype, device=self.logits.device)[torch.stack(tokens, -1)]


class TruncatedTrainer(PrefixPolicy):
    """A policy whose trainer truncates as the behaviour does.

    `log_prob_steps` and `next_log_probs` are those of π restricted to the tokens that the behaviour may draw; `sample`
    and `log_prob` are of π.
    """

    offers_not = PrefixPolicy.offers_not | {Need.STEPS}

    def __init__(
        self,
        logits: Tensor,
        behaviour_logits: Tensor | None,
        reference_logits: Tensor | None,
        prompt_axes: int = 0,
        proximal_logits: Tensor | None = None,
    ) -> None:
        super().__init__(logits, behaviour_logits, reference_logits, prompt_axes, proximal_logits)
        self._truncate()


def _inverse(law: Tensor, noise: Tensor) -> Tensor:
    """Returns the token at a uniform number, never one of probability 0."""
    last = law.shape[-1] - 1 - (law > 0).flip(-1).to(torch.uint8).argmax(-1)
    return torch.minimum((noise >= law.cumsum(-1)[..., :-1]).sum(-1), last)


class VisitedPolicy(PrefixPolicy):
    """A policy whose next-token logits are computed along each draw from its encoder's θ, and not for all prefixes.

    Its law, its draws from given noise and its gradients in θ are those of the `PrefixPolicy` of the whole table.

    Args:
        family: the encoder, with `logits_along` and `encode_table`.
        theta: its parameters, each `[*batch, …]`; prompts are added as the last batch axis.
        behaviour_logits: those of the policy to draw from, `[prompts, prefixes, V]`, a constant.
        proximal_logits: the same of the proximal policy; None where that is the behaviour.
        reference_logits: the same of the reference policy.
    """

    def __init__(
        self,
        family: "LanguagePolicy",
        theta: Tensors,
        behaviour_logits: Tensor | None,
        proximal_logits: Tensor | None,
        reference_logits: Tensor | None,
    ) -> None:
        self.family, self.theta, self.prompt_axes = family, theta, 1
        self._set_beside(behaviour_logits, proximal_logits, reference_logits)
        if family.truncated_trainer:
            self._truncate()
            self.offers_not = TruncatedTrainer.offers_not
        replicates = theta["prompt"].shape[:-2]
        event = torch.Size([family.size, family.vocabulary])
        Distribution.__init__(self, torch.Size([*replicates, family.prompts]), event, validate_args=False)

    @property
    def like(self) -> Tensor:
        return next(iter(self.theta.values()))

    @cached_property
    def logits(self) -> Tensor:  # type: ignore[override]
        """The whole table, a constant; without axes of replicates where all replicates share θ's memory."""
        theta, leading = {name: value.detach() for name, value in self.theta.items()}, len(self.batch_shape) - 1
        if not any(stride for value in theta.values() for stride in value.stride()[:leading]):
            return self.family.encode_table({name: value[(0,) * leading] for name, value in theta.items()})
        encode = self.family.encode_table
        for _ in range(leading):
            encode = torch.func.vmap(encode)
        return encode(theta)

    def _steps(self, z: Tensor, dropped: Tensor | None) -> Tensor:
        return self._chosen(self._next(z, dropped), z)

    def _next(self, z: Tensor, dropped: Tensor | None) -> Tensor:
        found = self.family.logits_along(self.theta, z)
        found = torch.where(self.mask(z).unsqueeze(-1) > 0, found, found[..., :1, :])  # row 0 after the end
        if dropped is not None:
            found = found.masked_fill(self.rows(dropped, self.prefix(z)), -torch.inf)
        return found.log_softmax(-1)

    @torch.no_grad()
    def _decoded(self, noise: Tensor | None, sample_shape: tuple[int, ...]) -> Tensor:
        T, V = self.event_shape
        names = torch.eye(V, dtype=self.like.dtype, device=self.like.device)
        z = self.like.new_zeros(*sample_shape, *self.batch_shape, 0, V)
        ended = z.sum((-1, -2)) > 0
        for t in range(T):
            seen = torch.nn.functional.pad(z, (0, 0, 0, 1))
            law = self.family.logits_along(self.theta, seen)[..., t, :].softmax(-1)
            drawn = law.argmax(-1) if noise is None else _inverse(law, noise[..., t, :])
            token = torch.where(ended, V - 1, drawn)
            ended = token == V - 1
            z = torch.cat([z, names[token].unsqueeze(-2)], -2)
        return z


@dataclass(frozen=True)
class LanguagePolicy(BehaviourSettings, Family):
    """A policy over answers of at most `size` tokens, with an end token, for each of `prompts` prompts.

    The target is the mean over prompts. Token `vocabulary` − 1 ends an answer. `law` says which answers are right:
    finished ones whose Σ (token + 1) is b modulo `vocabulary` − 1, b the number of the prompt, and whose length with
    the end token is at most ("short") or above ("long") half of `size`, rounded up.

    Behaviour policy: `stale` steps of `optimiser` ("sgd" or "adam") with `learning_rate` down the exact gradient of the
    mean success, then logit noise of standard deviation `logit_noise`, `temperature`, `top_k` (0: all), `top_p`; it is
    on-policy with all of these at their defaults. `truncated_trainer`: the trainer's log-probabilities are of π
    restricted to the tokens that the behaviour may draw, while the target stays that of π. Reference policy: π with
    logit noise of standard deviation `reference_noise`. Proximal policy: the behaviour, or π `proximal_stale` steps
    back. All of them are constants, made at the family's θ.
    """

    discrete = True
    factorised = False
    reparameterised = False
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained",)
    data_axes: ClassVar[int] = 1

    size: int = 4
    vocabulary: int = 4
    prompts: int = 2
    law: str = "short"
    visited: bool = field(default=False, metadata={"private": True}, repr=False)
    """Whether q's parameters are θ itself, and logits are computed along the draws alone; see `along_draws`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.law not in LAWS:
            raise BadInput(f"{self.name} has no law {self.law!r}; {nearest(self.law, LAWS)}")
        self.require_behaviour(self.name)
        for wrong, sentence in self._wrong_numbers():
            if wrong:
                raise BadInput(f"{self.name}: {sentence}")

    def _wrong_numbers(self) -> list[tuple[bool, str]]:
        prefixes = starts(self.size, max(2, self.vocabulary))[-2] if self.size < 64 else MOST_PREFIXES + 1
        return [
            (self.vocabulary < 3, f"vocabulary must be at least 3, with the end token, found {self.vocabulary}"),
            (self.size < 3, f"size must be at least 3 tokens, found {self.size}"),
            (self.prompts < 1, f"prompts must be at least 1, found {self.prompts}"),
            (
                prefixes > MOST_PREFIXES,
                f"vocabulary {self.vocabulary} and size {self.size} have more than {MOST_PREFIXES:,} prefixes",
            ),
        ]

    @property
    def prefixes(self) -> int:
        """Number of prefixes of a prompt."""
        return starts(self.size, self.vocabulary)[-2]

    @abstractmethod
    def start(self) -> Tensors:
        """Returns θ."""

    def theta(self, point: str, coordinates: str) -> Tensors:
        _ = self.beside
        return self.start()

    @abstractmethod
    def encode_table(self, theta: Tensors) -> Float[Tensor, "prompts prefixes V"]:
        """Returns the next-token logits after every prefix."""

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return theta if self.visited else {"logits": self.encode_table(theta)}

    def logits_along(self, theta: Tensors, z: Float[Tensor, "*batch T V"]) -> Float[Tensor, "*batch T V"]:
        """Returns the next-token logits before each token of z, from θ `[*replicates, …]`, for fewer tokens too.

        A family with more than one prompt or prefix for a parameter has it; see `along_draws`.
        """
        raise NotImplementedError(f"{self.name} has a row of logits for each prefix")

    def along_draws(self) -> "LanguagePolicy | None":
        if type(self).logits_along is LanguagePolicy.logits_along:
            return None
        own = replace(self, visited=True)
        object.__setattr__(own, "beside", self.beside)  # not computed again
        return own

    def build(self, parameters: Tensors) -> Distribution:
        return self.builder(next(iter(parameters.values())))(parameters)

    def builder(self, like: Tensor) -> Callable[[Tensors], Distribution]:
        others = self.beside.like(like)
        if self.visited:
            return lambda theta: VisitedPolicy(self, theta, **others)
        kind = TruncatedTrainer if self.truncated_trainer else PrefixPolicy
        return lambda parameters: kind(parameters["logits"], **others, prompt_axes=1)

    def right(self) -> Float[Tensor, "prompts sequences"]:
        """Returns 1 for the right answers of each prompt, else 0, in the order of `bench.distributions.prefix_tree`."""
        return right_answers(self.law, self.size, self.vocabulary, self.prompts)

    def success(self, theta: Tensors) -> Float[Tensor, "prompts"]:
        """Returns the probability of a right answer to each prompt."""
        logits = self.encode_table(theta)
        return (sequence_log_probs(logits.log_softmax(-1), self.size).exp() * self.right()).sum(-1)

    @cached_property
    def beside(self) -> Policies:
        """The policies beside π, `[prompts, prefixes, V]` each."""
        return self.policies(self.start(), lambda at: self.success(at).mean(), self.encode_table)


def per_replicate(
    x: Float[Tensor, "*batch prompts T rows"], matrix: Float[Tensor, "*replicates rows columns"]
) -> Float[Tensor, "*batch prompts T columns"]:
    """Returns x · matrix, a matrix for each replicate, which draws, prompts and tokens share without copies."""
    return torch.einsum("...bti,...ij->...btj", x, matrix)


def right_answers(law: str, T: int, V: int, prompts: int) -> Float[Tensor, "prompts sequences"]:
    """Returns 1 for the right answers to each prompt, else 0; see `LanguagePolicy`.

    >>> right_answers("short", 3, 3, 2).sum(-1), right_answers("long", 3, 3, 2).sum(-1)
    (tensor([2., 1.], dtype=torch.float64), tensor([2., 2.], dtype=torch.float64))
    """
    return torch.tensor(_right_answers(law, T, V, prompts))


@lru_cache(maxsize=32)
def _right_answers(law: str, T: int, V: int, prompts: int) -> np.ndarray:
    total, length, sums = [], [], np.zeros(1)
    for n in range(T + 1):
        total.append(sums)
        length.append(np.full(len(sums), n))
        sums = (sums[:, None] + np.arange(1.0, V)).ravel()
    half, tokens = (T + 1) // 2, np.concatenate(length) + 1
    fits = tokens <= half if law == "short" else (tokens > half) & (tokens <= T)
    return (fits & (np.concatenate(total) % (V - 1) == np.arange(prompts)[:, None] % (V - 1))).astype(float)


@distributions.register("prefix_policy")
@dataclass(frozen=True)
class PrefixPolicyFamily(LanguagePolicy):
    """A table of next-token logits: θ is `logits` `[prompts, prefixes, V]`, one row for every prefix.

    Prefixes are the empty one, then all of 1 token, of 2, … of `size` − 1, those of one length ordered as numbers in
    base V − 1 with the first token as the leading digit; the end token, V − 1, stands in none of them. Columns are the
    next token, the end token last. For V = 3 and `size` 3: (), 0, 1, 00, 01, 10, 11.

    `table`: a file of logits: `.npy`, `.npz` (its array `logits`, or its only one), or `.csv` with a row for each
    prefix, all rows of the first prompt first; `PrefixPolicyFamily.of(array)` takes an array. Without a file the table
    is drawn, and tilted towards right answers until prompts have success rates around `rate`, their log odds spread
    evenly from 1 below to 1 above.
    """

    used_by = "losses over rollouts of a language model, against an exact gradient (RLOO, GRPO, DAPO, GSPO, PPO)"

    table: str = ""
    rate: float = 0.3
    array: Any = field(default=None, metadata={"private": True}, repr=False)

    @classmethod
    def of(cls, array: Any, **settings: Any) -> "PrefixPolicyFamily":
        """Returns the family of an array of logits, `[prompts, prefixes, V]` or `[prefixes, V]`."""
        logits = np.array(array, dtype=float)
        logits = logits[None] if logits.ndim == 2 else logits
        if logits.ndim != 3:
            raise BadInput(f"a table of logits is [prompts, prefixes, V], found the shape {list(logits.shape)}")
        prompts, prefixes, V = logits.shape
        size = next((T for T in range(1, 64) if starts(T, max(V, 2))[-2] >= prefixes), 1)
        rows = tuple(tuple(map(tuple, each)) for each in logits.tolist())
        return cls(array=rows, **({"size": size, "vocabulary": V, "prompts": prompts} | settings))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.rate < 1:
            raise BadInput(f"{self.name}: rate must be in (0, 1), found {self.rate}")
        if self.array is not None:
            self._logits(np.array(self.array), "the array")

    def start(self) -> Tensors:
        if self.array is not None:
            return {"logits": self._logits(np.array(self.array), "the array")}
        if self.table:
            return {"logits": self._logits(table_from_file(self.table), self.table)}
        drawn = np.random.default_rng(10).normal(0, 0.7, (self.prompts, self.prefixes, self.vocabulary))
        spread = torch.linspace(-1, 1, self.prompts, dtype=torch.float64) if self.prompts > 1 else torch.zeros(1)
        rates = (torch.logit(torch.tensor(self.rate, dtype=torch.float64)) + spread).sigmoid()
        return {"logits": tilted(torch.tensor(drawn).log_softmax(-1), self.right(), rates, self.size)}

    def encode_table(self, theta: Tensors) -> Float[Tensor, "prompts prefixes V"]:
        return theta["logits"]

    def _logits(self, found: np.ndarray, where: str) -> Tensor:
        shape = (self.prompts, self.prefixes, self.vocabulary)
        flat = (self.prompts * self.prefixes, self.vocabulary)
        if found.shape not in (shape, flat) and (1, *found.shape) != shape:
            raise BadInput(
                f"{self.name}: {where} has the shape {list(found.shape)}; prompts {self.prompts}, size {self.size} and "
                f"vocabulary {self.vocabulary} need {list(shape)}"
            )
        if not np.isfinite(found).all():
            raise BadInput(f"{self.name}: {where} has a logit that is not a finite number")
        return torch.tensor(np.asarray(found, dtype=float).reshape(shape))


def table_from_file(path: str) -> np.ndarray:
    """Returns the numbers of a `.npy`, `.npz` or `.csv` file. Raises BadInput if it cannot be read, or is too large."""
    suffix = Path(path).suffix
    if suffix not in (".npy", ".npz", ".csv"):
        raise BadInput(f"a table of numbers is a .npy, .npz or .csv file, not {path!r}")
    try:
        if not Path(path).is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if suffix == ".csv":
            return np.loadtxt(path, delimiter=",", ndmin=2, encoding="utf-8-sig")
        if suffix == ".npy":
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False), dtype=float)
        return _array_of_archive(path)
    except Exception as error:  # a hostile header raises nearly anything
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BadInput(f"cannot read the table {path}: {said}") from None


def _array_of_archive(path: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as found:
        unpacked = sum(each.file_size for each in found.zip.infolist())
        if unpacked > MOST_BYTES:
            raise ValueError(f"it unpacks to {unpacked} bytes; at most {MOST_BYTES} are read")
        return np.asarray(found["logits" if "logits" in found.files else found.files[0]], dtype=float)
