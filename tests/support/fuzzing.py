"""Commands on mutated files: in a separate process that may hold one GiB more, because a reader may crash or grow.

As AFL does, mutations that give an answer of a new kind are kept and mutated again.
"""

import json
import re
import shlex
import shutil
import traceback
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from unittest.mock import patch

from bench.system.optional import limit_memory
from bench.tables.files import read_table, write_csv, write_parquet
from bench.tables.folder import Store
from bench.tables.long import typed
from bench.tables.where import select
from tests.support.forked import FORKING
from tests.support.mutations import Mutation, havoc
from tests.support.sweeps import HANG, TOML, finished, gradest, small_cells, suite

GIB = 2**30
COMMITTED = Path(__file__).parents[2] / "results" / "reference"
MADE = "made"
"""The folder that a command may make in the folder."""
SOME = "objective.t == 0.45 and samples == 4 and estimator in ['reinforce', 'rloo', 'arm']"
"""The cells of the committed table that are mutated."""
KEPT = 100
"""The largest number of mutations that are kept to be mutated again."""


@dataclass(frozen=True)
class Target:
    """A file of a folder, how it is mutated, and the commands that read it as FILE or with its folder."""

    file: str
    mutations: Sequence[Mutation]
    commands: Sequence[str]


def real_folder(folder: Path) -> Path:
    """A folder with a run, a part of a committed table as Parquet and CSV, and everything else that a run writes."""
    cells = small_cells()
    with Store(folder) as store:
        store.begin(suite().model_dump(), {cell.id: ["accuracy"] for cell in cells}, "1/1")
        store.append([finished(cell, variance=2.0, evaluations=3.0) for cell in cells[:3]])
        store.say({"done": 2, "total": 4, "seconds_left": 3.5})
        store.finish()
    for made in ("results.parquet", "results.csv"):
        (folder / made).unlink()
    (folder / "suite.toml").write_text(TOML)
    ceiling = {"env": "a", "metric": "normal_per_second", "value": 2e8, "ci_low": 1e8, "ci_high": 3e8, "n": 9}
    words = {"unit": "numbers/s", "device": "cpu", "dtype": "float64", "method": "Median of blocks."}
    (folder / "ceilings.jsonl").write_text(json.dumps(ceiling | words) + "\n")
    some = typed(select(read_table(COMMITTED / "results.parquet"), SOME))
    table = folder / "table"
    table.mkdir()
    write_parquet(some, table / "results.parquet")
    write_csv(some, table / "results.csv")
    shutil.copy(folder / "environments.jsonl", table)
    shutil.copy(folder / "ceilings.jsonl", table)
    return folder


def faults(target: Target, folder: Path, inputs: int, seed: int = 0) -> list[str]:
    """What commands do with mutations beside an answer or a sentence, at most three of them; `folder` is used up."""
    answer = folder.with_name(f"{folder.name}.answer")
    process = FORKING.Process(target=_every, args=(target, folder, inputs, seed, answer))
    FORKING.set_forkserver_preload(["tests.support.preloaded"])
    process.start()
    process.join(HANG)
    if process.is_alive():
        process.kill()
        return [f"{target.file}: a command hangs on {folder / target.file}"]
    if process.exitcode:
        return [f"{target.file}: the process ended with {process.exitcode}; its file is {folder / target.file}"]
    return json.loads(answer.read_text())


def _every(target: Target, folder: Path, inputs: int, seed: int, answer: Path) -> None:
    """In the process: mutates, commands, and writes what was wrong."""
    path = folder / target.file
    limit_memory(_data() + GIB)
    pool, kinds, wrong = [path.read_bytes()], set(), []
    with patch("bench.pages.report.writing_figures", lambda *drawn: nullcontext()):
        for number in range(inputs):
            chance = Random(f"{seed} {number} {target.file}")
            content = _mutated(pool[0] if chance.random() < 0.5 else chance.choice(pool), target.mutations, chance)
            path.write_bytes(content)
            shutil.rmtree(folder / MADE, ignore_errors=True)
            command = chance.choice(target.commands).replace("FILE", target.file)
            said = answered(command, folder)
            if isinstance(said, str):
                wrong.append(f"{target.file}, input {number}, {command}: {said}")
                path.with_name(f"wrong-{number}{path.suffix}").write_bytes(content)
            elif said not in kinds and len(content) < 200_000 and len(pool) < KEPT:
                kinds.add(said)
                pool.append(content)
            if len(wrong) == 3:
                break
    answer.write_text(json.dumps(wrong))


def _mutated(content: bytes, mutations: Sequence[Mutation], chance: Random) -> bytes:
    with suppress(Exception):  # contents of what can no longer be parsed
        return chance.choice(mutations)(content, chance)
    return havoc(content, chance)


UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""Characters that must not reach a terminal."""
VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|[-\w.]*\d[-\w.]*|\S*/\S*")


def answered(command: str, folder: Path) -> tuple[int, str] | str:
    """The kind of answer that a command gives, or a text that says what is wrong with it."""
    try:
        found = gradest(*shlex.split(command), folder=folder)
    except BaseException:
        return traceback.format_exc()[-1500:]
    lines = found.stderr.splitlines()
    if found.returncode not in (0, 2):
        return f"exit code {found.returncode}: {found.stderr[:1000]}"
    last = lines.pop() if found.returncode else "gradest: "
    if not last.startswith("gradest: ") or not all(line.startswith("note: ") for line in lines):
        return f"not one sentence: {found.stderr[:1000]}"
    if len(found.stderr) > 5000:
        return f"a sentence of {len(found.stderr)} characters: {found.stderr[:1000]}"
    if "alloc" in found.stderr or "out of memory" in found.stderr:
        return f"more than a GiB of memory: {found.stderr[:1000]}"
    if unseen := UNSEEN.search(found.stdout + found.stderr):
        return f"the output holds {unseen[0]!r}"
    if "--json" in command and found.returncode == 0:
        json.loads(found.stdout, parse_constant=lambda text: f"no JSON: {text}")
    return found.returncode, VARYING.sub("", found.stderr)[:150]


def _data() -> int:
    """Bytes of data that this process holds."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmData")).split()[1])
