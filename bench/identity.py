"""Names that stay the same: canonical JSON, hashes of it, seeds from them, digests of source code."""

import hashlib
import inspect
import json
from functools import cache
from typing import Any

OUTSIDE = ("builtins", "abc", "typing", "torch", "collections", "enum")
"""Top-level modules whose classes are no part of a plug-in's source."""


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text for one value.

    >>> canonical({"b": 1, "a": [0.5, None]})
    '{"a":[0.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """16 hexadecimal digits of SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


@cache
def class_digest(cls: type) -> str:
    """A digest of the source of a class and of the classes it is made from, those of torch and Python apart."""
    own = [base for base in cls.__mro__ if base.__module__.split(".")[0] not in OUTSIDE]
    return digest([_source(base) for base in own])


def _source(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):  # a notebook's or a shell's class
        return f"{cls.__module__}.{cls.__qualname__}"
