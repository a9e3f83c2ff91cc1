"""Command and function of a verb have the same options, with the same defaults and a sentence for each."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import bench
from bench.cli.command import command
from bench.cli.declaration import REQUIRED, declaration
from bench.cli.main import app
from bench.cli.recommend import whole_numbers

FUNCTIONS = {"list": "listing", "show": "describe", "env": "environment"}
"""Commands whose function has another name, because `bench.list` and `bench.show` would say too little."""
COMMANDS = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
SHOWING = {"quiet", "json", "open", "help"}
"""Options of the command line alone: how a result is shown."""
OBJECTS = {"parameters", "objective", "isolate"}
"""Parameters of Python alone: objects that nobody can type, and where they are called."""
OF_ADVICE = {"along", "out", "cost"}
"""Of `gradest recommend`: --along asks bench.trajectory, --out calls save; in Python a cost may be a function."""


def of_python(verb):
    """The defaults of the function's parameters by name, without those that take a function."""
    every = inspect.signature(getattr(bench, verb)).parameters.values()
    typed = [each for each in every if "Callable" not in str(each.annotation) and each.name not in OBJECTS]
    return {each.name: inspect.Parameter.empty if each.name == "path" else each.default for each in typed}


def of_command(name):
    """The defaults of the command's parameters, by the names that a user types."""
    found = {}
    for each in COMMANDS[name].params:
        typed = each.opts[0].removeprefix("--").replace("-", "_") if each.opts[0].startswith("--") else each.name
        found[typed.removesuffix("_")] = inspect.Parameter.empty if each.required else each.default
    left_out = SHOWING | (OF_ADVICE if name == "recommend" else set())
    return {key: default for key, default in found.items() if key not in left_out}


def same(python, typed):
    """Whether a default of Python and one of the command line mean the same: a list is written as a text there."""
    if isinstance(python, tuple):
        return python == (whole_numbers(typed) if isinstance(typed, str) else tuple(typed or ()))
    return python == typed or (python is None and typed is None)


def test_every_verb_is_a_command():
    verbs = {FUNCTIONS.get(name, name) for name in COMMANDS}
    assert verbs == bench.HOMES.keys() - {"load", "load_suite", "trajectory"}, "load and load_suite only return a table"


@pytest.mark.parametrize("name", COMMANDS)
def test_command_and_function_have_the_same_options(name):
    python, typed = of_python(FUNCTIONS.get(name, name)), of_command(name)
    verb = f"bench.{FUNCTIONS.get(name, name)}"
    assert python.keys() == typed.keys(), f"gradest {name} and {verb} differ in {set(python) ^ set(typed)}"
    differ = [key for key in python if not same(python[key], typed[key])]
    assert not differ, f"gradest {name} and {verb} have other defaults of {differ}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_means(name):
    silent = [each.name for each in COMMANDS[name].params if not each.help]
    assert not silent, f"say what {silent} means, under Args in the docstring of bench.{FUNCTIONS.get(name, name)}"
    assert COMMANDS[name].help


@pytest.mark.parametrize("verb", sorted(bench.HOMES.keys() - {"recommend", "trajectory"}))
def test_what_is_read_from_the_source_is_what_python_sees(verb):
    found = {each.name: inspect.Parameter.empty if each.default is REQUIRED else each.default
             for each in declaration(verb).parameters}  # fmt: skip
    assert found == of_python(verb)


def test_a_value_for_an_option_that_the_verb_does_not_have():
    with pytest.raises(TypeError, match=r"bench\.run has no parameter jbs"):
        command("run", jbs="N")


def test_help_pages_need_neither_torch_nor_pandas():
    """All pages, one after another, in a separate process."""
    code = (
        "import io, json, sys, contextlib\n"
        "from bench.cli.main import app, VERBS\n"
        "for name in ['', *(name for group in VERBS.values() for name in group)]:\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        app([name, '--help'] if name else ['--help'], standalone_mode=False)\n"
        "print(json.dumps([name for name in ('torch', 'pandas', 'numpy', 'scipy') if name in sys.modules]))\n"
    )
    root = Path(bench.__file__).parents[1]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == []
