"""A user's file, and a clock that a busy machine does not disturb."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from time import process_time

import pytest

from bench.advice import stopwatch


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a model's file."""

    def written(text: str, name: str = "model.py") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return written


@pytest.fixture
def processor_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns and steps last as long as the processor works on them."""
    monkeypatch.setattr(stopwatch, "read", process_time)
