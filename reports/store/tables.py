"""The results: three Parquet tables under one root, on any file system that pyarrow knows.

    ROOT/trials/*.parquet        one row for each finished trial, written last: it commits the trial
    ROOT/epochs/*.parquet        one row for each epoch of a trial
    ROOT/evaluations/*.parquet   one row for each (trial, data set, split, protocol)

Accuracies are percentages (0 to 100). A trial that has just ended is a file of its own in every
table, named by its id, so that writing it again changes nothing. Compaction merges such files.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs

from reports.store import compaction, parquet
from reports.store.configs import with_columns, with_values
from reports.store.files import Files, StoreError, open_files
from reports.store.reading import Reader, is_single
from reports.store.schema import TABLES

_MANY = 64
"""Trials in files of their own before they are merged. Each file that is read takes about as long,
so thousands of trials are read fastest where merged files and single ones are about as many."""


def open_store(root: str | Path, create: bool = False) -> Store:
    """The results under ``root``, a path or a URI (``s3://``, ``gs://``, ...).

    Raises:
        InputError: ``root`` is malformed, not allowed or not a folder; or it holds no results and
            ``create`` is false.
        StoreError: the object store is out of reach.
    """
    return Store(*open_files(root, create), str(root))


class Store(Files):
    """Appends to, reads and compacts one set of results.

    One process writes at a time (`study.lock` sees to that); any number may read meanwhile.
    """

    def __init__(self, filesystem: pa.fs.FileSystem, root: str, uri: str) -> None:
        super().__init__(filesystem, root, uri)
        self._reader = Reader(self)
        self._recent: dict[str, dict[str, pa.Table]] = {table: {} for table in TABLES}
        """The rows of each trial that was appended and not merged yet, for each table."""

    def append(
        self,
        trial: Mapping[str, Any],
        epochs: Iterable[Mapping[str, Any]] = (),
        evaluations: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Record one finished trial; its row in ``trials`` comes last and commits the others.

        Doing it again with the same id replaces the same files.

        Raises:
            ValueError: a row has a column that its table lacks, or lacks a value that it must have.
            StoreError: the file system refused; the trial is then not recorded.
        """
        trial_id = trial["trial_id"]
        self._write_rows("epochs", trial_id, [{**row, "trial_id": trial_id} for row in epochs])
        self._write_rows(
            "evaluations", trial_id, [{**row, "trial_id": trial_id} for row in evaluations]
        )
        self._write_rows("trials", trial_id, [trial])
        if len(self._recent["trials"]) > 4 * _MANY:  # Nobody compacts: do not fill the memory.
            self._forget_recent()

    def _write_rows(self, table: str, trial_id: str, rows: list[Mapping[str, Any]]) -> None:
        schema = TABLES[table]
        unknown = {key for row in rows for key in row} - set(schema.names)
        if unknown:
            raise ValueError(f"{table}: no such columns: {', '.join(sorted(unknown))}")
        if not rows:
            self._recent[table].pop(trial_id, None)
            return
        group = pa.Table.from_pylist([with_columns(row) for row in rows], schema=schema)
        parquet.check_rows(table, group)
        scratch = io.BytesIO()
        parquet.write(table, [group], scratch, is_small=True)
        self.write_bytes(f"{table}/{trial_id}.parquet", scratch.getvalue())
        self._recent[table][trial_id] = group

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        trial_ids: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """One table as a data frame, every row once, of finished trials only.

        Args:
            table: ``trials`` (sorted by id), ``epochs`` or ``evaluations``.
            columns: the columns to read; default all of the schema's.
            trial_ids: the trials whose rows to read; default all.

        Raises:
            InputError: a file was written by a newer version of this tool.
            StoreError: the file system is out of reach.
        """
        schema = TABLES[table]
        columns = list(columns if columns is not None else schema.names)
        keep = None if trial_ids is None else pa.array(sorted(trial_ids), pa.string())
        if table != "trials":
            committed = pa.array(sorted(self.ids()), pa.string())
            keep = committed if keep is None else keep.filter(pc.is_in(keep, committed))
        parts = self._reader.parts(table, columns)
        wanted = list(dict.fromkeys(["trial_id", *columns]))
        empty = pa.schema([schema.field(name) for name in wanted]).empty_table()
        rows = pa.concat_tables([part.rows for part in parts]) if parts else empty
        if keep is not None:
            present = pc.unique(rows["trial_id"])
            if not pc.all(pc.is_in(present, keep)).as_py():
                rows = rows.filter(pc.is_in(rows["trial_id"], keep))
        if table == "trials":
            rows = rows.sort_by("trial_id")
        return with_values(rows.select(columns).to_pandas())

    def ids(self) -> set[str]:
        """The ids of all recorded trials, whatever their status.

        Raises:
            InputError, StoreError: as `read`.
        """
        return self._reader.trial_ids("trials")

    def compact(self) -> None:
        """Merge each table's files into one and delete them.

        Cut short at any point it loses nothing: old files are deleted only when the new one is in
        place, and `read` takes a trial's rows once.

        Raises:
            StoreError: the file system refused.
        """
        compaction.compact(self, self._reader)
        self._forget_recent()

    def compact_if_many(self) -> None:
        """Merge the trials that were appended since the last time, once there are many.

        The driver calls this while a study runs. It takes the rows from memory and reads no file.
        Where the file system refuses, it warns: nothing is lost, and the next call tries again.
        """
        if len(self._recent["trials"]) < _MANY:
            return
        try:
            compaction.merge_trials(self, self._reader, self._recent)
        except StoreError as error:
            warnings.warn(f"trials are not merged yet: {error}", stacklevel=2)
        else:
            self._forget_recent()

    def compact_leftovers(self) -> None:
        """Merge all files where an earlier run was killed and left many single ones.

        Raises:
            StoreError: the file system refused.
        """
        if sum(is_single(file.path) for file in self._reader.found("trials")) >= _MANY:
            self.compact()

    def _forget_recent(self) -> None:
        for rows in self._recent.values():
            rows.clear()
