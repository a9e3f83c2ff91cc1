"""recommend: advice for a user's own model."""

from pathlib import Path
from typing import Annotated, Any

import typer

import bench
from bench.cli.console import FAILED, INCONCLUSIVE, Json, err, out, say
from bench.cli.declaration import help_of
from bench.cli.progress import racing

SAYS = help_of("recommend")
"""The help of each option, from the function's docstring."""


def recommend(  # noqa: PLR0917 (typer reads them)
    path: Annotated[Path, typer.Argument(metavar="FILE.py", help=SAYS["path"])],
    seconds: Annotated[float, typer.Option(metavar="SECONDS", help=SAYS["seconds"])] = 60.0,
    estimators: Annotated[str | None, typer.Option(metavar="NAME,NAME,…", help=SAYS["estimators"])] = None,
    biased: Annotated[bool, typer.Option("--biased", help=SAYS["biased"])] = False,
    samples: Annotated[str, typer.Option(metavar="N,N,…", help=SAYS["samples"])] = "1,2,4,16,64",
    cost: Annotated[str, typer.Option(help="What a step costs: seconds, or calls (of the objective).")] = "seconds",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help=SAYS["seed"])] = 0,
    plugin: Annotated[list[str] | None, typer.Option(metavar="FILE.py", help=SAYS["plugin"])] = None,
    out_: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for the table, the code and the answer as JSON.")
    ] = None,
    json_: Json = False,
    along: Annotated[
        int | None, typer.Option(metavar="STEPS", help="Train so many steps; answer at the start, middle and end.")
    ] = None,
) -> None:
    """Says which estimator to use for your own distribution and objective, and how many samples.

    FILE.py defines parameters (a tensor, a dict of tensors by name, or an nn.Module), distribution(parameters), which
    returns a torch distribution, and objective, a function of z. See the folder examples.

    Exits with 3 where the answer is inconclusive: it says how many seconds would do.
    """
    from bench.advice.workers import NoAnswer

    more: dict[str, Any] = {"seconds": seconds, "biased": biased, "samples": whole_numbers(samples), "cost": cost}
    more |= {"estimators": estimators.split(",") if estimators else None, "seed": seed, "plugin": plugin or ()}
    try:
        with racing() as show:
            if along is None:
                found = bench.recommend(path, **more, show=show)
            else:
                found = bench.trajectory(path, steps=along, **more, show=show)
    except NoAnswer as error:
        say(f"gradest: {error}", err)
        raise typer.Exit(FAILED) from error
    if out_ is not None:
        say(f"wrote {found.save(out_)}", err)
    if json_:
        out.print_json(found.to_json())
    else:
        out.print(found)
    if not found.conclusive:
        raise typer.Exit(INCONCLUSIVE)


def whole_numbers(text: str) -> tuple[int, ...]:
    """`1,2,4` as numbers; raises BadInput for anything else."""
    from estimators.errors import BadInput

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise BadInput(f"--samples takes whole numbers with commas between, such as 1,2,4; found {text!r}") from None
