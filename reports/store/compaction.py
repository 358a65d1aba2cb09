"""Merge the files of single trials, so that looking at thousands of trials takes seconds.

A new file is in place before the files that it replaces are deleted, and of a trial's rows the
newest are read. So a compaction may be cut short at any moment, and others may read meanwhile.
One process compacts at a time: the one that holds the study's lock.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc

from reports.store import parquet
from reports.store.files import Files
from reports.store.reading import Part, Reader, generation
from reports.store.schema import TABLES

_ORDER = ("evaluations", "epochs", "trials")
"""As in an append: ``trials`` last."""
_ROW_GROUP = 100_000
_PIECES = 256
_DELETING = 16
"""Files that are deleted at once: an object store answers each after a while."""


def compact(files: Files, reader: Reader) -> None:
    """Merge each table's files into one and delete them; damaged files stay where they are.

    Raises:
        StoreError: the file system refused.
    """
    committed = reader.trial_ids("trials")
    merged: list[str] = []
    for table in _ORDER:
        files.delete_leftovers(table)
        if len(reader.found(table)) > 1:
            parts = reader.parts(table, TABLES[table].names)
            target = _write(files, reader, table, _row_groups(parts, committed))
            merged += [part.path for part in parts if part.path != target]
    _delete(files, merged)


def merge_trials(
    files: Files, reader: Reader, recent: Mapping[str, Mapping[str, pa.Table]]
) -> None:
    """Merge the files of single trials, whose rows the writer still has in memory.

    Args:
        files: the results.
        reader: of the same results.
        recent: for each table the rows of each trial, by the trial's id.

    Raises:
        StoreError: the file system refused.
    """
    merged: list[str] = []
    for table in _ORDER:
        if recent[table]:
            rows = pa.concat_tables(recent[table].values())
            _write(files, reader, table, iter([rows]))
            merged += [f"{files.root}/{table}/{trial_id}.parquet" for trial_id in recent[table]]
    _delete(files, merged)


def _write(files: Files, reader: Reader, table: str, groups: Iterator[pa.Table]) -> str:
    """Write one compacted file, newer than all others of its table; its full path."""
    newest = max((generation(file.path) for file in reader.found(table)), default=0)
    with tempfile.TemporaryFile() as scratch:
        parquet.write(table, groups, scratch)
        content = scratch.read()
    digest = hashlib.sha256(content).hexdigest()[:16]
    name = f"{table}/00-compacted-{newest + 1:08d}-{digest}.parquet"
    files.write_bytes(name, content)
    return f"{files.root}/{name}"


def _delete(files: Files, paths: list[str]) -> None:
    with ThreadPoolExecutor(_DELETING) as pool:
        list(pool.map(files.delete, paths))


def _row_groups(parts: list[Part], committed: set[str]) -> Iterator[pa.Table]:
    """The rows of committed trials in groups of about `_ROW_GROUP` rows."""
    waiting: list[pa.Table] = []
    count = 0
    for part in parts:
        rows = part.rows
        if not part.trial_ids <= committed:
            kept = pa.array(sorted(part.trial_ids & committed), pa.string())
            rows = rows.filter(pc.is_in(rows["trial_id"], kept))
        waiting.append(rows)
        count += rows.num_rows
        if len(waiting) > _PIECES:  # thousands of tables of one row would fill the memory
            waiting = [pa.concat_tables(waiting).combine_chunks()]
        if count >= _ROW_GROUP:
            yield pa.concat_tables(waiting)
            waiting, count = [], 0
    if waiting:
        yield pa.concat_tables(waiting)
