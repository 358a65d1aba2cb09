"""Damaged files of results: named in one warning, never read as other values."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from reports.store.schema import ADDED_IN, SCHEMA_VERSION, TRIALS
from reports.store.tables import open_store
from tests.stored_files import with_column, write_version
from tests.trial_rows import fill, trial_row
from trainables.config import LATER_FIELDS

FLIPS = 60


@pytest.mark.parametrize("compacted", [False, True])
def test_a_flipped_bit_is_damage_and_never_another_value(compacted: bool, tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    fill(store, 3 if compacted else 1)
    if compacted:
        store.compact()
    (path,) = tmp_path.glob("trials/*.parquet")
    before = store.read("trials")
    content = path.read_bytes()
    random.seed(0)
    # Each byte of the footer's end and of the first page's header, and a sample of the others.
    bits = [8 * byte for byte in (*range(40), *range(len(content) - 40, len(content)))]
    bits += random.sample(range(8 * len(content)), FLIPS)
    for bit in bits:
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rows = open_store(tmp_path).read("trials")
        if len(rows):
            pd.testing.assert_frame_equal(rows, before)
            raise AssertionError(f"bit {bit} of {path} was flipped and nothing was said")
        assert [str(warning.message).count("damaged, skipped") for warning in caught] == [1]


def test_files_without_checksums_of_an_older_version_are_read(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    fill(store, 2)
    for path in tmp_path.glob("trials/*.parquet"):
        table = pq.read_table(path).drop_columns(["threads"])
        text = pa.array(
            ["AMD EPYC 9000, 12 threads, fp32" if "t0" in path.name else None], pa.string()
        )
        table = with_column(table, "hardware", text)
        write_version(path, table, 2)
    rows = open_store(tmp_path).read("trials")
    assert rows["accuracy"].tolist() == [50, 51]
    assert rows["threads"].tolist()[0] == 12
    assert rows["threads"].isna().tolist() == [False, True]


def without(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([name])


def with_null(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: with_column(table, name, pa.nulls(len(table), TRIALS.field(name).type))


def as_text(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: with_column(table, name, pc.cast(table[name], pa.string()))


@pytest.mark.parametrize("version", [1, 2, SCHEMA_VERSION])
@pytest.mark.parametrize(
    "change",
    [
        *(without(name) for name in ("trial_id", "status", "cell", "accuracy", "width", "seed")),
        *(with_null(name) for name in ("phase", "status", "cell", "number", "accuracy", "width")),
        *(as_text(name) for name in ("accuracy", "width", "number", "started_at")),
        lambda table: with_column(table, "status", pa.array(["done"])),
        lambda table: with_column(table, "width", pa.array([4.0])),
    ],
)
def test_a_file_with_wrong_columns_is_named_and_the_rest_is_read(
    change: Callable[[pa.Table], pa.Table], version: int, tmp_path: Path
) -> None:
    store = open_store(tmp_path, create=True)
    fill(store, 3)
    path = tmp_path / "trials/t1.parquet"
    write_version(path, change(pq.read_table(path)), version)
    with pytest.warns(UserWarning, match=r"t1\.parquet: damaged, skipped \(.+\)") as caught:
        assert open_store(tmp_path).read("trials", ["loss"]).shape == (2, 1)
    assert len(caught) == 1
    again = open_store(tmp_path)
    for _ in range(2):
        with pytest.warns(UserWarning, match="damaged") as caught:
            assert again.ids() == {"t0", "t2"}
        assert len(caught) == 1


def test_a_row_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    with pytest.raises(ValueError, match="no value of accuracy where status is complete"):
        store.append(trial_row("a", accuracy=None))
    assert store.ids() == set()


def test_every_later_field_of_the_configuration_has_the_version_that_brought_its_column() -> None:
    assert set(LATER_FIELDS) <= set(ADDED_IN)
