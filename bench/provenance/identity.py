"""Names that stay the same: canonical JSON, hashes of it, seeds from them, digests of source code."""

import ast
import hashlib
import inspect
import json
import textwrap
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

OUTSIDE = ("builtins", "abc", "typing", "torch", "collections", "enum")
"""Top-level modules whose classes are no part of a plug-in's source."""


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text for one value.

    >>> canonical({"b": 1, "a": [0.5, None]})
    '{"a":[0.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def json_digest(value: Any) -> str:
    """16 hexadecimal digits of SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


@cache
def class_digest(cls: type) -> str:
    """A digest of the code of a class and of the classes it is made from, those of torch and Python apart.

    Docstrings and comments do not count: no number depends on them.
    """
    own = [base for base in cls.__mro__ if base.__module__.split(".")[0] not in OUTSIDE]
    return json_digest([_source(base) for base in own])


@cache
def installed_digest() -> str:
    """A digest of all source files of gradest that are installed here."""
    folders = [Path(str(resources.files(package))) for package in ("bench", "estimators")]
    files = [(folder, path) for folder in folders for path in sorted(folder.rglob("*.py"))]
    return json_digest(
        [[str(path.relative_to(folder.parent)), path.read_text(encoding="utf-8")] for folder, path in files]
    )


def _source(cls: type) -> str:
    try:
        return bare_code(inspect.getsource(cls))
    except (OSError, TypeError, SyntaxError):  # a notebook's or a shell's class
        return f"{cls.__module__}.{cls.__qualname__}"


def bare_code(source: str) -> str:
    """The statements of a source text, without docstrings and comments.

    >>> print(bare_code("def f(x):  # why\\n    'What.'\\n    return x"))
    def f(x):
        return x
    """
    tree = ast.parse(textwrap.dedent(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
