"""Seeds: one per chunk of replicates, from what names the chunk and not from when or where it runs.

torch's CPU generator keeps 32 bits of its seed (1 and 1 + 2³² are the same stream), so seeds are hashes
into 32 bits, and a plan is checked for two chunks that would share one.
"""

import hashlib
from collections.abc import Iterable

from bench.identity import canonical
from estimators.errors import BadInput

BITS = 32


def chunk_seed(suite_seed: int, cell_id: str, chunk: int | str) -> int:
    """The seed of one chunk of one cell; `chunk` is its index, or a word for draws that are not replicates.

    >>> chunk_seed(0, "a1b2", 0) == chunk_seed(0, "a1b2", 0) != chunk_seed(0, "a1b2", 1)
    True
    """
    content = canonical([suite_seed, cell_id, chunk]).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[: BITS // 8], "big")


def first_collision(suite_seed: int, cells: Iterable[str]) -> tuple[str, str] | None:
    """Two cells whose first chunks share a seed, or None.

    Later chunks may meet by chance (about N²/2³³ pairs of N chunks); what must never happen is that two
    whole cells run on the same stream, and that is decided by their first chunks.

    >>> first_collision(0, ["a", "b", "c"])
    """
    seen: dict[int, str] = {}
    for cell in cells:
        other = seen.setdefault(chunk_seed(suite_seed, cell, 0), cell)
        if other != cell:
            return other, cell
    return None


def check_collisions(suite_seed: int, cells: Iterable[str]) -> None:
    """Refuse a plan in which two cells would draw the same numbers."""
    met = first_collision(suite_seed, cells)
    if met:
        raise BadInput(
            f"cells {met[0]} and {met[1]} would draw the same numbers under seed {suite_seed}; use another seed"
        )
