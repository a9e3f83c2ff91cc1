"""What the pages say about clusters: the commands in them are commands of gradest, and their shards cover a sweep."""

import re
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "cluster"


def _command_of(name: str) -> str:
    text = (DOCS / name).read_text(encoding="utf-8")
    if name.endswith(".sh"):
        return text
    return " ".join(re.findall(r">-\n((?:\s{14}.*\n)+)", text)[0].split())


@pytest.mark.parametrize(("name", "variable", "first"), [("kubernetes.yaml", "JOB_COMPLETION_INDEX", 0),
                                                         ("slurm.sh", "SLURM_ARRAY_TASK_ID", 1)])  # fmt: skip
def test_the_tasks_measure_every_shard_once_into_folders_of_their_own(name, variable, first):
    text = (DOCS / name).read_text(encoding="utf-8")
    count = int(re.findall(r"completions: (\d+)|--array=1-(\d+)", text)[0][0 if first == 0 else 1])
    script = f'gradest() {{ echo "$@"; }}\nfor {variable} in $(seq {first} {first + count - 1}); do\n'
    done = subprocess.run(
        ["/bin/bash", "-c", f"{script}{_command_of(name)}\ndone"], capture_output=True, text=True, check=True
    )
    found = re.findall(r"^run core --shard (\d+)/(\d+) --jobs 4 --out \S*parts/(\d+)$", done.stdout, flags=re.M)
    assert [int(shard) for shard, _, _ in found] == list(range(1, count + 1))
    assert {int(total) for _, total, _ in found} == {count}
    assert all(shard == folder for shard, _, folder in found)
