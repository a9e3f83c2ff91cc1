"""Seeds: one per chunk of replicates, from what names the chunk and not from when or where it runs.

torch's CPU generator keeps 32 bits of its seed (1 and 1 + 2³² are the same stream), so seeds are hashes
into 32 bits, and a plan is checked for two chunks that would share one.
"""

import hashlib
from collections.abc import Hashable, Iterable

from bench.provenance.identity import canonical
from estimators.errors import BadInput

SEED_BITS = 32


def chunk_seed(suite_seed: int, cell_id: str, chunk: int | str) -> int:
    """The seed of one chunk of one cell; `chunk` is its index, or a word for draws that are not replicates.

    >>> chunk_seed(0, "a1b2", 0) == chunk_seed(0, "a1b2", 0) != chunk_seed(0, "a1b2", 1)
    True
    """
    content = canonical([suite_seed, cell_id, chunk]).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[: SEED_BITS // 8], "big")


def first_collision(suite_seed: int, cells: Iterable[tuple[str, Hashable]]) -> tuple[str, str] | None:
    """Two cells (id, problem) of one problem whose first chunks share a seed, or None.

    Only cells of one problem are compared, as independent. Among N cells of whatever problem some N²/2³³ pairs
    share a first seed by chance, one among 100,000: such a pair has its draws in common and nothing that is
    made of them. Nor do later chunks matter, each of which is a small part of a cell.

    >>> first_collision(0, [("a", "quadratic"), ("b", "quadratic")])
    """
    seen: dict[tuple[int, Hashable], str] = {}
    for cell, problem in cells:
        other = seen.setdefault((chunk_seed(suite_seed, cell, 0), problem), cell)
        if other != cell:
            return other, cell
    return None


def check_collisions(suite_seed: int, cells: Iterable[tuple[str, Hashable]]) -> None:
    """Refuse a plan in which two cells that are compared would draw the same numbers."""
    met = first_collision(suite_seed, cells)
    if met:
        raise BadInput(
            f"cells {met[0]} and {met[1]} would draw the same numbers under seed {suite_seed}; use another seed"
        )
