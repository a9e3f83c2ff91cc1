"""Seeds: one per chunk of replicates, a hash of the chunk's identity, so independent of when and where it runs.

torch's CPU generator keeps 32 bits of its seed (1 and 1 + 2³² give the same stream), so seeds are 32-bit hashes,
and a plan is checked for chunks that would share a seed.
"""

import hashlib
from collections.abc import Hashable, Iterable

from bench.provenance.identity import canonical
from estimators.errors import BadInput

SEED_BITS = 32


def chunk_seed(suite_seed: int, cell_id: str, chunk: int | str) -> int:
    """Returns the 32-bit seed of a chunk of a cell.

    `chunk`: its index (int), or a named stage such as 'fit' (str) whose draws are not replicates.

    >>> chunk_seed(0, "a1b2", 0) == chunk_seed(0, "a1b2", 0) != chunk_seed(0, "a1b2", 1)
    True
    """
    content = canonical([suite_seed, cell_id, chunk]).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[: SEED_BITS // 8], "big")


def first_collision(suite_seed: int, cells: Iterable[tuple[str, Hashable]]) -> tuple[str, str] | None:
    """Returns the ids of two cells of the same problem whose first chunks share a seed, or None.

    `cells`: pairs (cell id, problem). Only cells of the same problem are compared with each other as independent
    measurements. Among N cells of any problems about N²/2³³ pairs share a first seed by chance (1 pair among 100,000
    cells): two cells of different problems then use the same random numbers, but for different estimates. Later
    chunks do not matter: each is a small part of its cell.

    >>> first_collision(0, [("a", "quadratic"), ("b", "quadratic")])
    """
    seen: dict[tuple[int, Hashable], str] = {}
    for cell, problem in cells:
        other = seen.setdefault((chunk_seed(suite_seed, cell, 0), problem), cell)
        if other != cell:
            return other, cell
    return None


def check_collisions(suite_seed: int, cells: Iterable[tuple[str, Hashable]]) -> None:
    """Raises BadInput if two cells of the same problem would draw the same random numbers."""
    met = first_collision(suite_seed, cells)
    if met:
        raise BadInput(
            f"cells {met[0]} and {met[1]} would draw the same random numbers under seed {suite_seed}; use another seed"
        )
