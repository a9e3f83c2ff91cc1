"""The folder of a run: nothing is lost, nothing is half, nothing is somebody else's."""

import contextlib
import errno
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bench.tables.folder
from bench.sweeps.cell_record import record
from bench.sweeps.planning import planned_work
from bench.tables.columns import COLUMNS, SINCE
from bench.tables.derived import derived
from bench.tables.folder import Store, environments, load, planned, stated_seconds_left
from bench.tables.long import long_rows
from bench.tables.records import parsed
from estimators.errors import BadInput
from tests.support.sweeps import finished, small_cells, suite


@pytest.fixture
def cells():
    return small_cells()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run of two cells, which nobody changes."""
    folder, cells = tmp_path_factory.mktemp("two") / "run", small_cells()
    with Store(folder) as store:
        store.begin(suite().model_dump(), {cell.id: ["accuracy"] for cell in cells[:2]})
        store.append([finished(cell, variance=2.0, evaluations=3.0) for cell in cells[:2]])
        store.finish()
    return folder


@pytest.fixture
def folder(tmp_path, two):
    """A copy of the run of two cells."""
    return Path(shutil.copytree(two, tmp_path / "run"))


def test_the_table_has_the_declared_columns_and_plain_types(folder):
    table = load(folder)
    assert list(table.columns) == list(COLUMNS)
    assert not any(dtype.kind == "O" and str(dtype) == "object" for dtype in table.dtypes)
    assert set(table["run"]) == {"run"}
    assert list(table["metric"]) == ["variance", "evaluations", "variance_per_evaluation"] * 2


def test_parquet_csv_and_records_hold_the_same_table(folder):
    whole = load(folder)
    pd.testing.assert_frame_equal(load(folder / "results.parquet"), whole)
    pd.testing.assert_frame_equal(load(folder / "results.csv"), whole)
    (folder / "results.parquet").unlink()
    pd.testing.assert_frame_equal(load(folder), whole)


def committed(folder):
    """Leaves in the folder what a repository keeps of it: the table, not the records."""
    for name in ("records-0.jsonl", "plan.json", "results.csv"):
        (folder / name).unlink()
    return load(folder)


def test_cells_measured_again_leave_the_rows_of_the_others(folder, cells):
    before = committed(folder)
    with Store(folder) as store:
        store.begin(suite().model_dump(), {cell.id: ["accuracy"] for cell in cells[:3]})
        store.append([finished(cells[1], variance=5.0, evaluations=3.0), finished(cells[2], variance=7.0)])
        store.finish()
    after = load(folder)
    assert list(dict.fromkeys(after["cell"])) == [cell.id for cell in cells[:3]]
    first = f"cell == {cells[0].id!r}"
    pd.testing.assert_frame_equal(after.query(first), before.query(first))
    assert after.loc[after["metric"] == "variance", "value"].tolist() == [2.0, 5.0, 7.0]
    pd.testing.assert_frame_equal(load(folder), after)
    (folder / "results.parquet").unlink()
    pd.testing.assert_frame_equal(load(folder), after)


def test_cells_that_the_suite_no_longer_has_leave_the_table(folder, cells):
    committed(folder)
    with Store(folder) as store:
        store.begin(suite().model_dump(), {cells[1].id: ["accuracy"]})
        store.append([finished(cells[1], variance=5.0)])
        store.finish()
    assert set(load(folder)["cell"]) == {cells[1].id}


def test_a_damaged_table_is_written_again(folder, cells):
    committed(folder)
    (folder / "results.parquet").write_bytes(b"PAR1 no more")
    with Store(folder) as store:
        store.begin(suite().model_dump(), {cell.id: ["accuracy"] for cell in cells[:2]})
        store.append([finished(cells[1], variance=5.0)])
        store.finish()
    assert set(load(folder)["cell"]) == {cells[1].id}


def test_a_table_older_than_its_records_is_not_used(folder, cells):
    with Store(folder) as store:
        store.append([finished(cells[0], variance=5.0)])
    table = load(folder)
    first = table[table["cell"] == cells[0].id]
    assert list(first["value"]) == [5.0] and set(first["attempt"]) == {2}


def test_cells_of_an_earlier_suite_stay_in_the_records_and_out_of_the_table(folder, cells):
    with Store(folder) as store:
        store.begin(suite().model_dump(), {cells[1].id: ["accuracy"]})
    assert set(load(folder)["cell"]) == {cells[1].id}


def test_a_torn_last_line_is_dropped_and_said(folder, cells):
    path = folder / "records-0.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.warns(UserWarning, match="the last line was not finished"):
        assert set(load(folder)["cell"]) == {cells[0].id}
    with Store(folder) as store:
        found = store.read()
        assert len(found.lines) == 1 and "not finished" in found.notes[0]
        store.append([finished(cells[1], variance=2.0)])
    assert set(load(folder)["cell"]) == {cells[0].id, cells[1].id}


def test_a_file_without_a_record_is_refused_with_the_number_of_its_line(folder):
    path = folder / "records-0.jsonl"
    path.write_bytes(b'{"schema": 1}\n')
    with pytest.raises(BadInput, match=r"records-0\.jsonl, line 1 is not a record of gradest"):
        load(folder)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_line_is_said_counted_and_measured_again(folder, cells, seed):
    """Fault C7: one byte of the first line changes, and the file keeps its size."""
    path, chance = folder / "records-0.jsonl", random.Random(seed)
    content = bytearray(path.read_bytes())
    at = chance.randrange(content.index(b"\n"))
    content[at] = chance.choice(list({*range(32, 127)} - {content[at]}))
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="1 of 2 lines are damaged and left out, the first: .*line 1 is"):
        assert set(load(folder)["cell"]) == {cells[1].id}
    with Store(folder) as store:
        found = planned_work(suite(), cells[:2], cells[:2], store.read())
    assert [cell.id for cell, _ in found.work] == [cells[0].id]


def test_a_line_of_an_earlier_version_has_no_checksum(folder):
    path = folder / "records-0.jsonl"
    whole = load(folder)
    path.write_text("".join("{" + line[18:] + "\n" for line in path.read_text().splitlines()))
    pd.testing.assert_frame_equal(load(folder), whole)


def test_records_of_another_version_are_kept_and_said(folder):
    path = folder / "records-0.jsonl"
    path.write_bytes(b'{"schema": 0, "cell": "old"}\n' + path.read_bytes())
    with pytest.warns(UserWarning, match="1 records of another version"):
        assert len(set(load(folder)["cell"])) == 2


def test_two_runs_on_one_folder(folder):
    with Store(folder), pytest.raises(BadInput, match="another run is writing to"), Store(folder):
        pass


def test_a_full_disk_leaves_no_half_line(folder, cells, monkeypatch):
    before = (folder / "records-0.jsonl").read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Store(folder) as store:
        monkeypatch.setattr(bench.tables.folder.os, "fsync", full)
        with pytest.raises(BadInput, match="No space left on device; earlier results are saved"):
            store.append([finished(cells[0], variance=1.0)])
    assert (folder / "records-0.jsonl").read_bytes() == before


def test_what_is_no_table_is_refused(tmp_path, folder):
    with pytest.raises(BadInput, match="there is no"):
        load(tmp_path / "absent")
    with pytest.raises(BadInput, match="holds no records"):
        load(tmp_path)
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "other.csv", index=False)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    (tmp_path / "noise.parquet").write_bytes(b"PAR1 noise")
    for name in ("other.csv", "other.parquet", "noise.parquet"):
        with pytest.raises(BadInput, match="is not a table of gradest"):
            load(tmp_path / name)
    (folder / "plan.json").write_text("[]")
    with pytest.raises(BadInput, match="is not a file of gradest"):
        planned(folder)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary(max_size=80)
    | st.sampled_from([b"null", b"[" * 5000, b'{"schema": 1e400}', b'{"schema": NaN}', b'"\\ud800"'])
)
def test_any_line_is_a_record_or_bad_input(line):
    with contextlib.suppress(BadInput):
        assert parsed(line, 1, "here") is None


def test_derived_metrics_and_their_intervals(cells):
    seconds = finished(cells[0], "throughput", seconds_per_estimate=0.5)
    seconds["measurements"][0] |= {"ci_low": 0.25, "ci_high": 1.0}
    accuracy = finished(cells[0], variance=4.0, evaluations=3.0)
    accuracy["measurements"][0] |= {"ci_low": 2.0, "ci_high": 8.0}
    frame = bench.tables.folder.long_rows(
        "run", [record | {"attempt": 1, "env": "e"} for record in (accuracy, seconds)]
    )
    measured = pd.DataFrame(frame[frame["metric"].isin(["variance", "evaluations", "seconds_per_estimate"])])
    found = derived(measured)
    values = found.set_index("metric")[["value", "ci_low", "ci_high"]]
    assert list(values.loc["estimates_per_second"]) == [2.0, 1.0, 4.0]
    assert list(values.loc["variance_per_evaluation"]) == [12.0, pytest.approx(6.0), pytest.approx(24.0)]
    # Distances log 2 and log 2 from the value combine to √2 log 2.
    spread = 2 ** np.sqrt(2)
    assert list(values.loc["work_normalised_variance"]) == [2.0, pytest.approx(2 / spread), pytest.approx(2 * spread)]


def test_a_table_of_schema_1_is_read_with_null_in_the_later_column(tmp_path):
    table = load(Path(__file__).parents[3] / "results" / "reference").head(40)
    older = table.assign(schema=1).drop(columns=[*SINCE])
    older.to_parquet(tmp_path / "older.parquet")
    found = load(tmp_path / "older.parquet")
    assert list(found.columns) == list(COLUMNS) and found.rarest_event.isna().all()
    assert found.verdict.tolist() == table.verdict.tolist()
    assert set(found.kind) == {"bits"} == set(table.kind)
    older.assign(schema=2).to_parquet(tmp_path / "torn.parquet")
    with pytest.raises(BadInput, match="it has no column 'rarest_event'"):
        load(tmp_path / "torn.parquet")
    table.assign(schema=5).to_parquet(tmp_path / "later.parquet")
    with pytest.raises(BadInput, match="its schema is 5, and this version reads 1 to 4"):
        load(tmp_path / "later.parquet")


@pytest.mark.parametrize("schema", [1, 2])
def test_a_verdict_says_the_rarest_event_that_its_estimates_show(schema):
    cell = small_cells()[0]
    relative = {"metric": "relative_bias", "value": 0.1, "ci_low": 0.0, "ci_high": 0.2, "n": 3000}
    relative |= {"method": "", "block": "all"}
    outcome = {"status": "ok", "reason": "", "verdict": "biased", "stop_reason": "budget", "replicates": 3000}
    made = record(cell, "accuracy", outcome | {"measurements": [relative, relative | {"metric": "bias"}]}, 1.0)
    found = long_rows("run", [made | {"schema": schema, "env": "here", "attempt": 1}]).set_index("metric").rarest_event
    assert np.isnan(found["bias"])
    assert np.isnan(found["relative_bias"]) if schema == 1 else found["relative_bias"] == 1e-3


@pytest.mark.parametrize("name", [".lock", "records-0.jsonl", "environments.jsonl", "run.log", "plan.json"])
def test_nothing_outside_the_folder_is_written(tmp_path, cells, name):
    """Fault C18: a link in the folder of a run, as one who can write there may put it."""
    outside = tmp_path / "outside"
    outside.write_text("kept")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(outside)
    with contextlib.suppress(BadInput), Store(tmp_path / "run") as store:
        store.log("begins")
        store.begin(suite().model_dump(), {cells[0].id: ["accuracy"]})
        store.append([finished(cells[0], variance=2.0)])
        store.finish()
    assert outside.read_text() == "kept"


@pytest.mark.parametrize("name", ["plan.json", "records-0.jsonl", "environments.jsonl", "progress.json"])
def test_a_pipe_in_place_of_a_file_is_refused(folder, name):
    """Fault C18: reading it would never end."""
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(BadInput, match=name):
        load(folder)
        environments(folder)
        stated_seconds_left(folder)
