"""Writes plain values as TOML; the standard library only reads TOML."""

import json
from collections.abc import Mapping
from typing import Any


def dumps(table: Mapping[str, Any]) -> str:
    """A table as TOML: one key per line, inner tables inline, null entries left out.

    >>> print(dumps({"seed": 0, "accuracy": {"precision": 0.05}, "device": ["cpu"], "dtype": None}), end="")
    seed = 0
    accuracy = { precision = 0.05 }
    device = ["cpu"]
    """
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items() if value is not None)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{ "
            + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items() if inner is not None)
            + " }"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").isalnum() else _value(key)
