"""Time and memory of the verbs on large tables: `python -m tests.perf.large_tables 10000 100000 1000000`.

Each table repeats the measured cells of the committed sweep with other seeds until it has so many cells. Each verb runs
in its own process, whose peak memory is that of the verb.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from bench.tables.parts import open_files

COMMITTED = Path("results/reference/results.parquet")
VERBS = {
    "load a part": "bench.load(path, columns=['cell', 'estimator', 'metric', 'value'],"
    " where='estimator == \"rloo\" and samples == 4')",
    "compare": "bench.compare(path)",
    "compare a part": "bench.compare(path, where='seed < 10')",
    "plan": "bench.plan(path.with_suffix('.toml'))",
    "report of a part": "bench.report(path, path.with_suffix('.html'), where='seed == 3', jobs=1)",
}
COPIES_AT_ONCE = 64


def write_large_table(path: Path, cells: int) -> int:
    """Writes the committed table, repeated with other seeds, with at least so many cells; returns its rows."""
    content = open_files([COMMITTED]).to_table(filter=pc.field("metric").is_valid())
    place = content.schema.get_field_index("cell")
    content = content.set_column(place, "cell", content["cell"].dictionary_encode()).unify_dictionaries()
    names = content["cell"].chunk(0).dictionary.to_pylist()
    copies = -(-cells // len(content["cell"].unique()))
    rows = 0
    with pyarrow.parquet.ParquetWriter(path, content.schema.remove_metadata()) as writer:
        for first in range(0, copies, COPIES_AT_ONCE):
            some = [_copy(content, names, copy) for copy in range(first, min(first + COPIES_AT_ONCE, copies))]
            table = pa.concat_tables(some).unify_dictionaries().replace_schema_metadata()
            writer.write_table(table)
            rows += len(table)
    return rows


def write_large_suite(path: Path, cells: int) -> None:
    """Writes a suite of so many cells: five estimators on four problems, with many numbers of samples."""
    path.write_text(f"""
samples = {list(range(2, 2 + -(-cells // 20)))}
metrics = ["accuracy"]
estimators = ["rloo", "reinforce", "moving_average", "self_critical", "muprop"]
[[problems]]
distribution = {{ name = "bernoulli", size = [2, 3, 4, 5] }}
objective = "quadratic_bits"
""")


def _copy(content: pa.Table, names: list[str], copy: int) -> pa.Table:
    """The table with other cell ids and another seed."""
    own = pa.array([f"{int(name, 16) + copy:016x}"[-16:] if copy else name for name in names])
    cells = [pa.DictionaryArray.from_arrays(chunk.indices, own) for chunk in content["cell"].chunks]
    content = content.set_column(content.schema.get_field_index("cell"), "cell", pa.chunked_array(cells))
    seed = pa.array([copy] * len(content), pa.int64())
    return content.set_column(content.schema.get_field_index("seed"), "seed", seed)


def measured(code: str, path: Path) -> str:
    """Runs one verb on a table in its own process; its seconds and peak memory."""
    script = (
        "import resource, time, bench\nfrom pathlib import Path\n"
        f"path = Path({str(path)!r})\nbench.load, bench.compare, bench.report\nstart = time.perf_counter()\n"
        f"found = {code}\nseconds = time.perf_counter() - start\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20\n"
        "print(f'{seconds:8.1f} s {peak:6.2f} GiB')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=False)
    return done.stdout.strip() or (done.stderr.strip().splitlines() or ["no output"])[-1]


def main() -> None:
    """Prints a line per size and verb."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", type=int, nargs="+")
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=list(VERBS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    for cells in options.cells:
        path = options.folder / f"large-{cells}.parquet"
        if not path.exists():
            print(f"{cells:>9} cells: {write_large_table(path, cells)} rows", flush=True)
        write_large_suite(path.with_suffix(".toml"), cells)
        for verb in options.verbs:
            print(f"{cells:>9} cells  {verb:<18}{measured(VERBS[verb], path)}", flush=True)


if __name__ == "__main__":
    main()
