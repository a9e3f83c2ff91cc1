"""Stable identities: canonical JSON, hashes of it, and digests of source code."""

import ast
import hashlib
import inspect
import json
import linecache
import re
import sys
import textwrap
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

OUTSIDE = ("builtins", "abc", "typing", "torch", "collections", "enum")
"""Top-level modules whose classes do not count as a plug-in's source."""


def canonical(value: Any) -> str:
    """Returns `value` as JSON with sorted keys and no spaces: equal values give equal texts.

    >>> canonical({"b": 1, "a": [0.5, None]})
    '{"a":[0.5,null],"b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return HALVES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)  # as JSON writes what no file can hold


def parsed_json(text: str | bytes) -> Any:
    """Parses JSON that anyone may have written, with finite numbers and whole characters only.

    Raises ValueError for anything else.
    """
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("it is too deep") from None
    return found


def json_digest(value: Any) -> str:
    """Returns the first 16 hexadecimal digits of the SHA-256 hash of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


HALVES = re.compile("[\ud800-\udfff]")
"""Halves of characters, which Python's texts can hold and files cannot."""


@cache
def class_digest(cls: type) -> str:
    """Returns a digest of the code of a class and its base classes, except those of torch and Python.

    Docstrings and comments do not count: no result depends on them.
    """
    own = [base for base in cls.__mro__ if base.__module__.split(".")[0] not in OUTSIDE]
    return json_digest([_source(base) for base in own])


@cache
def installed_digest() -> str:
    """Returns a digest of all source files of the installed gradest."""
    folders = [Path(str(resources.files(package))) for package in ("bench", "estimators")]
    files = [(folder, path) for folder in folders for path in sorted(folder.rglob("*.py"))]
    return json_digest(
        [[str(path.relative_to(folder.parent)), path.read_text(encoding="utf-8")] for folder, path in files]
    )


@cache
def _source(cls: type) -> str:
    """The code of a class without its bases. Each file is parsed once; a class that its file does not name exactly once
    is sought by `inspect`, which parses the file again for every class."""
    try:
        file = inspect.getsourcefile(cls) or ""
        module = sys.modules[cls.__module__]
        found = _classes_of("".join(linecache.getlines(file, module.__dict__))).get(cls.__qualname__, [])
        return ast.unparse(found[0]) if len(found) == 1 else bare_code(inspect.getsource(cls))
    except (OSError, TypeError, SyntaxError, KeyError):  # a class defined in a notebook or a shell
        return f"{cls.__module__}.{cls.__qualname__}"


@cache
def _classes_of(text: str) -> dict[str, list[ast.Module]]:
    """The classes in a module's text without docstrings, by qualified name."""
    found: dict[str, list[ast.Module]] = {}

    def visit(node: ast.AST, path: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            own = path
            if isinstance(child, ast.ClassDef):
                own = (*path, child.name)
                found.setdefault(".".join(own), []).append(ast.Module([child], []))
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                visit(child, own)

    visit(_without_docstrings(ast.parse(text)), ())
    return found


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def bare_code(source: str) -> str:
    """Returns the statements of a source text, without docstrings and comments.

    >>> print(bare_code("def f(x):  # why\\n    'What.'\\n    return x"))
    def f(x):
        return x
    """
    return ast.unparse(_without_docstrings(ast.parse(textwrap.dedent(source))))
