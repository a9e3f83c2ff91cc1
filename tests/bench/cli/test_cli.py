"""The command, as a user runs it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.cli import console
from bench.display.terminal import rich_table
from tests.support.sweeps import HANG, LONG, TOML, gradest, long_run

pytestmark = pytest.mark.usefixtures("forked_workers")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, forked_workers):
    """A folder with a suite that has been run."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "small.toml").write_text(TOML)
    found = gradest("run", "small.toml", "--jobs", "1", folder=folder)
    assert found.returncode == 0, found.stderr
    assert "4 ok" in found.stdout
    return folder


def test_help_does_not_import_torch():
    code = "import sys, bench.cli.main; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_it_runs_as_a_module():
    found = subprocess.run([sys.executable, "-m", "bench.cli", "--help"], cwd=ROOT, capture_output=True, check=False)
    assert found.returncode == 0 and b"recommend" in found.stdout


def test_list_does_not_import_what_only_tables_and_compilers_need():
    """It may take two seconds, of which torch's own import takes most."""
    unwanted = ["pandas", "scipy", "sklearn", "matplotlib", "pyarrow", "sympy", "torch._dynamo", "torch._inductor"]
    say = f"sys.exit({{*{unwanted}}} & {{*sys.modules}})"
    code = f"import sys, bench.cli.main; bench.cli.main.app(['list'], standalone_mode=False); {say}"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert found.stderr.strip() == "set()"
    assert "rloo" in found.stdout and "bernoulli" in found.stdout and "suites" in found.stdout


@pytest.mark.parametrize("kind", ["estimators", "distributions", "objectives", "metrics", "suites"])
def test_list_and_show(kind, tmp_path, capsys):
    table = bench.listing(kind)
    every = bench.listing()
    assert list(every.loc[every["kind"] == kind, "name"]) == list(table["name"])
    assert len(table) and table["name"].is_unique
    if kind != "suites":
        for name in table["name"]:
            assert name in bench.describe(name)


def test_plan_says_what_is_done_and_what_does_not_fit(folder):
    found = gradest("plan", "small.toml", "--out", "results/small", folder=folder)
    assert "4 done" in found.stdout and "expected time: 0 s" in found.stdout
    (folder / "one.toml").write_text(TOML.replace("[2, 4]", "[1, 2]"))
    found = gradest("plan", "one.toml", folder=folder)
    assert "1 not applicable: rloo needs at least 2 samples, not 1" in found.stdout
    assert "3 to run" in found.stdout and not (folder / "results/one").exists()


def test_the_results_are_where_they_are_said_to_be(folder):
    table = bench.load(folder / "results/small")
    assert set(table["estimator"]) == {"rloo", "reinforce"}
    names = {path.name for path in (folder / "results/small").iterdir()}
    assert names >= {"config.toml", "environments.jsonl", "records-0.jsonl", "results.parquet", "results.csv"}


def test_status_compare_export_report_env(folder):
    for name in ("small", "results/small"):
        assert "4 ok, 0 left" in gradest("status", name, folder=folder).stdout
        found = gradest("compare", name, "--baseline", "reinforce", "--where", "samples == 2", folder=folder)
        assert found.returncode == 0 and "rloo" in found.stdout
        assert gradest("export", name, folder=folder).stdout == "wrote results/small/results.csv\n"
    same = gradest("compare", "small", "small", "--fail-on", "variance>10%", "--json", folder=folder)
    assert same.returncode == 0 and json.loads(same.stdout)["power"][0]["same_numbers"] == 4
    pairs = json.loads(gradest("compare", "small", "--json", folder=folder).stdout)["pairs"]
    assert {"scale_verdict", "direction", "ratio_low"} <= pairs[0].keys()
    assert gradest("report", "small", "--jobs", "1", folder=folder).stdout == "wrote results/small/report.html\n"
    assert json.loads(gradest("env", folder=folder).stdout)["torch"]


def test_samples_below_the_minimum_are_a_row_and_no_error(folder):
    (folder / "one.toml").write_text(TOML.replace("[2, 4]", "1"))
    found = gradest("run", "one.toml", "--jobs", "1", folder=folder)
    assert found.returncode == 0 and "1 not_applicable, 1 ok" in found.stdout
    table = bench.load(folder / "results/one")
    assert list(table[table["status"] == "not_applicable"]["reason"]) == ["rloo needs at least 2 samples, not 1"]


def test_a_failed_cell_is_named_and_the_exit_code_is_1(folder):
    (folder / "plugin.py").write_text(
        "from dataclasses import dataclass\n"
        "from estimators import register\n"
        "from estimators.score_function import Reinforce\n"
        "@register('mine')\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Reinforce):\n"
        "    '''Mine.'''\n"
        "    def coefficient(self, value):\n"
        "        raise RuntimeError('not today')\n"
    )
    (folder / "mine.toml").write_text(TOML.replace('"reinforce"', '"mine"').replace("[2, 4]", "2"))
    found = gradest("run", "mine.toml", "--jobs", "1", "--plugin", "plugin.py", folder=folder)
    assert found.returncode == 1 and "1 failed, 1 ok" in found.stdout
    assert "mine on quadratic_bits/bernoulli" in found.stderr and "not today" in found.stderr


def test_ctrl_c_keeps_what_is_done_and_says_how_to_continue(folder):
    with long_run(folder) as run:
        standing = json.loads(gradest("status", "results/long", "--json", folder=folder).stdout)
        assert standing["counts"]["ok"] > 3 and standing["left"] > 0 and standing["slowest"][0]["wall_s"] > 0
        assert standing["seconds_left"] > 0 and standing["said"] > "2026"
        assert "left, as the run estimated at 20" in gradest("status", "results/long", folder=folder).stdout
        second = gradest(*LONG, folder=folder)
        assert second.returncode == 2 and "another run is writing to results/long" in second.stderr
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: the workers hear it too
        _, said = run.communicate(timeout=HANG)
    assert run.returncode == 130
    assert "gradest run long.toml --jobs 1" in said and "Traceback" not in said
    assert len(set(bench.load(folder / "results/long")["cell"])) > 3


HOSTILE = "first \x1b[31mline\x07 \x9b2J \u202e \ud800"


def test_no_text_from_outside_controls_the_terminal(capsys):
    """Fault C5: in sentences, in tables, in titles and in JSON; half a character is shown too."""
    for show in (console.say, lambda text: console.out.print(rich_table(["name"], [[text]], text))):
        show(HOSTILE)
        shown = capsys.readouterr().out
        assert r"\x1b[31mline\x07 \x9b2J \u202e \ud800" in shown.replace("\n", "")
        assert all(each.isprintable() for each in shown if each != "\n")
    console.say_json({"name": HOSTILE})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"name": HOSTILE} and shown.isascii()


@pytest.mark.parametrize("closed", ["0", "1", "2"])
def test_closed_streams_are_no_bad_input(tmp_path, closed):
    """Fault C17: daemons start programs without standard streams."""
    command = f"exec {sys.executable} -m bench.cli --help {closed}>&-"
    ended = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, check=False)
    assert ended.returncode == 0 and not ended.stderr


def test_pipes_and_files_do_not_take_the_numbers_of_closed_streams():
    code = "import os; os.close(1); os.close(2); from bench.cli.entry import _with_streams; _with_streams(); "
    code += "opened = os.open('/dev/zero', os.O_RDONLY); os._exit(opened)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode > 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_output_ends_in_one_sentence():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "bench.cli", "--help"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, text=True, check=False)
    said = ended.stderr
    assert ended.returncode == 2 and said.startswith("gradest: ") and said.count("\n") == 1, said


RAISES = """
import sys
class Raises:
    def find_spec(self, name, *given):
        if "rich" in name:
            raise {error}
sys.meta_path.insert(0, Raises())
from bench.cli.entry import main
main()
"""
"""The command, where an error comes while it is imported."""


def test_ctrl_c_while_the_command_is_imported_is_one_sentence():
    """Fault C8, before anything of gradest runs but its entry point."""
    command = [sys.executable, "-c", RAISES.format(error="KeyboardInterrupt")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "gradest: interrupted\n")


def interrupted(*given, **more):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("place", "said"), [("suite_cells", "interrupted; what"), ("_measure_all", "4 left; what")])
def test_ctrl_c_before_the_first_record_is_one_true_sentence(tmp_path, monkeypatch, place, said):
    """Fault C8: while the run plans, and while the first cell is measured."""
    (tmp_path / "small.toml").write_text(TOML)
    monkeypatch.setattr(f"bench.sweeps.run.{place}", interrupted)
    ended = gradest("run", "small.toml", folder=tmp_path)
    assert ended.returncode == 130 and said in ended.stderr and "nothing was left" not in ended.stdout, ended


def process(command, folder=ROOT):
    """How a command of the shell ends, in a separate process."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return found.returncode, found.stderr


GRADEST = f"{sys.executable} -m bench.cli.entry"


def test_a_working_directory_that_was_removed_is_said(tmp_path):
    """Fault C22: torch's libraries end the process in words of their own."""
    code, said = process(f"mkdir gone && cd gone && rmdir ../gone && {GRADEST} list", tmp_path)
    assert (code, said) == (2, "gradest: the working directory was removed; change to one that exists\n")


TOO_SMALL = "gradest: the memory that this process may have (ulimit -v, a container's limit) is too small: "


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of addresses is Linux's")
def test_too_little_memory_to_load_torch_is_said():
    """Fault C22."""
    code, said = process(f"ulimit -v 200000; {GRADEST} list estimators")
    assert code == 2 and said.startswith(TOO_SMALL) and said.count("\n") == 1, said


def test_memory_that_ends_while_the_command_is_imported_is_said():
    code, said = process(f"{sys.executable} -c '{RAISES.format(error='MemoryError')}'")
    assert (code, said) == (2, f"{TOO_SMALL}MemoryError()\n")
