"""Bad input: one clear sentence, exit code 2, no traceback, nothing written; through the real command."""

import os

import pandas as pd
import pytest

from tests.support.forked import gradest_forked
from tests.support.sweeps import TOML, gradest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "good.toml").write_text(TOML)
    return tmp_path


def refused(*arguments, folder, said, written=()):
    """The command ends with 2 and a sentence that holds `said`; no folder of results appears."""
    found = gradest(*arguments, folder=folder)
    assert found.returncode == 2, found.stdout + found.stderr
    assert said in " ".join(found.stderr.split()), found.stderr
    assert "Traceback" not in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1 or "Usage" in found.stderr
    assert not (folder / "results").exists() or written


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("rloo", "rlo"), "estimators[0]: there is no estimator 'rlo'; did you mean 'rloo'?"),
        (("bernoulli", "bernouli"), "there is no distribution 'bernouli'; did you mean 'bernoulli'?"),
        (("quadratic_bits", "quadratic_bit"), "there is no objective 'quadratic_bit'; did you mean 'quadratic_bits'?"),
        (("samples", "sample"), "bad.toml: sample: unknown key; did you mean 'samples'?"),
        (("max_replicates", "max_replicate"), "bad.toml: accuracy.max_replicate: unknown setting; did you mean"),
        (("size = 3", "sizes = 3"), "problems[0].distribution[0].sizes: unknown setting; did you mean 'size'?"),
        (("size = 3", 'size = "big"'), "problems[0].distribution[0].size: input should be a valid integer, not 'big'"),
        (("size = 3", "size = 0"), "problems[0].distribution[0]: size must be at least 1, found 0"),
        (("[2, 4]", "[2, 0]"), "bad.toml: samples[1]: input should be greater than or equal to 1, not '0'"),
        (("[2, 4]", "[2, 4"), "bad.toml is not TOML"),
    ],
)
def test_suites(folder, change: tuple[str, str], said):
    right, wrong = change
    (folder / "bad.toml").write_text(TOML.replace(right, wrong, 1))
    refused("run", "bad.toml", folder=folder, said=said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "quik"), "there is no suite 'quik'; did you mean 'quick'?"),
        (("run", "absent.toml"), "cannot read the suite absent.toml: No such file or directory"),
        (("run", "good.toml", "--device", "cuda:99"), "there is no device 'cuda:99'"),
        (("run", "good.toml", "--device", "gpu"), "there is no device 'gpu'"),
        (("run", "good.toml", "--plugin", "absent.py"), "absent.py does not exist"),
        (("run", "good.toml", "--where", "sample == 1"), "there is no column 'sample'; did you mean 'samples'?"),
        (("run", "good.toml", "--where", "samples == 77"), "matches none of the suite's 4 cells"),
        (("run", "good.toml", "--where", "__import__('os').system('touch evil')"), "--where, character"),
        (("run", "good.toml", "--rerun", "everything"), "--rerun 'everything' is not known"),
        (("run", "good.toml", "--jobs", "0"), "jobs must be at least 1, found 0"),
        (
            ("run", "good.toml", "--seed", "-1"),
            "the options: seed: input should be greater than or equal to 0",
        ),
        (("run", "good.toml", "--memory", "0"), "memory must be at least 0.1, found 0"),
        (("run", "good.toml", "--jobs", "two"), "Invalid value for '--jobs'"),
        (("run", "good.toml", "--jbs", "2"), "No such option: --jbs"),
        (("check", "rloo", "--seed", "-1"), "seed must be at least 0, found -1"),
        (("verify", "--jobs", "0"), "jobs must be at least 1, found 0"),
        (("check", "good.toml:Half"), "good.toml is not a Python file"),
        (("show", "rlo"), "there is nothing called 'rlo'; did you mean 'rloo'?"),
        (("list", "estimator"), "there is no kind 'estimator'; did you mean 'estimators'?"),
        (
            ("status", "absent"),
            "there is no folder or file absent, and no results/absent",
        ),
        (("compare", "absent"), "there is no folder or file absent"),
        (("status", "good.toml"), "good.toml is a file; give the folder of a run"),
        (("collect", "absent", "--out", "whole"), "there is no folder or file absent"),
        (("collect", ".", "--out", "whole"), ". holds no run of gradest"),
        (("env", "--device", "cpu"), "add --measure"),
        (("export", "."), "holds no records of gradest"),
        (("export", ".", "--out", "table.xlsx"), "there is no format 'xlsx'"),
        (("report", "good"), "there is no folder or file good, and no results/good"),
        (("rum", "good.toml"), "No such command 'rum'"),
    ],
)
def test_arguments(folder, arguments, said):
    refused(*arguments, folder=folder, said=said)
    assert not (folder / "evil").exists()


def test_the_process_ends_with_2_and_one_sentence(folder):
    """The same through a process of its own, once."""
    found = gradest_forked("run", "quik", folder=folder)
    assert found.returncode == 2 and found.stdout == ""
    assert found.stderr.startswith("gradest: there is no suite 'quik'") and found.stderr.count("\n") == 1


def test_a_plugin_that_does_not_import(folder):
    (folder / "broken.py").write_text("import a_module_that_is_not_there\n")
    said = "broken.py does not import: ModuleNotFoundError: No module named 'a_module_that_is_not_there'"
    refused("run", "good.toml", "--plugin", "broken.py", folder=folder, said=said)


def test_a_folder_that_cannot_be_written(folder):
    (folder / "file").write_text("")
    refused("run", "good.toml", "--out", "file/run", folder=folder, said="cannot write to the folder file/run")
    refused("run", "good.toml", "--out", "/proc/run", folder=folder, said="cannot write to the folder /proc/run")


def test_a_table_that_is_not_gradests(folder):
    pd.DataFrame({"a": [1]}).to_csv(folder / "other.csv", index=False)
    refused("compare", "other.csv", folder=folder, said="other.csv is not a table of gradest: it has no column 'run'")
    (folder / "results.parquet").write_bytes(os.urandom(100))
    refused("compare", "results.parquet", folder=folder, said="results.parquet is not a table of gradest")


@pytest.mark.usefixtures("forked_workers")
def test_a_torn_record_file_is_said_and_its_cell_runs_again(folder):
    assert gradest("run", "good.toml", "--jobs", "1", folder=folder).returncode == 0
    records = folder / "results/good/records-0.jsonl"
    records.write_bytes(records.read_bytes()[:-30])
    found = gradest("run", "good.toml", "--jobs", "1", folder=folder)
    assert found.returncode == 0 and "1 ok" in found.stdout
    assert "the last line was not finished" in " ".join(found.stderr.split())
    records.write_bytes(b"hello\n" + records.read_bytes())
    found = gradest("run", "good.toml", "--jobs", "1", folder=folder)
    said = " ".join(found.stderr.split())
    assert found.returncode == 0 and "nothing was left to do" in found.stdout
    assert "lines are damaged and left out, the first: results/good/records-0.jsonl, line 1 is not a record" in said
