"""Plug-ins: files and installed packages, good and bad; all three kinds; in workers too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.catalogue.listing import REGISTRIES
from bench.plugins.files import load_files
from bench.tables.folder import load
from estimators.discovery import unfinished
from estimators.errors import BadInput
from tests.support.forked import gradest_forked
from tests.support.plugins import plugins_forgotten
from tests.support.sweeps import TOML, gradest

ROOT = Path(__file__).parents[3]
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "more-gradients"
version = "0.3"
[project.entry-points."gradest.estimators"]
halved = "more_gradients:Halved"
rloo = "more_gradients:Halved"
unfinished = "more_gradients:Unfinished"
absent = "more_gradients.absent:Nothing"
[project.entry-points."gradest.distributions"]
fair_bits = "more_gradients:FairBits"
[project.entry-points."gradest.objectives"]
count = "more_gradients:Count"
"""
PACKAGE = '''
"""An estimator, a distribution and an objective from elsewhere."""

from dataclasses import dataclass

import torch

from bench.distributions.bernoulli import BernoulliFamily
from bench.objectives import Target
from estimators import Estimator, Traits
from estimators.score_function import ScoreFunction


@dataclass(frozen=True)
class Halved(ScoreFunction):
    """Half of what it should be."""

    traits = Traits(unbiased=False)
    share: float = 0.5

    def coefficient(self, value):
        return self.share * value


class Unfinished(Estimator):
    pass


@dataclass(frozen=True)
class FairBits(BernoulliFamily):
    """Bits at one half."""

    def theta(self, point, coordinates):
        return {"logits": torch.zeros(self.size, dtype=torch.float64)}


@dataclass(frozen=True)
class Count(Target):
    """The number of ones."""

    used_by = "nobody"
    separable = True

    def terms(self, z):
        return z
'''
SUITE = """
samples = 2
metrics = ["accuracy"]
estimators = ["rloo", { name = "halved", share = [0.5, 1.0] }]
accuracy = { max_replicates = 1024 }
[[problems]]
distribution = { name = "fair_bits", size = 3 }
objective = "count"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package, really installed by pip."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "more_gradients").mkdir()
    (source / "more_gradients/__init__.py").write_text(PACKAGE)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", target, source]
    subprocess.run([sys.executable, "-m", "pip", "install", *options], check=True)
    return target


def test_an_installed_package_is_listed_with_what_is_wrong_with_it(installed, tmp_path):
    found = gradest_forked("list", "estimators", packages=[installed], folder=tmp_path)
    assert found.returncode == 0 and "halved" in found.stdout
    said = " ".join(found.stderr.split())
    assert (
        "estimator absent of more-gradients 0.3: ModuleNotFoundError: No module named 'more_gradients.absent'" in said
    )
    assert (
        "estimator unfinished of more-gradients 0.3: estimator 'unfinished' cannot be registered: Unfinished is not"
        in said
    )
    assert "estimator rloo of more-gradients 0.3: its entry point is called 'rloo', but it registers" in said


def test_an_installed_package_is_measured_in_workers(installed, tmp_path):
    (tmp_path / "suite.toml").write_text(SUITE)
    found = gradest_forked("run", "suite.toml", "--jobs", "1", packages=[installed], folder=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "3 ok" in found.stdout
    lines = (tmp_path / "results/suite/records-0.jsonl").read_text().splitlines()
    records = {json.loads(line)["estimator_params"]: json.loads(line) for line in lines}
    plugins = "more_gradients.FairBits more_gradients.Count"
    assert records["{}"]["plugin"] == plugins
    assert records['{"share":0.5}']["plugin"] == f"more_gradients.Halved {plugins}"
    scale = {each["metric"]: each["value"] for each in records['{"share":0.5}']["measurements"]}["scale"]
    assert abs(scale - 0.5) < 0.2


@pytest.mark.usefixtures("forked_workers")
def test_a_changed_source_is_stale_and_measured_again_when_asked(tmp_path):
    def said(*command):
        """With the plug-in as it is now, here and in workers."""
        with plugins_forgotten():
            return gradest(*command, folder=tmp_path).stdout

    plugin = (
        "from dataclasses import dataclass\nfrom estimators import register\n"
        "from estimators.score_function import Reinforce\n"
        "@register('changing')\n@dataclass(frozen=True)\n"
        "class Changing(Reinforce):\n    '''It changes.'''\n\n    number = 1\n"
    )
    suite = TOML.replace('"reinforce"', '"changing"').replace("[2, 4]", "2")
    (tmp_path / "suite.toml").write_text(suite)
    run = ("run", "suite.toml", "--jobs", "1", "--plugin", "plugin.py")
    (tmp_path / "plugin.py").write_text(plugin)
    assert "2 ok" in said(*run)
    (tmp_path / "plugin.py").write_text(plugin.replace("number = 1", "number = 2"))
    assert "2 done, 1 stale" in said("plan", *run[1:], "--out", "results/suite")
    assert "results/suite: 1 ok" in said(*run, "--rerun", "stale")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import absent_module", "does not import: ModuleNotFoundError"),
        ("1 +", "does not import: SyntaxError"),
        ("raise SystemExit(0)", "does not import: SystemExit"),
        ("from estimators import register\n@register('rloo')\nclass A: pass", "A is not a dataclass"),
        (
            "from dataclasses import dataclass\nfrom estimators import register\n"
            "from estimators.score_function import Reinforce\n@register('rloo')\n@dataclass(frozen=True)"
            "\nclass A(Reinforce): pass",
            "name 'rloo' is registered twice: by estimators.score_function.LeaveOneOut and by gradest_plugin_faulty.A",
        ),
        (
            "from dataclasses import dataclass\nfrom estimators import register, Estimator\n"
            "@register('a')\n@dataclass(frozen=True)\nclass A(Estimator): pass",
            "A does not define surrogate",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(tmp_path, text, said):
    (tmp_path / "faulty.py").write_text(text)
    (tmp_path / "good.toml").write_text(TOML)
    found = gradest("run", "good.toml", "--plugin", "faulty.py", folder=tmp_path)
    assert found.returncode == 2 and said in " ".join(found.stderr.split()), found.stderr


@pytest.mark.parametrize("name", ["half \ud800", "line\nbreak", "\x1b[2J", "turned \u202e", "", " ", "x" * 1001])
@pytest.mark.parametrize("kind", REGISTRIES)
def test_a_name_that_does_not_print_is_refused(kind, name):
    """It stands in tables, pages and terminals."""
    registry = REGISTRIES[kind]
    _, some = next(iter(registry))
    with pytest.raises(BadInput, match=r"cannot be registered: a name is a text of .* which print$") as refused:
        registry.register(name)(some)
    assert str(refused.value).isprintable() and name not in registry.available()


def test_files_and_folders_whose_names_are_no_text(tmp_path):
    """As another encoding writes them: a plug-in and a suite run, a folder is refused before anything is measured."""
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / f"{name}.py").write_text(
        "from dataclasses import dataclass\nfrom estimators import register\n"
        "from estimators.score_function import Reinforce\n"
        "@register('mine')\n@dataclass(frozen=True)\nclass Mine(Reinforce):\n    'Mine.'\n"
    )
    (tmp_path / f"{name}.toml").write_text(TOML.replace('"reinforce"', '"mine"').replace("[2, 4]", "2"))
    run = ("run", f"{name}.toml", "--jobs", "1", "--plugin", f"{name}.py")
    refused = gradest_forked(*run, folder=tmp_path)
    said = "gradest: the name of the folder results/caf\\udce9 has characters that do not print; choose another\n"
    assert (refused.returncode, refused.stderr) == (2, said)
    found = gradest_forked(*run, "--out", "out", folder=tmp_path)
    assert found.returncode == 0 and "out: 2 ok" in found.stdout, found
    assert set(load(tmp_path / "out")["plugin"]) == {"", "gradest_plugin_caf\\udce9.Mine"}


def test_two_files_of_one_name(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "twin.py").write_text("")
    load_files([str(tmp_path / "a/twin.py")])
    load_files([str(tmp_path / "a/twin.py")])
    with pytest.raises(BadInput, match="two plug-in files have the same name"):
        load_files([str(tmp_path / "b/twin.py")])


def test_what_a_class_lacks_is_said():
    assert unfinished(3) == "3 is not a class"
