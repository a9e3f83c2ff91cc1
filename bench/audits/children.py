"""What runs in a separate process: a user's Python file, or a command. Imports are light, because it starts often."""

import subprocess
from collections.abc import Callable
from typing import Any

ERROR_LENGTH = 300
"""Characters of a command's error that are passed on."""


def serve_draws(path: str) -> Callable[[Any, Any], Any]:
    """Answers tasks about a file that defines `draw`, and perhaps `exact`, which is imported with the first task.

    The tasks: `("exact",)`, answered by an array or None, and `("draw", seed, count)`, answered by an array.
    """
    from bench.audits.arrays import as_numbers
    from bench.plugins.files import load_script

    loaded: list[Any] = []

    def action(task: tuple[Any, ...], say: Any) -> Any:
        loaded[:] = loaded or [load_script(path, ("draw",), "draws")]
        module = loaded[0]
        if task[0] == "exact":
            return as_numbers(module.exact, f"exact of {path}") if hasattr(module, "exact") else None
        return as_numbers(module.draw(*task[1:]), f"draw{task[1:]} of {path}")

    return action


def run_command(words: list[str]) -> str:
    """Runs a command without a shell; returns how it failed, or an empty text."""
    try:
        ended = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
    except OSError as error:
        return f"does not start: {error.strerror}"
    if not ended.returncode:
        return ""
    lines = ended.stderr.decode(errors="replace").strip().splitlines()
    return f"ends with exit code {ended.returncode}" + (f": {lines[-1].strip()[:ERROR_LENGTH]}" if lines else "")
