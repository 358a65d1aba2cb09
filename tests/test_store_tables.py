"""The results' tables: written whole, read once, compacted without loss."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports.store.schema import SCHEMA_VERSION
from reports.store.tables import Store, open_store
from tests.stored_files import write_version
from tests.trial_rows import fill, trial_row
from trainables.atomic_write import atomic_write
from trainables.errors import InputError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "results", create=True)


@pytest.mark.parametrize("compacted", [False, True])
def test_what_is_appended_is_read(store: Store, compacted: bool) -> None:
    fill(store)
    if compacted:
        store.compact()
    trials, epochs = store.read("trials"), store.read("epochs", ["trial_id", "epoch", "loss"])
    assert trials["trial_id"].tolist() == ["t0", "t1", "t2", "t3", "t4"]
    assert trials["accuracy"].tolist() == [50, 51, 52, 53, 54]
    assert len(epochs) == 15
    assert len(store.read("evaluations")) == 5
    assert len(store.read("epochs", trial_ids=["t1", "t3"])) == 6


def test_appending_again_replaces(store: Store) -> None:
    fill(store)
    fill(store)
    assert len(store.read("trials")) == 5
    assert len(store.read("epochs")) == 15


def test_a_trial_that_ran_again_counts_once_with_its_newer_rows(store: Store) -> None:
    fill(store)
    store.compact()
    again = trial_row("t2", number=2, accuracy=99.0)
    store.append(again, [{"epoch": 1, "loss": 7.0}])
    for _ in range(2):
        trials = store.read("trials").set_index("trial_id")
        assert len(trials) == 5
        assert trials.loc["t2", "accuracy"] == 99.0
        assert store.read("epochs", trial_ids=["t2"])["loss"].tolist() == [7.0]
        store.compact()


def test_rows_without_their_trial_are_not_read_and_not_compacted(store: Store) -> None:
    fill(store)
    Path(store.root, "trials/t2.parquet").unlink()  # as if killed just before the commit
    assert len(store.read("epochs")) == 12
    store.compact()
    assert len(store.read("epochs")) == 12


@pytest.mark.parametrize("cut", range(8))
def test_a_compaction_cut_short_anywhere_loses_and_doubles_nothing(
    store: Store, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, trials=2)
    store.compact()
    fill(store, trials=4)
    before = [store.read(table) for table in ("trials", "epochs", "evaluations")]
    steps = 0

    def step(do):  # type: ignore[no-untyped-def]
        def done(*args, **kwargs):  # type: ignore[no-untyped-def]
            nonlocal steps
            if steps == cut:
                raise KeyboardInterrupt
            steps += 1
            return do(*args, **kwargs)

        return done

    class Cut:
        """A file system on which the process dies at one of its changes."""

        def __init__(self, real: pa.fs.FileSystem) -> None:
            self.real = real
            self.delete_file = step(real.delete_file)

        def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
            return getattr(self.real, name)

    real = store.filesystem
    monkeypatch.setattr(store, "filesystem", Cut(real))
    monkeypatch.setattr("reports.store.files.atomic_write", step(atomic_write))
    with pytest.raises(KeyboardInterrupt):
        store.compact()
    monkeypatch.undo()

    def same() -> None:
        for table, old in zip(("trials", "epochs", "evaluations"), before, strict=True):
            keys = ["trial_id", "epoch"] if table == "epochs" else ["trial_id"]
            new = store.read(table).sort_values(keys, ignore_index=True)
            pd.testing.assert_frame_equal(new, old.sort_values(keys, ignore_index=True))

    same()
    store.compact()
    same()
    assert len(store._reader.found("trials")) == 1


@pytest.mark.parametrize("content", [b"", b"PAR1 nonsense", None])
def test_a_damaged_file_is_named_and_the_rest_is_read(store: Store, content: bytes | None) -> None:
    fill(store)
    path = Path(store.root, "trials/t2.parquet")
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    with pytest.warns(UserWarning, match=r"t2\.parquet: damaged"):
        assert store.ids() == {"t0", "t1", "t3", "t4"}
    with pytest.warns(UserWarning, match="damaged"):
        store.compact()
    assert path.exists()


def test_an_older_schema_is_read_with_nulls_for_what_it_lacks(store: Store) -> None:
    fill(store)
    path = Path(store.root, "trials/t1.parquet")
    write_version(path, pq.read_table(path).drop_columns(["device_memory", "workers"]), 1)
    row = store.read("trials").set_index("trial_id").loc["t1"]
    assert row["status"] == "complete"
    assert pd.isna(row["workers"])


def test_a_newer_schema_is_refused(store: Store) -> None:
    fill(store)
    path = Path(store.root, "trials/t1.parquet")
    write_version(path, pq.read_table(path), SCHEMA_VERSION + 1)
    with pytest.raises(InputError, match="newer version"):
        store.read("trials")


def test_a_missing_folder_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such results"):
        open_store(tmp_path / "nothing")


def test_an_unknown_column_is_an_error_and_writes_nothing(store: Store) -> None:
    with pytest.raises(ValueError, match="acuracy"):
        store.append(trial_row("a", acuracy=1.0))
    assert store.ids() == set()


def test_duckdb_polars_and_pandas_read_the_files_with_a_glob(store: Store) -> None:
    fill(store)
    query = "select count(*), max(accuracy) from read_parquet('{}/trials/*.parquet')"
    assert duckdb.sql(query.format(store.root)).fetchall() == [(5, 54.0)]
    assert polars.read_parquet(f"{store.root}/trials/*.parquet")["accuracy"].max() == 54.0
    store.compact()
    assert duckdb.sql(query.format(store.root)).fetchall() == [(5, 54.0)]
    assert polars.read_parquet(f"{store.root}/trials/*.parquet").height == 5
    assert len(pd.read_parquet(f"{store.root}/epochs")) == 15


def test_any_file_system_of_pyarrow_will_do() -> None:
    store = Store(pa.fs._MockFileSystem(), "bucket/results", "mock")
    fill(store)
    store.compact()
    fill(store, trials=7)
    assert len(store.read("trials")) == 7
    assert len(store.read("epochs")) == 21
