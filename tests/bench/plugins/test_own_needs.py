"""A plug-in with its own need: measured where it is offered, refused where it is not, checked and shown."""

import json

import pytest

import bench
from tests.support.forked import gradest_forked
from tests.support.plugins import plugins_forgotten
from tests.support.sweeps import gradest

PLUGIN = '''
from dataclasses import dataclass

from torch.distributions import Independent, Normal

from bench.distributions import distributions
from bench.distributions.normal import NormalFamily
from bench.objectives import Target, objectives
from estimators import Function, Need, Traits, register
from estimators.pathwise import Reparameterisation


def cases():
    from estimators.checks.cases import GAUSSIAN, Case, of_line

    return [Case("audited normal", audited, GAUSSIAN, Function(of_line))]


AUDITED = Need("AUDITED", "draws that were audited", cases=cases)
ASKED = Need("ASKED", "an objective that may be asked twice")


class AuditedNormal(Normal):
    offers = frozenset({AUDITED})


def audited(loc, scale):
    return Independent(AuditedNormal(loc, scale, validate_args=False), 1, validate_args=False)


@register("audited_path")
@dataclass(frozen=True)
class AuditedPath(Reparameterisation):
    """A path through draws that were audited."""

    traits = Traits(unbiased=True, needs=Reparameterisation.traits.needs | {AUDITED}, paper="ours")


@register("asking_path")
@dataclass(frozen=True)
class AskingPath(Reparameterisation):
    """A path through an objective that may be asked twice."""

    traits = Traits(unbiased=True, needs=frozenset({Need.REPARAMETERISED, ASKED}), paper="ours")


@distributions.register("audited_normal")
@dataclass(frozen=True)
class AuditedNormalFamily(NormalFamily):
    """Normals that were audited."""

    offers = frozenset({AUDITED})


@objectives.register("twice")
@dataclass(frozen=True)
class Twice(Target):
    """A sum of squares that may be asked twice, and says that it has no derivative."""

    used_by, separable = "nobody", True
    offers, offers_not = frozenset({ASKED}), frozenset({Need.DIFFERENTIABLE})

    def terms(self, z):
        return z.square()
'''
SUITE = """
samples = 2
metrics = ["accuracy"]
estimators = ["audited_path", "asking_path"]
accuracy = { max_replicates = 1024 }
[[problems]]
distribution = [{ name = "audited_normal", size = 2 }, { name = "normal", size = 2 }]
objective = ["quadratic", "twice"]
"""


@pytest.fixture
def folder(tmp_path, forked_workers):
    """A folder with the plug-in, which each test loads again: here, and in workers that have not seen it."""
    (tmp_path / "audited.py").write_text(PLUGIN)
    (tmp_path / "suite.toml").write_text(SUITE)
    with plugins_forgotten():
        yield tmp_path


def test_a_run_measures_where_the_need_is_offered_and_says_so_elsewhere(folder):
    bench.run(folder / "suite.toml", folder / "out", plugin=folder / "audited.py", jobs=1)
    records = [json.loads(line) for line in (folder / "out/records-0.jsonl").read_text().splitlines()]
    ended = {(each["estimator"], each["distribution"], each["objective"]): each for each in records}
    ok = {("audited_path", "audited_normal", "quadratic")} | {
        ("asking_path", family, "twice") for family in ("audited_normal", "normal")
    }
    assert {key for key, each in ended.items() if each["status"] == "ok"} == ok
    said = {key: each["reason"] for key, each in ended.items() if each["status"] == "not_applicable"}
    assert len(said) == 8 - len(ok)
    assert said["audited_path", "normal", "quadratic"] == "audited_path needs draws that were audited"
    assert said["asking_path", "normal", "quadratic"] == "asking_path needs an objective that may be asked twice"
    assert said["audited_path", "audited_normal", "twice"] == (
        "audited_path needs an objective that is differentiable in z wherever q has mass"
    )


def test_the_checks_try_it_on_the_needs_own_problems(folder):
    found = gradest("check", "audited.py:AuditedPath", folder=folder)
    assert found.returncode == 0 and "failed" not in found.stdout, found.stdout
    broken = PLUGIN.replace(
        'paper="ours")\n\n\n@register("asking',
        (
            'paper="ours")\n\n    def surrogate(self, q, f, n):\n        return super().surrogate(q, f, n) * 0.7\n\n\n'
            '@register("asking'
        ),
    )
    (folder / "audited.py").write_text(broken)
    with plugins_forgotten():
        found = gradest("check", "audited.py:AuditedPath", folder=folder)
    assert found.returncode == 1 and "audited normal: the mean of" in found.stdout, found.stdout


def test_a_need_without_problems_says_what_the_checks_lack(folder):
    found = gradest("check", "audited.py:AskingPath", folder=folder)
    assert found.returncode == 1
    said = " ".join(found.stdout.replace("│", " ").split())
    assert "so nothing can be checked: it needs an objective that may be asked twice" in said, found.stdout
    assert "give Need('ASKED', …) its cases=, problems that meet it" in said, found.stdout


def test_show_and_list_tell_of_it(folder):
    shown = gradest_forked("show", "audited_path", "--plugin", "audited.py", folder=folder).stdout
    assert "draws that were audited (AUDITED of gradest_plugin_audited)" in shown
    runs = " ".join(shown.partition("Runs with")[2].split())
    assert runs.startswith("audited_normal: ") and " quadratic," in runs and " normal" not in runs
    listed = gradest_forked("list", "needs", "--plugin", "audited.py", folder=folder).stdout
    assert "AUDITED" in listed and "DENSITY" in listed and "gradest_plugin_audited" in listed


def test_a_mistyped_need_ends_with_its_sentence(folder):
    (folder / "audited.py").write_text(PLUGIN.replace("Need.DIFFERENTIABLE", "Need.DIFERENTIABLE"))
    found = gradest_forked("run", "suite.toml", "--plugin", "audited.py", folder=folder)
    assert found.returncode == 2 and "Traceback" not in found.stderr
    assert "there is no need 'DIFERENTIABLE'; did you mean 'DIFFERENTIABLE'?" in found.stderr
    (folder / "audited.py").write_text(PLUGIN.replace("offers = frozenset({AUDITED})", "offers = {'AUDITID'}"))
    found = gradest_forked("run", "suite.toml", "--plugin", "audited.py", folder=folder)
    assert found.returncode == 2 and "Traceback" not in found.stderr
    assert "offers of AuditedNormalFamily contains 'AUDITID', which is not a need" in found.stderr
    assert "did you mean 'AUDITED'?" in found.stderr
