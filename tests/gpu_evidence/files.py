"""The files that a run leaves, and what of the machine's names must not stay in them."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

LOG = "environment.txt"
FILES = (
    "junit.xml",
    "throughput.parquet",
    "ceilings.jsonl",
    "saturation.csv",
    "accuracy-1.parquet",
    "accuracy-2.parquet",
    "trace.json.gz",
    LOG,
)
PRIVATE = re.compile(r"^.*(UUID|Serial Number|Board ID|Process ID|Bus Id).*\n", re.M | re.I)
"""Lines of `nvidia-smi -q` that name one device, or other people's processes."""
HOST = re.compile(r' hostname="[^"]*"')


def without_names(out: Path, root: Path) -> None:
    """Takes paths of the machine, its name, and numbers of its devices out of the texts, which are committed."""
    for name in (LOG, "junit.xml"):
        path = out / name
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            written(path, lambda new, text=text: new.write_text(without(text, root), encoding="utf-8"))


def without(text: str, root: Path) -> str:
    """The text with `.`, `PYTHON` and `HOME` for the folders of the sources, of Python and of the user."""
    text = HOST.sub("", PRIVATE.sub("", text))
    words = {str(root): ".", sys.prefix: "PYTHON", sys.base_prefix: "PYTHON", str(Path.home()): "HOME"}
    for folder, word in words.items():
        text = text.replace(folder, word) if len(folder) > 1 else text
    return text


def written(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file beside and moves it into its place: whenever the machine ends, a whole one is there."""
    new = path.with_name(f".new-{path.name}")
    write(new)
    new.replace(path)
