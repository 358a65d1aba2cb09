"""Read the files of a table: each trial once, damaged files named, none lost to a compaction."""

from __future__ import annotations

import posixpath
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs

from reports.store import parquet
from reports.store.files import Files, StoreError
from trainables.errors import InputError, cause, shown

_COMPACTED = re.compile(r"00-compacted-(?:(?P<generation>\d{8})-)?[0-9a-f]{16}\.parquet")
"""Names of compacted files; those of schema versions 1 and 2 have no generation."""
_LISTINGS = 10
"""How often a table is listed again because a compaction deleted files while they were read."""
_REMOTE_READS = 16
"""Files that are read at once from an object store, which answers each after a while."""


class FoundFile(NamedTuple):
    """A file of a table; a file that is replaced differs in size or time."""

    path: str
    size: int
    modified_ns: int


class Part(NamedTuple):
    """Rows of one file; ``trial_ids`` are all that it holds, ``rows`` may lack some of them."""

    path: str
    rows: pa.Table
    trial_ids: frozenset[str]


class Reader:
    """Reads tables; of a file that has not changed it remembers the trials and the check."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._checked: dict[FoundFile, frozenset[str]] = {}
        """The trial ids of the files that were read and found whole."""
        self._damaged: dict[FoundFile, str] = {}
        """The files that were read and found damaged, with the reason."""

    def parts(self, table: str, columns: Sequence[str]) -> list[Part]:
        """The rows of each readable file, a trial's rows from the first file that has them.

        A trial is in two files where a compaction was cut short, or where the trial ran again. Its
        own file comes first, then newer compacted files: the newest rows win.

        Raises:
            InputError: a newer version of this tool wrote a file.
            StoreError: the file system is out of reach.
        """
        wanted = list(dict.fromkeys(["trial_id", *columns]))
        for _ in range(_LISTINGS):
            parts = self._parts_of(self.found(table), table, wanted)
            if parts is not None:
                return parts
        raise StoreError(f"{self._files.name}: files of {table} vanish while they are read")

    def trial_ids(self, table: str) -> set[str]:
        """The ids of all trials in a table.

        Raises:
            InputError, StoreError: as `parts`.
        """
        found = self.found(table)
        if all(file in self._checked or file in self._damaged for file in found):
            for file in found:
                if file in self._damaged:
                    self._warn(file)
            return {trial_id for file in found for trial_id in self._checked.get(file, ())}
        return {trial_id for part in self.parts(table, ()) for trial_id in part.trial_ids}

    def found(self, table: str) -> list[FoundFile]:
        """The files of a table: those of single trials first, then compacted ones, newest first."""
        listed = self._files.list_files(table)
        files = [
            FoundFile(info.path, info.size or 0, info.mtime_ns or 0)
            for info in listed
            if info.base_name.endswith(".parquet")
        ]
        return sorted(files, key=_newest_first)

    def _parts_of(
        self, files: Sequence[FoundFile], table: str, columns: list[str]
    ) -> list[Part] | None:
        """The parts, or None where a file has vanished since it was listed."""
        try:
            tables = self._read_all(files, table, columns)
        except FileNotFoundError:
            return None
        seen: set[str] = set()
        parts = []
        for file, rows in zip(files, tables, strict=True):
            if rows is None:
                self._warn(file)
                continue
            trial_ids = self._checked[file]
            if not trial_ids.isdisjoint(seen):
                fresh = pa.array(sorted(trial_ids - seen), pa.string())
                rows = rows.filter(pc.is_in(rows["trial_id"], fresh))
            seen |= trial_ids
            parts.append(Part(file.path, rows, trial_ids))
        return parts

    def _read_all(
        self, files: Sequence[FoundFile], table: str, columns: list[str]
    ) -> list[pa.Table | None]:
        """`_read` of each file: local files in turn, since threads only add CPU time there."""
        if self._files.is_local:
            return [self._read(file, table, columns) for file in files]
        with ThreadPoolExecutor(_REMOTE_READS) as pool:
            return list(pool.map(lambda file: self._read(file, table, columns), files))

    def _read(self, file: FoundFile, table: str, columns: list[str]) -> pa.Table | None:
        """The file's rows; None where the file is damaged."""
        if file in self._damaged:
            return None
        try:
            with self._files.open_file(file.path) as source:
                check = file not in self._checked
                rows = parquet.read(source, file.path, table, columns, check)
        except (FileNotFoundError, InputError, StoreError):
            raise
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            self._damaged[file] = shown(cause(error), 120)
            return None
        if check:
            self._checked[file] = frozenset(pc.unique(rows["trial_id"]).to_pylist())
        return rows

    def _warn(self, file: FoundFile) -> None:
        text = f"{shown(file.path)}: damaged, skipped ({self._damaged[file]})"
        warnings.warn(text, stacklevel=2)


def _newest_first(file: FoundFile) -> tuple[bool, int, str]:
    return (not is_single(file.path), -generation(file.path), file.path)


def is_single(path: str) -> bool:
    """Whether the file is one trial's own."""
    return _COMPACTED.fullmatch(posixpath.basename(path)) is None


def generation(path: str) -> int:
    """Of a compacted file: which of its table's compactions wrote it, counted from 1.

    It is 0 for a file of schema version 1 or 2, and for a single trial's own file.
    """
    found = _COMPACTED.fullmatch(posixpath.basename(path))
    return int(found["generation"] or 0) if found else 0
