"""recommend: advice for a user's own model."""

from pathlib import Path
from typing import Annotated

import typer

import bench
from bench.cli.console import out
from bench.cli.progress import racing


def recommend(  # noqa: PLR0917 (typer reads them)
    path: Annotated[Path, typer.Argument(metavar="FILE.py", help="Defines parameters, distribution and objective.")],
    seconds: Annotated[float, typer.Option(metavar="SECONDS", help="How long to measure.")] = 60.0,
    biased: Annotated[bool, typer.Option("--biased", help="Let biased estimators race, too.")] = False,
    samples: Annotated[str, typer.Option(metavar="N,N,…", help="Samples per estimate to try.")] = "1,2,4,16,64",
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of all draws.")] = 0,
    plugin: Annotated[list[str], typer.Option(metavar="FILE.py", help="Python file that registers plug-ins.")] = [],  # noqa: B006
) -> None:
    """Says which estimator to use for your own distribution and objective, and how many samples.

    FILE.py defines parameters (a tensor or a dict of tensors), distribution(parameters), which returns a torch
    distribution, and objective, a function of z. See the folder examples.
    """
    ladder = whole_numbers(samples)
    with racing() as show:
        found = bench.recommend(
            path, seconds=seconds, biased=biased, samples=ladder, seed=seed, plugin=plugin, show=show
        )
    out.print(found)


def whole_numbers(text: str) -> tuple[int, ...]:
    """`1,2,4` as numbers; raises BadInput for anything else."""
    from estimators.errors import BadInput

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise BadInput(f"--samples takes whole numbers with commas between, such as 1,2,4; found {text!r}") from None
