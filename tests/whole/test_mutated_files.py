"""Commands on mutated files of a real run: an answer, or one sentence and exit code 2, within a GiB of memory.

`make test` tries 1,000 inputs, `make test-all` 30,000; the readers alone are tried on more in `test_readers.py`.
"""

import shutil

import pytest

from tests.support.fuzzing import MADE, Target, faults, real_folder
from tests.support.mutations import (
    csv_contents,
    havoc,
    hostile_tokens,
    json_contents,
    json_lines_contents,
    parquet_contents,
    parquet_footer,
    toml_contents,
)

BYTES = (hostile_tokens, havoc)
JSON, LINES = (*BYTES, json_contents, json_contents), (*BYTES, json_lines_contents, json_lines_contents)
CSV = (*BYTES, csv_contents, csv_contents)
PARQUET = (havoc, parquet_footer, parquet_contents, parquet_contents)
STATUS = ("status .", "status . --json")
RUN = (
    *STATUS, "export . --out made.csv", "compare .", "plan suite.toml --out .", f"collect . --out {MADE}",
    "report . --jobs 1",
)  # fmt: skip
READ = (
    "compare FILE", "compare FILE --json", "compare FILE FILE", "compare FILE --where 'samples > 1 and dim > 0'",
    "export FILE --out made.csv", "report FILE --jobs 1",
)  # fmt: skip
TARGETS = {
    "suite": (Target("suite.toml", (*BYTES, toml_contents, toml_contents), ("plan FILE", "plan FILE --json")), 0.2),
    "config": (Target("config.toml", (*BYTES, toml_contents), ("plan FILE", f"collect . --out {MADE}")), 0.1),
    "plan": (Target("plan.json", JSON, RUN), 0.1),
    "progress": (Target("progress.json", JSON, STATUS), 0.05),
    "records": (Target("records-0.jsonl", LINES, RUN), 0.2),
    "environments": (Target("environments.jsonl", LINES, RUN), 0.05),
    "ceilings": (Target("ceilings.jsonl", LINES, RUN[-1:]), 0.05),
    "csv": (Target("table/results.csv", CSV, READ), 0.1),
    "parquet": (Target("table/results.parquet", PARQUET, READ), 0.15),
}
"""Each file with its share of all inputs."""


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return real_folder(tmp_path_factory.mktemp("real") / "run")


@pytest.mark.parametrize("inputs", [1000, pytest.param(30_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", TARGETS)
def test_commands(tmp_path, real, name, inputs):
    target, share = TARGETS[name]
    wrong = faults(target, shutil.copytree(real, tmp_path / "run"), int(share * inputs), seed=inputs)
    assert not wrong, "\n".join(wrong)
