"""Commands on mutated files of a real run: an answer, or one sentence and exit code 2, within a GiB of memory.

`make test` tries 100 inputs, `make test-all` 10,000; the readers alone are tried on more in `test_readers.py`.
"""

import json
import shutil

import pytest

from bench.measure.timing.ceilings import load_ceilings
from tests.support.fuzzing import MADE, Target, answered, faults, real_folder
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
    "ceilings": (Target("ceilings.jsonl", LINES, RUN[-1:]), 0.02),
    "csv": (Target("table/results.csv", CSV, READ), 0.1),
    "parquet": (Target("table/results.parquet", PARQUET, READ), 0.15),
}
"""Each file with its share of all inputs."""


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return real_folder(tmp_path_factory.mktemp("real") / "run")


@pytest.mark.parametrize("inputs", [100, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", TARGETS)
def test_commands(tmp_path, real, name, inputs):
    target, share = TARGETS[name]
    wrong = faults(target, shutil.copytree(real, tmp_path / "run"), int(share * inputs), seed=inputs)
    assert not wrong, "\n".join(wrong)


LEFT = (f'{{"seconds_left":{each},"said":"now"}}' for each in ("NaN", "1e999", "-1", '"3"', "[]"))
FOUND = {
    "plan.json": [
        *("", '{"cells":[["=1+1",["accuracy"]]],"shard":"1/2"}', '{"cells":[],"shard":{}}'),
        '{"cells":[["a",[[]]]]}',
    ],
    "progress.json": [*LEFT, '{"seconds_left":3,"said":[]}', "[" * 3000],
    "environments.jsonl": ['{"env":"a","memory_bytes":1e999}', '{"env":"\\ud800"}', '{"env":[]}', "[]", "[" * 3000],
    "config.toml": ["a = 1", "seed = 1979-05-27", "samples = [1, nan]", 'samples = 1\nestimators = "\\u0000"', "["],
}
"""What fuzzing has found, by file: each once ended a command with a traceback, or was believed."""


@pytest.mark.parametrize(("file", "content"), [(file, content) for file, each in FOUND.items() for content in each])
def test_what_was_found_is_refused_in_one_sentence(tmp_path, real, file, content):
    folder = shutil.copytree(real, tmp_path / "run")
    (folder / file).write_text(f"{content}\n")
    command = f"collect . --out {MADE}" if file in ("config.toml", "environments.jsonl") else "status ."
    found = answered(command, folder)
    assert isinstance(found, tuple) and found[0] == 2, found


HOSTILE_CEILINGS = [
    *({"value": [1.0, 2.0]}, {"value": "1"}, {"method": "\ud800"}, {"ci_low": None}, {"n": 1e999}, {"env": {}}),
]


@pytest.mark.parametrize("change", HOSTILE_CEILINGS, ids=str)
def test_ceilings_that_are_none_are_left_out(real, tmp_path, change):
    (line,) = (real / "ceilings.jsonl").read_text().splitlines()
    assert len(load_ceilings(real)) == 1
    (tmp_path / "ceilings.jsonl").write_text(f"{line}\n{json.dumps(json.loads(line) | change)}\n" + "[" * 3000)
    assert len(load_ceilings(tmp_path)) == 1
