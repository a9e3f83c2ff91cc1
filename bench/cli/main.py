"""The command `gradest`: each verb is a thin layer over the function of `bench` that does the work."""

import gc
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import typer

from bench.cli import catalogue, results, sweeps, validation
from bench.cli.audit import audit
from bench.cli.console import BAD_INPUT, INTERRUPTED, err, say
from bench.cli.declaration import unfolded
from bench.cli.recommend import recommend

VERBS: dict[str, dict[str, Callable[..., None]]] = {
    "Measure": {"plan": sweeps.plan, "run": sweeps.run, "status": sweeps.status, "collect": sweeps.collect},
    "Read the results": {"report": results.report, "compare": results.compare, "export": results.export},
    "Your own model, gradients, plug-ins": {"recommend": recommend, "audit": audit, "check": validation.check},
    "Look up": {"list": catalogue.list_, "show": catalogue.show, "env": catalogue.env, "verify": validation.verify},
}
"""The commands, in the groups of the help page."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measures which stochastic gradient estimator to use: its bias, variance and cost.",
    epilog="To start: gradest run quick, then gradest report quick --open.\n\n"
    "For your own model: gradest recommend FILE.py.",
)
for group, verbs in VERBS.items():
    for name, verb in verbs.items():
        app.command(name, help=unfolded(verb.__doc__ or ""), rich_help_panel=group)(verb)


def main() -> None:
    """Runs the command. Bad input prints one sentence, without a traceback, and exits with code 2."""
    warnings.showwarning = _note
    if sys.argv[1:2] in (["list"], ["show"]) and "gradients" not in sys.argv:
        gc.disable()  # a short process: garbage collection during the import of torch takes a tenth of its time
    try:
        app()
    except KeyboardInterrupt:
        say("gradest: interrupted", err)
        sys.exit(INTERRUPTED)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # where the output is full, what is left of it is dropped
        say(f"gradest: the system refuses: {error}", err)
        sys.exit(BAD_INPUT)
    except Exception as error:
        from estimators.errors import BadInput

        if not isinstance(error, BadInput):
            raise
        say(f"gradest: {error}", err)
        sys.exit(BAD_INPUT)


def _note(message: Any, *_place: Any, **_more: Any) -> None:
    """Prints a warning as a note, without its source location."""
    say(f"note: {message}", err)
