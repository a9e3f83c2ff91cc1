"""Asking the frameworks, in their own environment, and keeping what they said."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from peers.frameworks.agreement import Answer, Question
from peers.frameworks.problems import Arrays, named, write

ROOT = Path(__file__).parents[2]
SIDE = ROOT / "peers" / "sides" / "frameworks" / "answers.py"
KEPT = ROOT / "results" / "peers" / "frameworks.npz"
"""Problems and answers of the last run: tests compare presets with them where the frameworks are not installed."""


def python_of(environments: Path) -> Path:
    """Returns the interpreter of the frameworks' environment, which need not be there."""
    return environments / "frameworks" / "bin" / "python"


def asked(python: Path, problems: Mapping[str, Arrays], questions: Sequence[Question]) -> dict[Question, Answer]:
    """Returns the frameworks' answers. Raises `RuntimeError` if one of them fails."""
    lines = [
        json.dumps({"function": side, "settings": json.loads(settings), "problem": problem})
        for side, settings, problem in questions
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problems.npz"
        write(path, problems)
        done = subprocess.run(
            [python, SIDE, path],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    if len(found) != len(questions):
        raise RuntimeError(f"the frameworks answered {len(found)} of {len(questions)} questions: {done.stderr[-500:]}")
    failed = [
        f"{asked_for}: {said['error']}" for asked_for, said in zip(questions, found, strict=True) if "error" in said
    ]
    if failed:
        raise RuntimeError(f"{len(failed)} questions failed, the first {failed[0]}")
    return {
        each: Answer(said["value"], np.reshape(said["gradient"], problems[each[2]]["mask"].shape))
        for each, said in zip(questions, found, strict=True)
    }


def keep(path: Path, problems: Mapping[str, Arrays], answers: Mapping[Question, Answer]) -> None:
    """Writes problems and answers: one array of questions, one of values, and all gradients end to end."""
    np.savez_compressed(
        path,
        questions=np.array([*answers]),
        values=np.array([each.value for each in answers.values()]),
        gradients=np.concatenate([each.gradient.ravel() for each in answers.values()]),
        **named(problems),
    )


def kept(path: Path = KEPT) -> tuple[dict[str, Arrays], dict[Question, Answer]]:
    """Returns the problems and answers that `keep` wrote."""
    arrays = dict(np.load(path))
    questions, values, gradients = (arrays.pop(name) for name in ("questions", "values", "gradients"))
    problems: dict[str, Arrays] = {}
    for name, value in arrays.items():
        problem, tensor = name.split("/")
        problems.setdefault(problem, {})[tensor] = value
    sizes = [problems[problem]["mask"].size for *_, problem in questions]
    parts = np.split(gradients, np.cumsum(sizes)[:-1])
    answers: dict[Question, Answer] = {}
    for (side, settings, problem), value, part in zip(questions.tolist(), values, parts, strict=True):
        answers[side, settings, problem] = Answer(float(value), part.reshape(problems[problem]["mask"].shape))
    return problems, answers
