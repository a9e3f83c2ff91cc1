"""The estimators that race on a user's model: those whose needs it meets, with the settings that matter."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.advice.parcel import Parcel
from bench.advice.printed_code import name_with_settings
from estimators.core import Estimator
from estimators.errors import BadInput
from estimators.needs import Offer
from estimators.registry import available, get

TEMPERATURES = (0.1, 0.2, 1.0, 2.0)
"""Temperatures that race beside an estimator's own."""
WRAPPERS = ("antithetic", "quasi_monte_carlo")
"""Estimators of draws that are coupled, whose inner one is a setting; they race around these."""
INNER = ("reparameterisation",)


@dataclass(frozen=True)
class Entrant:
    """An estimator with its settings, and the numbers of samples at which it fits."""

    estimator: Parcel
    samples: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.estimator.name


@dataclass(frozen=True)
class Entrants:
    """The estimators that race, those left out with the reason, and the number of samples measured first.

    `density`: whether q has a score function; `path`: whether it has a path along which f is differentiable.
    """

    racing: tuple[Entrant, ...]
    left_out: dict[str, str]
    first_samples: int
    density: bool
    path: bool


def find_entrants(
    offer: Offer, names: Sequence[str | Estimator] | None, samples: Sequence[int], biased: bool
) -> Entrants:
    """Every registered estimator that fits, or those named in `names`.

    Raises BadInput where a name is unknown, or none fits.
    """
    racing: list[Entrant] = []
    left_out: dict[str, str] = {}
    for name in names if names is not None else available():
        try:
            own = [get(name)] if isinstance(name, str) else [name]
            versions = [*own, *_versions(own[0])] if isinstance(name, str) else own
            first = versions[0]
            reasons = {n: offer.unmet(first, n) for n in sorted(set(samples))}
        except BadInput:
            raise
        except Exception as error:  # a plug-in's own fault
            left_out[str(name)] = f"fails: {type(error).__name__}: {error}"
            continue
        fits = tuple(n for n, reason in reasons.items() if reason is None)
        if not fits:
            left_out[name_with_settings(first)] = str(reasons[max(reasons)])
        elif not first.traits.unbiased and not biased and names is None:
            left_out[name_with_settings(first)] = "biased: races only where biased estimators are let in"
        else:
            racing += [Entrant(Parcel.of(first), fits), *_fitting(versions[1:], offer, samples)]
        if not fits and len(versions) > 1:  # a wrapper whose default inner estimator does not fit
            racing += _fitting(versions[1:], offer, samples)
    if not racing:
        said = "; ".join(f"{name} {reason}" for name, reason in list(left_out.items())[:3])
        raise BadInput(f"no estimator fits this model: {said}")
    needs = {need.name for need in offer.needs}
    return Entrants(
        tuple(_once(entrant) for entrant in racing), left_out, first_samples_of(racing), "DENSITY" in needs,
        {"REPARAMETERISED", "DIFFERENTIABLE"} <= needs,
    )  # fmt: skip


def _versions(estimator: Estimator) -> Iterator[Estimator]:
    """The same estimator with other settings that matter."""
    name: str = estimator.name  # type: ignore[attr-defined]
    if name in WRAPPERS:
        yield from (get(name, inner=get(inner)) for inner in INNER)
    elif hasattr(estimator, "temperature"):
        for temperature in TEMPERATURES:
            if temperature != estimator.temperature:  # type: ignore[attr-defined]
                try:
                    yield get(name, temperature=temperature)
                except BadInput:  # not a setting of this estimator
                    continue


def _fitting(versions: Iterable[Estimator], offer: Offer, samples: Sequence[int]) -> list[Entrant]:
    found = []
    for each in versions:
        fits = tuple(n for n in sorted(set(samples)) if offer.unmet(each, n) is None)
        found += [Entrant(Parcel.of(each), fits)] if fits else []
    return found


def _once(entrant: Entrant) -> Entrant:
    """An exact estimator does not depend on n: it races at n = 1."""
    return Entrant(entrant.estimator, entrant.samples[:1]) if entrant.estimator.exact else entrant


def first_samples_of(racing: Sequence[Entrant]) -> int:
    """Returns the smallest number of samples at which most estimators fit."""
    counts = Counter(n for entrant in racing for n in entrant.samples)
    return min(counts, key=lambda n: (-counts[n], n))
