"""Whoever adds something to gradest and forgets a step is told which one, and what to do (see CONTRIBUTING.md)."""

import re
from pathlib import Path

import pytest

import bench
from bench.distributions import distributions
from tests.support.extending import KINDS, OWN_TESTS, ROOT, STUDIED_AS, WITHOUT_INTERVAL, forgotten

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILE = re.compile(r"\b(?:[\w.]+/)+[\w.]*|\b[A-Z]+\.md\b")
TARGET = re.compile(r"\bmake (\w+)")


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_is_forgotten(kind):
    said = forgotten(kind)
    assert not said, "\n" + "\n".join(said)


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_is_nowhere_is_told_every_step(kind):
    said = forgotten(kind, {"no_such_name"})
    assert len(said) == len(KINDS[kind].steps)
    assert all(sentence.startswith(f"{kind} 'no_such_name': ") for sentence in said)


def sentences():
    return [
        pytest.param(step.sentence, id=f"{kind} {i}") for kind, own in KINDS.items() for i, step in enumerate(own.steps)
    ]


@pytest.mark.parametrize("sentence", sentences())
def test_a_sentence_names_files_and_commands_that_are_there(sentence):
    files, targets = FILE.findall(sentence), TARGET.findall(sentence)
    assert files or targets
    assert all((ROOT / file).exists() for file in files), files
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in targets), targets


@pytest.mark.parametrize("sentence", sentences())
def test_contributing_names_the_same_places(sentence):
    """The page for people and the sentence of the test do not part."""
    for file in FILE.findall(sentence):
        if not file.startswith("tests/support/extending"):
            assert file in CONTRIBUTING or Path(file).name in CONTRIBUTING, file
    for target in TARGET.findall(sentence):
        assert f"make {target}" in CONTRIBUTING


@pytest.mark.parametrize("name", OWN_TESTS)
def test_distributions_with_tests_of_their_own_have_them(name):
    text = (ROOT / OWN_TESTS[name]).read_text(encoding="utf-8")
    assert name in text or distributions.lookup(name).__name__ in text


def test_metrics_that_are_said_to_have_no_interval_have_none():
    for run in ("reference", "exactness"):
        table = bench.load(ROOT / "results" / run)
        assert not WITHOUT_INTERVAL & set(table.loc[table.ci_low.notna(), "metric"])
    assert not WITHOUT_INTERVAL & STUDIED_AS.keys()
