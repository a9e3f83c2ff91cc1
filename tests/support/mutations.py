"""Mutations of files, by a generator of chance: what a disk, an editor or an enemy makes of them.

Three kinds: of bytes (torn, a token taken by something hostile), of bytes as the fuzzer AFL makes them (bits, small
sums, numbers at their limits, blocks moved and joined), and of contents (a file that can still be parsed, with other
values).
"""

import csv
import io
import json
import math
import re
import struct
import tomllib
import zlib
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from bench.tables.files import ARROW_SCHEMA

Mutation = Callable[[bytes, Random], bytes]

HOSTILE = [
    # bytes that end a line, a text or an encoding
    *(b"", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\xe9", b"\xe2\x80\xa8", b"\xe2\x80\xae", b"\x1b[2J", b"\r\n", b"\n"),
    *(b'"', b"'", b"\\", b"{", b"}", b"[", b",", b"#", b'"\\ud800"'),
    # too deep, too long, too large
    *(b"[" * 3000, b'{"a":' * 3000, b"(" * 200, b"not " * 200, b"a." * 200, b"9" * 5000),
    *(b"NaN", b"Infinity", b"-1e999", b"1e400", b"1" + b"0" * 30, b"-9223372036854775809", b"0x10", b"1_000"),
    *(b"true", b"null", b"1979-05-27T07:32:00Z", b"a = 1\na = 2\n"),
    # paths, code, other formats
    *(b"../../../etc/passwd", b"/etc/passwd", b"..\\..\\x", b"~root", b"file:///etc/passwd"),
    *(b"$(touch evil)", b"`touch evil`", b"__import__('os').system('touch evil')", b"{{7*7}}", b"%s%n"),
    *(b"<script>alert(1)</script>", b"=cmd|' /C calc'!A0", b"!!python/object/apply:os.system ['touch evil']"),
    *(b"cos\nsystem\n(S'touch evil'\ntR.", b"\x80\x04\x95", b"PAR1", b"PK\x03\x04"),
]
"""What gets into files by accident or by design: torn, too deep, too large, another encoding, code."""
TOKEN = re.compile(rb'"[^"]*"|[-+]?\d[\d.e+-]*|\w+')


def hostile_tokens(content: bytes, chance: Random) -> bytes:
    """One to four changes: torn, flipped, a piece twice, a token or a place taken by something hostile."""
    for _ in range(chance.choice([1, 1, 2, 4])):
        at, end = sorted(chance.randint(0, len(content)) for _ in range(2))
        kind = chance.randrange(8)
        if kind == 0:
            content = content[:at]
        elif kind == 1 and content:
            at = min(at, len(content) - 1)
            content = content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]
        elif kind == 2:
            content = content[:end] + content[at : min(end, at + 2000)] + content[end:]
        elif kind > 3 and (tokens := list(TOKEN.finditer(content[:100_000]))):
            token = chance.choice(tokens)
            content = content[: token.start()] + chance.choice(HOSTILE) + content[token.end() :]
        else:
            content = content[:at] + chance.choice(HOSTILE) + content[at:]
    return content


LIMITS = {
    1: (-128, -1, 0, 1, 16, 32, 64, 100, 127),
    2: (-32768, -129, 128, 255, 256, 512, 1000, 1024, 4096, 32767),
    4: (-(2**31), -100663046, -32769, 32768, 65535, 65536, 100663045, 2**31 - 1),
    8: (-(2**63), -(2**31) - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1),
}
"""Numbers at limits by their width in bytes, those that AFL puts in."""
CODES = {1: "b", 2: "h", 4: "i", 8: "q"}


def havoc(content: bytes, chance: Random, start: int = 0, end: int | None = None) -> bytes:
    """One to sixteen changes as AFL stacks them, in the bytes from `start` to `end`."""
    fixed, made, rest = content[:start], bytearray(content[start:end]), content[end:] if end is not None else b""
    for _ in range(2 ** chance.randrange(5)):
        if len(made) < 2:
            break
        _change(made, chance)
    return fixed + bytes(made) + rest


def _change(made: bytearray, chance: Random) -> None:
    width = chance.choice([each for each in LIMITS if each <= len(made)])
    at, order = chance.randrange(len(made) - width + 1), chance.choice("<>")
    length = min(chance.choice([1, 2, 8, 32, 256]), len(made) - 1)
    first = chance.randrange(len(made) - length)
    match chance.randrange(8):
        case 0:
            made[at] ^= 1 << chance.randrange(8)
        case 1:
            made[at] = chance.randrange(256)
        case 2:
            made[at : at + width] = struct.pack(order + CODES[width], chance.choice(LIMITS[width]))
        case 3:
            order = "little" if order == "<" else "big"
            number = int.from_bytes(made[at : at + width], order) + chance.randint(-35, 35)
            made[at : at + width] = (number % 256**width).to_bytes(width, order)
        case 4:
            made[at:at] = b"\xff" * chance.randrange(1, 10) + b"\x01"  # a long number of seven bits a byte
        case 5:
            del made[first : first + length]
        case 6:
            made[at:at] = made[first : first + length]
        case _:
            made[first : first + length] = bytes([chance.choice(made)]) * length


def parquet_footer(content: bytes, chance: Random) -> bytes:
    """Changes in the footer of a Parquet file; its length at the end of the file fits again, mostly."""
    length = int.from_bytes(content[-8:-4], "little")
    start = len(content) - 8 - length
    if not 0 <= start < len(content) - 8:
        return havoc(content, chance)
    changed = havoc(content, chance, start, len(content) - 8)
    fitting = changed[:-8] + (len(changed) - 8 - start).to_bytes(4, "little") + b"PAR1"
    return fitting if chance.random() < 0.9 else changed


TEXTS = [
    *("", " ", "\0", "a\nb", "\r", "\x1b[2J", "half \ud800", "\u202e", "é", "NaN", "None", "<NA>", "0x10", "1e999"),
    *(
        "../../etc/passwd",
        "<script>alert(1)</script>",
        "</script>",
        "=1+1",
        "[bold]",
        "[/]",
        "{{7*7}}",
        "$x^2$",
        "%s%n",
    ),
    *(
        "a" * 300,
        "a" * 100_000,
        "9" * 5000,
        "[" * 3000,
        '{"a":' * 3000,
        "cpu",
        "cuda",
        "mps",
        "cpu:999999999999",
        "all",
    ),
    *("{}", '{"name":{}}', '{"name":"rloo"}', '{"":0}', '{"a":1e999}', '{"a":' + "9" * 5000 + "}", '{"a":"\\ud800"}'),
    *(
        '{"size":1000000000000}',
        '{"temperature":[[]]}',
        '{"estimator":{"name":["a"]}}',
        "true",
        "0",
        "-1",
        "1/4",
        "0/0",
    ),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-31", "20260131T120000Z", "yesterday"),
    *("within this run: " + "9" * 400 + " visits over 1 s", "within this run: 0 visits over", "within this visit only"),
    *("AADAfwAAwH8=" * 32, "AACAfwAAgH8=" * 32, "AAAA" * 64, "AAAAAAAAAAA=", "ok", "failed", "biased", "unclear"),
    *(
        "accuracy",
        "throughput",
        "plan",
        "rloo",
        "reinforce",
        "bernoulli",
        "variance",
        "seconds_per_estimate",
        "float16",
    ),
]
INTEGERS = [0, 1, -1, 2, 3, 64, 255, 10**6, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30]
NUMBERS = [0.0, -0.0, 1.0, -1.5, 0.5, 1e-300, 5e-324, 1e300, 1.7976931348623157e308, math.inf, -math.inf, math.nan]
SHAPES: list[Any] = [None, [], {}, [[]], [{}], {"": ""}, {"name": "rloo"}, {"name": 3}, [None], [1, "a"], True, False]


def other_value(value: Any, chance: Random) -> Any:
    """A hostile value, mostly of the type that stands there."""
    if chance.random() < 0.25:
        return deepcopy(chance.choice(chance.choice([TEXTS, INTEGERS, NUMBERS, SHAPES])))
    match value:
        case bool():
            return not value
        case int():
            return chance.choice([*INTEGERS, value + 1, value - 1, -value])
        case float():
            return chance.choice([*NUMBERS, -value, value * 1e9, value * 1e-9])
        case str():
            return chance.choice([*TEXTS, value[:-1], value + value[:1], value.upper()])
    return deepcopy(chance.choice(SHAPES))


def other_contents(tree: Any, chance: Random) -> Any:
    """The lists, dicts and values of a file with one to six changes of contents; the tree itself is changed."""
    for _ in range(chance.choice([1, 1, 2, 3, 6])):
        places = _places(tree)
        if not places:
            return tree
        inner, key = chance.choice(places)
        elsewhere, there = chance.choice(places)
        match chance.randrange(10):
            case 0:
                del inner[key]
            case 1:
                inner[key] = deepcopy(elsewhere[there]) if there in _keys(elsewhere) else None
            case 2:
                inner[key] = chance.choice([[inner[key]], {"name": inner[key]}, [inner[key]] * 3])
            case 3 if isinstance(inner, dict):
                inner[chance.choice(TEXTS)] = inner.pop(key)
            case 3:
                inner.insert(key, inner[key])
            case 4 if isinstance(tree, list) and isinstance(inner, dict):  # the same in every row
                value = other_value(inner[key], chance)
                for row in tree:
                    if isinstance(row, dict):
                        row[key] = value
            case _:
                inner[key] = other_value(inner[key], chance)
    return tree


def _keys(inner: Any) -> Any:
    return range(len(inner)) if isinstance(inner, list) else inner


def _places(tree: Any, deepest: int = 8) -> list[tuple[Any, Any]]:
    """Every list or dict of a tree with each of its keys."""
    if not isinstance(tree, list | dict) or not deepest:
        return []
    found = [(tree, key) for key in _keys(tree)]
    values = tree if isinstance(tree, list) else tree.values()
    return [*found, *(place for value in values for place in _places(value, deepest - 1))]


def json_contents(content: bytes, chance: Random) -> bytes:
    """A JSON file with other contents."""
    return json.dumps(other_contents(json.loads(content), chance)).encode()


def json_lines_contents(content: bytes, chance: Random) -> bytes:
    """JSON lines with other contents; lines that had a checksum get the one that fits, mostly."""
    lines = other_contents([json.loads(line) for line in content.splitlines()], chance)
    return b"".join(_line(line, chance) + b"\n" for line in lines)


def _line(found: Any, chance: Random) -> bytes:
    if not isinstance(found, dict) or "sum" not in found or chance.random() < 0.02:
        return json.dumps(found).encode()
    rest = json.dumps({key: value for key, value in found.items() if key != "sum"}, separators=(",", ":")).encode()
    return b'{"sum":"%08x",' % zlib.crc32(rest) + rest[1:]


def toml_contents(content: bytes, chance: Random) -> bytes:
    """A TOML file with other contents."""
    return f"{_toml_lines(other_contents(tomllib.loads(content.decode()), chance))}\n".encode(errors="replace")


def _toml_lines(table: Any) -> str:
    return "\n".join(f"{_quoted(key)} = {_toml(value)}" for key, value in table.items() if value is not None)


def _toml(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{_quoted(key)} = {_toml(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case float():
            return repr(value)
    return '""' if value is None else _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def csv_contents(content: bytes, chance: Random) -> bytes:
    """A CSV file with other contents."""
    names, *rows = csv.reader(io.StringIO(content.decode()))
    made = other_contents([dict(zip(names, map(_number, row), strict=True)) for row in rows], chance)
    return _as_csv([row for row in made if isinstance(row, dict)]).encode(errors="replace")


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _as_csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def parquet_contents(content: bytes, chance: Random) -> bytes:
    """A Parquet file with other contents; a column whose values have no common type becomes one of texts."""
    rows = other_contents(pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist(), chance)
    rows = [row for row in rows if isinstance(row, dict)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.BytesIO()
    table = pa.table(
        [_column(name, [row.get(name) for row in rows]) for name in names], [_whole(name) for name in names]
    )
    pyarrow.parquet.write_table(table, out)
    return out.getvalue()


def _column(name: str, values: list[Any]) -> pa.Array:
    known = [ARROW_SCHEMA.field(name).type] if name in ARROW_SCHEMA.names else []
    for kind in (*known, None):
        try:
            made = pa.array(values, kind)
            return made if not pa.types.is_nested(made.type) else pa.array([_text(value) for value in values])
        except (pa.ArrowException, OverflowError, ValueError, TypeError):
            continue
    return pa.array([_text(value) for value in values])


def _text(value: Any) -> str | None:
    return None if value is None else _whole(str(value))


def _whole(text: str) -> str:
    """A text without halves of characters, which Parquet cannot hold."""
    return text.encode(errors="replace").decode()
