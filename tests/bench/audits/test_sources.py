"""Estimates from files and commands, through the real command; whatever is wrong with them is one sentence."""

import json
import random
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.audits.arrays import load_npy
from bench.audits.children import serve_draws
from bench.audits.origins import source_of
from bench.audits.sources import ArraySource
from estimators.errors import BadInput
from tests.support.sweeps import gradest

pytestmark = pytest.mark.usefixtures("forked_workers")
ROOT = Path(__file__).parents[3]
NUMPY, JAX = ROOT / "examples/audit/evolution_strategies.py", ROOT / "examples/audit/jax_gradients.py"
PEER = ROOT / ".peers/jax/bin/python"
PLACES = "{seed} {count} {file}"
RIGHT = """
import numpy as np
exact = np.ones(2)
def draw(seed, count):
    return np.random.default_rng(seed).standard_normal((count, 2)) + 1
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with arrays: right ones, one off by 1 in a coordinate, the exact gradient."""
    rows = np.random.default_rng(0).standard_normal((3, 8192, 2))
    for name, array in {"a": rows[0] + 1, "b": rows[1] + 1, "off": rows[2] + [1, 2], "exact": np.ones(2)}.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "right.py").write_text(RIGHT)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("a.npy", "--exact", "exact.npy", "--resolution", "0.1"), 0, "draw: unbiased"),
        (("off.npy", "--exact", "exact.npy", "--rarest", "1e-3"), 1, "draw: biased"),
        (("off.npy", "--exact", "exact.npy"), 3, "draw: unclear"),
        (("a.npy", "--against", "b.npy", "--resolution", "0.1"), 0, "difference: same"),
        (("a.npy", "--against", "off.npy", "--rarest", "1e-3"), 1, "difference: differs"),
        (("a.npy",), 0, "draw: not compared"),
        (("right.py", "--resolution", "0.1"), 0, "draw: unbiased"),
    ],
)
def test_the_exit_code_says_the_verdict(folder, arguments, code, word):
    found = gradest("audit", *arguments, folder=folder)
    assert found.returncode == code and word in found.stdout, found.stdout + found.stderr


def test_json_and_a_folder(folder):
    arguments = ("a.npy", "--exact", "exact.npy", "--resolution", "0.1", "--json", "--out", "answer")
    found = gradest("audit", *arguments, folder=folder)
    assert json.loads(found.stdout)["verdict"] == "unbiased" and found.stderr == "wrote answer\n"
    assert (folder / "answer/audit.html").exists()


def test_a_file_and_a_function_and_a_command_give_the_same_answer(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "write.py").write_text(
        RIGHT + "import sys\nnp.save(sys.argv[3], draw(int(sys.argv[1]), int(sys.argv[2])))\n"
    )
    own = runpy.run_path("right.py")
    more = {"exact": own["exact"], "count": 4096, "replicates": 16_384, "resolution": 0.05}
    tables = [
        bench.audit(draw, **more).table for draw in (own["draw"], "right.py", f"{sys.executable} write.py {PLACES}")
    ]
    assert tables[0].equals(tables[1]) and tables[0].equals(tables[2])


def test_the_example_in_numpy_is_unbiased_and_as_a_command_too(tmp_path):
    own = runpy.run_path(str(NUMPY))
    assert bench.audit(own["draw"], exact=own["exact"]).verdict == "unbiased"
    command = f"{sys.executable} {NUMPY} {PLACES}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["", "exact", str(tmp_path / "exact.npy")])
        runpy.run_path(str(NUMPY), run_name="__main__")
    found = gradest("audit", command, "--exact", tmp_path / "exact.npy", folder=tmp_path)
    assert found.returncode == 0 and "draw: unbiased" in found.stdout, found.stdout + found.stderr


@pytest.mark.skipif(not PEER.exists(), reason="JAX's environment .peers/jax is missing; `make peers` makes it")
def test_the_example_in_jax_is_unbiased_and_a_swapped_baseline_is_not(tmp_path):
    subprocess.run([PEER, JAX, "exact", tmp_path / "exact.npy"], check=True)
    found = gradest("audit", f"{PEER} {JAX} {PLACES}", "--exact", tmp_path / "exact.npy", folder=tmp_path)
    assert found.returncode == 0 and "draw: unbiased" in found.stdout, found.stdout + found.stderr
    np.save(tmp_path / "wrong.npy", 1.2 * np.load(tmp_path / "exact.npy"))
    arguments = ("--exact", tmp_path / "wrong.npy", "--rarest", "1e-4")
    assert gradest("audit", f"{PEER} {JAX} {PLACES}", *arguments, folder=tmp_path).returncode == 1


FILES = {
    "hang.py": ("import time\ndef draw(seed, count):\n    time.sleep(1e6)\n", "did not give 2 estimates within 1 s"),
    "die.py": ("import os\ndef draw(seed, count):\n    os._exit(3)\n", "die.py: died with exit code 3"),
    "exact.py": (RIGHT.replace("ones(2)", "ones(3)"), "exact of exact.py has the shape [3]; [2] is right"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_wrong(tmp_path, name):
    text, said = FILES[name]
    (tmp_path / name).write_text(text)
    refused(name, "--seconds", "1", "--out", "answer", folder=tmp_path, said=said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drow = 1\n", "wrong.py must define draw, and defines no 'draw'; did you mean 'drow'\\?"),
        ("def draw(seed, count):\n    return 'a'\n", "of .*wrong.py has the dtype <U1; float32 or float64 is right"),
        ("import no_such_module\n", "wrong.py does not import: ModuleNotFoundError"),
    ],
)
def test_a_file_that_is_wrong_inside_its_process(tmp_path, text, said):
    """What runs there, here."""
    (tmp_path / "wrong.py").write_text(text)
    with pytest.raises(BadInput, match=said):
        serve_draws(str(tmp_path / "wrong.py"))(("draw", 0, 2), print)


def refused(*arguments: str, folder: Path, said: str) -> None:
    """The command ends with 2 and one sentence, and writes nothing."""
    before = sorted(folder.iterdir())
    found = gradest("audit", *arguments, folder=folder)
    assert found.returncode == 2 and found.stderr.count("\n") == 1, found.stdout + found.stderr
    assert said in found.stderr
    assert [path for path in sorted(folder.iterdir()) if path.name != "__pycache__"] == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((f"no-such-program {PLACES}",), "does not start: No such file or directory"),
        ((f"{sys.executable} -c 1/0 {PLACES}",), "ends with exit code 1: ZeroDivisionError: division by zero"),
        ((f"true {PLACES}",), "did not write the file that it was given as {file}"),
        ((f"sh -c 'sleep 1000' {PLACES}", "--seconds", "1"), "did not give 2 estimates within 1 s"),
        (("draw {seed}",), "must hold {seed}, {count}, {file}; {count} is missing"),
        ((f"draw '{PLACES}",), "cannot be split into words: No closing quotation"),
        (("draw.jl",), "draw must be a file .npy, a file .py that defines draw(seed, count), or a command with"),
        (("absent.npy",), "there is no file absent.npy"),
        (("absent.py",), "there is no file absent.py; it should define draw(seed, count)"),
        (("a.npy", "--exact", "a.npy"), "a.npy has the shape [8192, 2]; [2] is right, a number per parameter"),
        (("a.npy", "--against", "absent.npy"), "there is no file absent.npy"),
        (("a.npy", "--out", "a.npy"), "cannot write to the folder a.npy"),
    ],
)
def test_a_command_or_an_argument_that_is_wrong(folder, arguments, said):
    refused(*arguments, folder=folder, said=said)


def test_no_shell_reads_a_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"ends with exit code|did not write"):
        bench.audit(f"true $(touch evil) ; touch evil > evil & {PLACES}")
    assert not (tmp_path / "evil").exists()


def test_the_process_of_a_command_ends_with_its_children(tmp_path):
    """A command that waits for a child: after the time limit, neither is left."""
    psutil = pytest.importorskip("psutil", reason="psutil comes with the development extra")
    with pytest.raises(BadInput, match="within 1 s"):
        source_of(f"sh -c 'sleep 98765 & wait' {PLACES}", "draw", 0, 1.0)
    for process in psutil.process_iter(["cmdline"]):
        assert "98765" not in (process.info["cmdline"] or [])


def test_files_that_are_no_arrays(tmp_path):
    """An archive, an object, code, mutations of a good file: an array or one sentence."""
    np.savez(tmp_path / "archive.npz", a=np.ones(3))
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "good.npy", np.random.default_rng(0).standard_normal((300, 2)))
    for name in ("archive.npz", "object.npy"):
        with pytest.raises(BadInput, match=r"is not a \.npy file of numbers"):
            load_npy(tmp_path / name)
    good, rng = (tmp_path / "good.npy").read_bytes(), random.Random(0)
    tokens = [b"'<f8'", b"'|O'", b"(300, 2)", b"(-1, 2)", b"(10**9, 10**9)", b"__import__('os')", b"\0", b"9" * 5000]
    for _ in range(300):
        place = rng.randrange(0, 128)
        (tmp_path / "bad.npy").write_bytes(good[:place] + rng.choice(tokens) + good[place + rng.randrange(20) :])
        try:
            ArraySource(load_npy(tmp_path / "bad.npy"), "bad.npy")
        except BadInput as error:
            assert "bad.npy" in str(error)
