"""Coverage of the parts of a noisy estimate's variance: synthetic triples with known shares of draws and data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.measure.accuracy.stopping import AccuracySettings
from bench.measure.accuracy.variance_parts import part_row, parts_until_precise
from bench.provenance.seeds import chunk_seed
from bench.statistics.shared_part import PARTS
from bench.statistics.stream import Replicates
from bench.tables.metrics import Measurement
from bench.validation.coverage.noise import NOISES
from bench.validation.coverage.study import line

PARTS_SETTINGS = AccuracySettings(max_replicates=16_384)
CHUNK = 256


@dataclass(frozen=True)
class PartsCase:
    """Estimates whose coordinates are √draws · a + √data · b + √(1 − draws − data) · a b, with a of the draws, b of the
    data, each of the law `noise` with variance 1 in `dim` coordinates."""

    noise: str
    draws: float
    data: float
    dim: int = 10

    def of(self, a: Tensor, b: Tensor) -> Tensor:
        """The estimates with these draws and data."""
        return self.draws**0.5 * a + self.data**0.5 * b + (1 - self.draws - self.data) ** 0.5 * a * b

    def truth(self, part: str) -> float:
        """tr Var E(ĝ | draws) or tr Var E(ĝ | data)."""
        return self.dim * (self.draws if part == "draws" else self.data)


PARTS_CASES = {
    f"parts_{noise}": tuple(PartsCase(noise, *shares) for shares in ((0.5, 0.3), (0.0, 0.6), (0.9, 0.05)))
    for noise in ("normal", "exponential", "two_point", "one_direction")
}


def triples_of(case: PartsCase, seed: Callable[[str], int]) -> Callable[[int], tuple[Tensor, Tensor, Tensor]]:
    """Draws chunk after chunk of triples."""

    def source(name: str) -> Tensor:
        torch.manual_seed(seed(name))
        return NOISES[case.noise].draw(CHUNK, case.dim).double()

    def triples(index: int) -> tuple[Tensor, Tensor, Tensor]:
        a, other_a, b, other_b = (source(f"{name} {index}") for name in ("a", "other a", "b", "other b"))
        return case.of(a, b), case.of(other_a, b), case.of(a, other_b)

    return triples


def parts_study(case: PartsCase, index: int) -> dict[str, Measurement]:
    """Measures the parts as a sweep would, after as many estimates as a sweep takes at least; `index` is the seed."""
    triples = triples_of(case, lambda name: chunk_seed(index, repr(case), name))
    kept = Replicates({"all": slice(0, case.dim)}, None, None)
    for chunk in range(PARTS_SETTINGS.min_replicates * 4 // CHUNK):
        kept.add(triples(-1 - chunk)[0])
    found = parts_until_precise(triples, CHUNK, kept, PARTS_SETTINGS, PARTS)
    return {part: part_row(found, part, "all", None) for part in PARTS}


def parts_lines(name: str, index: range) -> Iterator[dict[str, object]]:
    """Yields a row per case and part."""
    for case in PARTS_CASES[name]:
        found = [parts_study(case, i) for i in index]
        for part in PARTS:
            truth, rows = case.truth(part), [each[part] for each in found]
            yield {"noise": name, "kurtosis": NOISES[case.noise].kurtosis, "dim": case.dim, "relative_bias": 0.0,
                   "boundary": truth == 0, "replicates": float(np.mean([row.n or 0 for row in rows])),
                   **line(f"variance_of_{part}", truth, rows, 0.0)}  # fmt: skip
