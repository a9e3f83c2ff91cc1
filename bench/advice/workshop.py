"""Everything that calls the user's code; it runs in the worker process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.advice import stopwatch
from bench.advice.combinations import EachVariable, Stage, find_combinations, parts_of_variables
from bench.advice.cost import Meter, StepCost
from bench.advice.differences import finite_differences
from bench.advice.entrants import Entrants, find_entrants
from bench.advice.given_objective import NUMBERS_IN_Z
from bench.advice.model_file import load_model
from bench.advice.noise_parts import NoiseParts, noise_parts
from bench.advice.own_model import OwnModel, own_model
from bench.advice.own_offers import own_offer
from bench.advice.parcel import Parcel
from bench.advice.printed_code import failure_of
from bench.advice.rare import rarest_outcomes
from bench.advice.roads import Batched, Loop, no_batch, training_step
from bench.advice.segments import follows_its_slopes
from bench.advice.soundness import FEW_VALUES, SLOW_CALL, check_model, number_of_values
from bench.advice.training import Stretch, Trainer
from bench.advice.turns import Sketch, TooSlow, Turn, TurnResult, TurnSums, blocks_of, fill_turn
from bench.measure.execution.process_state import Kept
from bench.numerics.tensors import Tensors
from bench.plugins.files import load_files
from estimators.core import Estimator, Fitted, SetObjective
from estimators.errors import BadInput
from estimators.joint import Joint
from estimators.registry import get

ROUNDING_SHARE = {"float64": 1e-12, "float32": 1e-6}
SLOW_STEP = 0.005
"""Seconds of a step from which on batches save nothing."""
TOO_LONG = 20.0
"""A first step that takes half so many times the time of a turn is not tried again."""
COUNTED = 8
"""Steps whose cost is counted in a turn, where it is not seconds."""
ORDINARY = 1e60
"""Between it and its inverse f's values are measured as they are."""


@dataclass(frozen=True)
class ModelSource:
    """The origin of the model: a file, or objects. `plugins`: files with the user's own estimators. `noisy`: as
    in `bench.recommend`."""

    path: str | None
    objects: Any = None
    plugins: tuple[str, ...] = ()
    cost: Any = "seconds"
    noisy: bool | str | None = None

    @property
    def where(self) -> str:
        return self.path or "the model"

    def load(self) -> OwnModel:
        load_files(self.plugins)
        if self.path is not None:
            return load_model(Path(self.path), self.noisy)
        assert self.objects is not None
        return own_model(*self.objects.value, noisy=self.noisy)

    @property
    def meter(self) -> StepCost:
        """The cost, unpacked."""
        return self.cost if isinstance(self.cost, str) else self.cost.value


@dataclass(frozen=True)
class ModelFacts:
    """Facts about the model that are known before the race.

    `loop_reason`: why the loop road is taken, in a clause, or None on the batched road. `double`: whether the model
    can be measured in float64. `call_seconds`: the time of a call of f. `calls`: how often f was called.
    `few_values`: whether enumeration is quick.
    `noise`: when f draws fresh noise, or empty. `rare`: the chance of each kept coordinate's rarest outcome, where it
    is known.
    """

    dim: int
    dtype: str
    loop_reason: str | None
    double: bool
    entrants: Entrants
    spelling: Any
    rare: Any
    scale: float
    notes: tuple[str, ...]
    call_seconds: float
    calls: int
    few_values: bool
    noise: str = ""

    @property
    def tolerance(self) -> float:
        """The share of |f|·|score| by which an estimate may be off by rounding."""
        return ROUNDING_SHARE.get(self.dtype, 1e-6)


class Workshop:
    """Holds the model and does the tasks on it. Raises BadInput if the model is not sound."""

    def __init__(self, source: ModelSource) -> None:
        self.source = source
        self.model = source.load()
        self.sketch = Sketch(self.model.dim)
        self._batches: dict[tuple[Any, ...], Batched] = {}
        self._estimators: dict[bytes, Estimator] = {}
        self._trainer: Trainer | None = None
        self.loop_reason: str | None = "it was not tried"
        self.double = True
        self.call_seconds = 0.0

    def variables(self) -> tuple[str, ...]:
        """The names of the model's random variables, if it has several; else none."""
        q = self.model.q()
        return q.labels if isinstance(q, Joint) else ()

    def open(
        self,
        names: Sequence[str | Estimator] | None,
        samples: Sequence[int],
        biased: bool,
        stage: Stage | None = None,
        seconds: float = float("inf"),
    ) -> ModelFacts:
        """Checks the model, chooses the road and finds the estimators that can race.

        Args:
            names: The estimators asked for. Default: all.
            samples: Numbers of samples that are tried.
            biased: Whether biased estimators race.
            stage: For which of several variables.
            seconds: How long the answer may take; a slow f is checked less.
        """
        torch.manual_seed(0)
        model = self.model
        call = check_model(model, self.source.where, seconds)
        self.call_seconds = call.seconds
        offer = own_offer(model)
        self.choose_road(call.seconds)
        entrants = (
            find_combinations(model, offer, stage, names, samples=samples, biased=biased)
            if stage
            else find_entrants(offer, names, samples, biased)
        )
        rare = rarest_outcomes(model, self.sketch)
        dtype, double = str(model.dtype).removeprefix("torch."), self.doubled is not None
        return ModelFacts(
            model.dim,
            dtype,
            self.loop_reason,
            double,
            entrants,
            model.spelling,
            rare,
            scale_of(model, call.largest),
            (*model.notes, *call.note),
            call.seconds,
            call.calls,
            few_values(model) and not model.noise,  # a sum over values of a noisy f is not exact
            model.noise,
        )

    def restore(self, theta: Tensors | None = None, loop_reason: str | None = None, double: bool = True) -> None:
        """Restores what the replaced worker process knew of this model."""
        self.loop_reason, self.double = loop_reason, double
        if theta is not None:
            self._move(theta)

    def train(self, asked: Stretch) -> Tensors:
        """Trains for some steps and moves the model to the resulting θ, which is returned."""
        if self._trainer is None:
            self._trainer = Trainer(self.model)
        theta = self._trainer.train(asked)
        self._move(theta)
        return theta

    def _move(self, theta: Tensors) -> None:
        """Moves the model to another θ."""
        self.model = replace(self.model, theta=theta)
        self._batches.clear()
        vars(self).pop("doubled", None)

    def ready(self) -> None:
        """Does nothing; an answer to this task shows that the model is loaded."""

    def choose_road(self, seconds: float) -> None:
        """Chooses the road; stores why it is the loop road (None: batched). `seconds`: time of a call of f."""
        if seconds > SLOW_CALL:
            self.loop_reason = f"a call of the objective takes {seconds:.2g} s, so that batches would save nothing"
            self.double = False
        else:
            self.loop_reason = no_batch(self.model)

    @cached_property
    def doubled(self) -> OwnModel | None:
        """Returns the model in float64; None if it does not support float64, or is too slow to be tried."""
        if self.model.dtype == torch.float64:
            return self.model
        return self.model.doubled() if self.double else None

    def turn(self, asked: Turn) -> TurnResult | TooSlow:
        """Takes a turn: estimates and timed steps. Raises if the estimator fails or changes shared state."""
        start = stopwatch.read()
        model = self.doubled if asked.double and self.doubled is not None else self.model
        before = {name: value.clone() for name, value in model.theta.items()}
        with Kept() as kept:
            torch.manual_seed(asked.seed)
            result = self._turn(model, asked, start)
            if torch.initial_seed() != asked.seed:
                raise BadInput("changes torch's seed")
        moved = [name for name, value in model.theta.items() if not torch.equal(value, before[name])]
        for name in moved:
            model.theta[name].copy_(before[name])
        changed = [*kept.changed, *(f"the parameters {name!r}" for name in moved)]
        if changed:
            raise BadInput(f"changes {', '.join(changed)}")
        if isinstance(result, TooSlow):
            return result
        return replace(result, spent=stopwatch.read() - start)

    def _turn(self, model: OwnModel, asked: Turn, start: float) -> TurnResult | TooSlow:
        estimator, fit_cost = self._fitted(model, asked)
        costs = StepCosts(model, self.source.meter)
        step = partial(training_step, estimator=estimator, samples=asked.samples)
        first = costs.timed(step)
        slow = first < 2 * self.call_seconds and self.call_seconds > SLOW_CALL
        if asked.most_seconds < 2 * first < TOO_LONG * asked.most_seconds and not slow:  # it imports and allocates
            first = min(first, costs.timed(step))
        costs.forget()
        sums, deadline = TurnSums(self.sketch, asked.scale), start + asked.seconds
        one_by_one = self.loop_reason is not None or asked.steps or first > SLOW_STEP or estimator.traits.exact
        if one_by_one:
            loop = Loop(model, estimator, asked.samples)
            slow = fill_turn(sums, lambda rows: costs.rows(loop, rows), asked, None, first, deadline)
        else:
            draw = self._batched(model, estimator, asked.samples)
            slow = fill_turn(sums, draw, asked, draw.most, first, deadline)
            if not slow:
                costs.blocks(step, max(deadline - stopwatch.read(), 0.02))
        if slow:
            return slow
        fitted = Parcel.of(estimator) if isinstance(estimator, Fitted) and fit_cost else None
        return sums.result(costs.found, fitted=fitted, fit_cost=fit_cost)

    def _batched(self, model: OwnModel, estimator: Estimator, samples: int) -> Batched:
        """Returns the estimator's batched drawing function; its batch size is chosen once."""
        key = (model.dtype, estimator, samples)
        if key not in self._batches:
            self._batches[key] = Batched(model, estimator, samples)
        return self._batches[key]

    def _opened(self, parcel: Parcel) -> Estimator:
        """Returns the estimator of a parcel, which is opened once."""
        if parcel.packed not in self._estimators:
            self._estimators[parcel.packed] = parcel.open()
        return self._estimators[parcel.packed]

    def _fitted(self, model: OwnModel, asked: Turn) -> tuple[Estimator, float]:
        """Returns the estimator, fitted if it needs fitting, and the cost of the fit."""
        estimator = self._opened(asked.estimator)
        if not isinstance(estimator, Fitted) or estimator.state is not None or not estimator.steps:
            return estimator, 0.0
        costs = StepCosts(model, self.source.meter)
        q = model.distribution(model.theta)
        fitted = None

        def fit(m: OwnModel) -> None:
            nonlocal fitted
            fitted = estimator.fit(q, m.objective, asked.samples, estimator.steps)

        spent = costs.timed(fit)
        assert fitted is not None
        return fitted, costs.found[0] if costs.found else spent

    def parts_of_variables(self, made: Parcel, samples: int, seconds: float, scale: float) -> list[TurnResult]:
        """Returns mean and variance of the part of the gradient that goes through each of several variables."""
        torch.manual_seed(0)
        step = EachVariable(self.model, self._opened(made), samples)
        return parts_of_variables(step, self.sketch, seconds, scale)

    def try_code(self, code: str) -> str | None:
        """Runs the printed code on the user's own objects; returns why it fails, in a sentence, or None."""
        return failure_of(code, self.model)

    def finite_differences(self, direction: np.ndarray, seconds: float, scale: float) -> tuple[float, float, float]:
        """Returns the derivative of E f along a direction of θ: see `bench.advice.differences`."""
        model = self.model if self.doubled is None else self.doubled
        value, error, step = finite_differences(model, direction, seconds)
        return value / scale, error / scale, step / scale

    def follows_its_slopes(self, seconds: float) -> bool | None:
        """Whether f rises between draws as its slopes say: see `bench.advice.segments`."""
        torch.manual_seed(0)
        return follows_its_slopes(self.model, seconds)

    def variance_parts(self, asked: Turn) -> NoiseParts:
        """Splits the winner's variance into its parts: see `bench.advice.noise_parts`."""
        model = self.model
        with Kept():
            return noise_parts(model, self._opened(asked.estimator), asked)

    def gradient(self, name: str, samples: int, replicates: int) -> list[float]:
        """Returns the mean of several estimates, for tests and for the trajectory."""
        rows = Loop(self.model, get(name), samples)(replicates)
        return rows.double().mean(0).tolist()


class StepCosts:
    """Measures the cost of steps, in seconds or in the user's unit."""

    def __init__(self, model: OwnModel, cost: StepCost) -> None:
        self.meter = None if cost == "seconds" else Meter(model.objective, cost)
        self.model = model if self.meter is None else replace(model, objective=self.meter.objective)
        self.found: list[float] = []
        self._synchronise = torch.accelerator.synchronize if model.device.type != "cpu" else lambda: None

    def forget(self) -> None:
        """Discards the costs measured so far: they were warm-up."""
        self.found = []

    def timed(self, step: Callable[[OwnModel], object]) -> float:
        """Returns the seconds of a step and records its cost."""
        start = stopwatch.read()
        step(self.model)
        self._synchronise()
        seconds = stopwatch.read() - start
        self.found.append(seconds if self.meter is None else self.meter.read())
        return seconds

    def rows(self, loop: Loop, rows: int) -> torch.Tensor:
        """Draws estimates one step at a time and times each."""
        found = []
        for _ in range(rows):
            self.timed(lambda m: found.append(training_step(m, loop.estimator, loop.samples)))
        return torch.stack(found)

    def blocks(self, step: Callable[[OwnModel], object], seconds: float) -> None:
        """Times blocks of steps; a counted cost (calls, tokens) is taken from a few steps."""
        if self.meter is None:
            self.found += blocks_of(partial(step, self.model), self._synchronise, seconds)
            return
        for _ in range(COUNTED):
            self.timed(step)


def few_values(model: OwnModel) -> bool:
    """Whether z takes so few values that their enumeration takes milliseconds."""
    q = model.distribution(model.theta)
    count = number_of_values(q)
    return (
        count is not None
        and count <= FEW_VALUES
        and count * q.batch_shape.numel() * q.event_shape.numel() <= NUMBERS_IN_Z // 4
    )


def scale_of(model: OwnModel, largest: float) -> float:
    """1 for an ordinary f; else the size of its values, by which estimates are divided before they are squared."""
    if isinstance(model.objective, SetObjective):
        return 1.0
    return largest if largest and not 1 / ORDINARY < largest < ORDINARY else 1.0
