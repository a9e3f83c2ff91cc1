"""The verb `verify`: measures the facts that are not measured yet, and writes the table and the page."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from rich.console import Group, RenderableType
from rich.text import Text

from bench.display.notebook import InNotebooks
from bench.display.terminal import frame
from bench.provenance.cores import processes
from bench.tables.where import parse
from bench.validation.facts import FACT_GROUPS, FACTS, record
from bench.validation.facts.fact import SOURCE, Fact
from bench.validation.facts.record import FactRecord
from estimators.errors import BadInput, whole_number

FACT_FILTERS = ("fact", "group", "topic", "slow")
"""Fields of a fact that `--where` can use."""

FACT_RERUNS = ("missing", "all")


@dataclass(frozen=True)
class Verified(InNotebooks):
    """The selected facts, their records, and the folder of the table and the page."""

    facts: list[Fact]
    records: dict[str, FactRecord]
    folder: Path

    @property
    def table(self) -> pd.DataFrame:
        """One row per check of the facts."""
        return record.fact_table(self.facts, self.records)

    @property
    def counts(self) -> dict[str, int]:
        """Number of facts by verdict."""
        return record.verdict_counts(self.facts, {name: each.verdict for name, each in self.records.items()})

    @property
    def failed(self) -> list[str]:
        """A line for each fact that is not reproduced."""
        return [
            f"{each.fact}: {each.reason}" for each in self.records.values() if each.verdict == record.NOT_REPRODUCED
        ]

    def __rich__(self) -> object:
        return verified_view(self)


def verify(
    out: str | Path | None = None,
    *,
    quick: bool = False,
    where: str | None = None,
    jobs: int = 1,
    rerun: str = "missing",
    seed: int = 0,
    show: Callable[[FactRecord, int], None] = lambda record, left: None,
) -> Verified:
    """Reproduces known facts about gradient estimators: taught in a course, closed forms, published results, training.

    A fact that was measured with the same source, and at least as thoroughly, is not measured again: an interrupted run
    continues where it stopped. Outcomes of facts that are not chosen stay in the folder as they were, with their date.

    Args:
        out: Folder of the table and the page. Default: results/verify, or results/verify-quick.
        quick: Measure only the facts that take seconds, with fewer draws.
        where: Measure only these facts, e.g. 'group == "course"'.
        jobs: Number of facts measured in parallel.
        rerun: Which facts are measured: missing or all.
        seed: Seed of all draws.
        show: Called with each record and the number of facts left.

    Returns:
        The selected facts with their records, table and folder.

    Raises:
        BadInput: No fact fits `where`, `rerun` is neither missing nor all, or the folder cannot be written.
    """
    if rerun not in FACT_RERUNS:
        raise BadInput(f"there is no --rerun {rerun!r}; it is one of {', '.join(FACT_RERUNS)}")
    workers = processes(jobs)
    whole_number(0, "seed", seed)
    folder, facts = Path(out or ("results/verify-quick" if quick else "results/verify")), chosen_facts(where)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = record.read_fact_records(folder / "records.jsonl")
    except OSError as error:
        raise BadInput(f"cannot write to the folder {folder}: {error.strerror}") from None
    records = (
        {} if rerun == "all" else {each.name: known[each.name] for each in facts if valid(each, known, quick, seed)}
    )
    work = [each for each in facts if each.name not in records and not (quick and each.slow) and not each.lacking]
    for left, found in zip(range(len(work) - 1, -1, -1), fact_records(work, seed, quick, workers), strict=True):
        record.append(folder / "records.jsonl", found)
        records[found.fact] = found
        show(found, left)
    verified = Verified(facts, {each.name: records[each.name] for each in facts if each.name in records}, folder)
    others = {each.name: known[each.name] for each in FACTS.values() if valid(each, known, quick, seed)}
    chosen = {each.name for each in facts if not (quick and each.slow)}
    write(Verified(list(FACTS.values()), others | verified.records, folder), chosen)
    return verified


def chosen_facts(where: str | None) -> list[Fact]:
    """Returns the facts that fit the filter, in the order of the catalogue. Raises BadInput if there are none.

    >>> [each.name for each in chosen_facts("topic == 'one bit'")][:2]
    ['reinforce_on_a_bit', 'constant_baseline_on_a_bit']
    """
    picked = parse(where, FACT_FILTERS) if where else lambda facts: True
    found = [
        each
        for each in FACTS.values()
        if picked({"fact": each.name, "group": each.group, "topic": each.topic, "slow": each.slow})
    ]
    if not found:
        raise BadInput(f"--where: no fact fits {where!r}; the groups are {', '.join(FACT_GROUPS)}")
    return found


def valid(fact: Fact, known: dict[str, FactRecord], quick: bool, seed: int) -> bool:
    """Returns True if the fact's record has the present source, the same seed and at least the same thoroughness."""
    found = known.get(fact.name)
    if found is None:
        return False
    return found.digest == SOURCE and (quick or not found.quick) and found.seed in (seed, seed + found.retested)


def fact_records(work: list[Fact], seed: int, quick: bool, jobs: int) -> Iterator[FactRecord]:
    """Yields the facts' records as they finish, measured by `jobs` processes."""
    if jobs == 1 or len(work) < 2:
        yield from (record.examined(each, seed, quick) for each in work)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        tasks = [pool.submit(by_name, each.name, seed, quick) for each in work]
        yield from (task.result() for task in as_completed(tasks))


def by_name(name: str, seed: int, quick: bool) -> FactRecord:
    """Measures a fact by its name in a worker process, because facts cannot be pickled."""
    return record.examined(FACTS[name], seed, quick)


def write(verified: Verified, chosen: set[str]) -> None:
    """Writes the table as CSV, the tables of the facts' rows, and the pages with their figures.

    What the folder has of facts that are neither recorded nor `chosen` is kept.
    """
    from bench.validation.facts.arguments import arguments_page
    from bench.validation.facts.earlier import earlier_rows, with_earlier, write_facts
    from bench.validation.facts.page import facts_page

    path = verified.folder / "facts.csv"
    groups = {each.name: each.group for each in verified.facts}
    left = groups.keys() - verified.records.keys() - chosen
    others = {name: rows for name, rows in earlier_rows(path).items() if name in left}
    write_facts(verified.table, others, path)
    recorded = [verified.records[name] for name in groups if name in verified.records]
    for name, rows in record.kept(recorded).items():
        whole = with_earlier(rows, verified.folder / f"{name}.csv", others, groups)
        if whole is not None:
            whole.to_csv(verified.folder / f"{name}.csv", index=False, float_format="%.7g")
    facts_page(verified.facts, verified.records, verified.folder, others)
    arguments_page(verified.records, verified.folder)


def verified_view(found: "Verified") -> RenderableType:
    """Returns the number of facts by group and verdict, and the facts not reproduced, with their numbers."""
    counts = found.table.drop_duplicates("fact").groupby(["group", "verdict"], sort=False).size().unstack(fill_value=0)
    return Group(
        frame(counts.reset_index(), f"facts, in {found.folder}"), *(Text(line, style="red") for line in found.failed)
    )
