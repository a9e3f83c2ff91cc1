"""recommend: advice for a user's own model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

FAILED, INCONCLUSIVE = 1, 3
"""Exit codes: the model ends its process; too little was compared, or the winner is not told apart."""


def recommend(  # noqa: PLR0917 (typer reads them)
    path: Annotated[Path, typer.Argument(metavar="FILE.py", help="Defines parameters, distribution and objective.")],
    seconds: Annotated[float, typer.Option(metavar="SECONDS", help="How long to measure.")] = 60.0,
    estimators: Annotated[
        str | None, typer.Option(metavar="NAME,NAME,…", help="Estimators that race; all that fit if not given.")
    ] = None,
    biased: Annotated[bool, typer.Option("--biased", help="Let biased estimators race, too.")] = False,
    samples: Annotated[str, typer.Option(metavar="N,N,…", help="Samples per estimate to try.")] = "1,2,4,16,64",
    cost: Annotated[str, typer.Option(help="What a step costs: seconds, or calls (of the objective).")] = "seconds",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of all draws.")] = 0,
    plugin: Annotated[
        list[str] | None, typer.Option(metavar="FILE.py", help="Python file that registers plug-ins.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for the table, the code and the answer as JSON.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    along: Annotated[
        int | None, typer.Option(metavar="STEPS", help="Train so many steps; answer at the start, middle and end.")
    ] = None,
) -> None:
    """Says which estimator to use for your own distribution and objective, and how many samples.

    FILE.py defines parameters (a tensor, a dict of tensors by name, or an nn.Module), distribution(parameters), which
    returns a torch distribution, and objective, a function of z. See the folder examples.

    Exits with 3 where the answer is inconclusive: it says how many seconds would do.
    """
    from bench.advice.recommendation import recommend as recommended
    from bench.advice.trajectory import trajectory
    from bench.advice.workers import NoAnswer

    screen, notes = Console(width=None if Console().is_terminal else 200), Console(stderr=True)
    names = estimators.split(",") if estimators else None
    try:
        with _racing(notes) as show:
            more = {"seconds": seconds, "estimators": names, "biased": biased, "samples": whole_numbers(samples)}
            more |= {"cost": cost, "seed": seed, "plugin": plugin or (), "show": show}
            found = recommended(path, **more) if along is None else trajectory(path, steps=along, **more)
    except NoAnswer as error:
        notes.print(f"gradest: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(FAILED) from error
    if out is not None:
        notes.print(f"wrote {found.save(out)}", markup=False, highlight=False, soft_wrap=True)
    screen.print_json(found.to_json()) if json_ else screen.print(found)
    if not found.conclusive:
        raise typer.Exit(INCONCLUSIVE)


def whole_numbers(text: str) -> tuple[int, ...]:
    """`1,2,4` as numbers; raises BadInput for anything else."""
    from estimators.errors import BadInput

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise BadInput(f"--samples takes whole numbers with commas between, such as 1,2,4; found {text!r}") from None


@contextmanager
def _racing(console: Console) -> Iterator[Any]:
    """A progress bar on a terminal; nothing elsewhere."""
    columns = (TextColumn("racing"), BarColumn(), TextColumn("{task.fields[open]} still open"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0, open="all")
        yield lambda race: bar.update(task, completed=race.spent, open=race.open)
