"""The results: three Parquet tables under one root, on any file system that pyarrow knows.

    ROOT/trials/*.parquet        one row for each finished trial, written last: it commits the trial
    ROOT/epochs/*.parquet        one row for each epoch of a trial
    ROOT/evaluations/*.parquet   one row for each (trial, data set, split, protocol)

Accuracies are percentages (0 to 100). While a study runs, each trial is a file of its own in every
table, named by its id, so that writing it again changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import re
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pyarrow.parquet as pq

from trainables.atomic_write import atomic_write
from trainables.config import value_types
from trainables.errors import InputError

SCHEMA_VERSION = 2

COMPLETE, PRUNED, DIVERGED, FAILED = STATUSES = ("complete", "pruned", "diverged", "failed")
TUNE, CONFIRM, SINGLE = PHASES = ("tune", "confirm", "single")
"""Phases; ``single`` is a trial run by hand with `mixco trial`."""

_ARROW: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    tuple: pa.list_(pa.string()),
}
CONFIG_FIELDS: tuple[tuple[str, pa.DataType], ...] = tuple(
    (name, _ARROW[kind]) for name, kind in value_types().items()
)
"""TrialConfig's fields under their own names. A later field is null in older rows."""

TRIALS = pa.schema(
    [
        # identity
        pa.field("trial_id", pa.string(), nullable=False),
        pa.field("study", pa.string()),
        pa.field("cell", pa.string()),  # dataset-method-encoder-wWIDTH-arm
        pa.field("phase", pa.string(), nullable=False),
        pa.field("number", pa.int64()),  # of a tune trial, within its cell, from 0
        pa.field("tuned_from", pa.string()),  # confirm: the tune trial whose config this is
        pa.field("status", pa.string(), nullable=False),
        pa.field("error", pa.string()),
        *[pa.field(name, kind) for name, kind in CONFIG_FIELDS],
        # result
        pa.field("split", pa.string()),  # validation in tune, test in confirm and single
        pa.field("accuracy", pa.float64()),  # top-1 of the config's probe on that split, percent
        pa.field("knn_accuracy", pa.float64()),
        pa.field("top5_accuracy", pa.float64()),
        pa.field("alignment", pa.float64()),
        pa.field("uniformity", pa.float64()),
        pa.field("effective_rank", pa.float64()),
        pa.field("loss", pa.float64()),  # of the last epoch
        # capacity and compute
        pa.field("parameters", pa.int64()),  # of the encoder, projection head excluded
        pa.field("encoder_flops", pa.int64()),  # forward pass of one image through the encoder
        pa.field("flops", pa.float64()),  # forward and backward, encoder and head, whole trial
        pa.field("epochs_done", pa.int64()),
        pa.field("images", pa.int64()),  # training images seen, once each epoch
        pa.field("seconds", pa.float64()),  # training and evaluation
        pa.field("gpu_hours", pa.float64()),
        pa.field("cpu_hours", pa.float64()),  # CPUs allotted times hours
        pa.field("peak_memory", pa.int64()),  # bytes, of the device (GPU) or process (CPU); of
        # several workers, the one that took most
        pa.field("device_memory", pa.int64()),  # bytes that the GPU has; null on a CPU, in schema 1
        # provenance
        pa.field("train_images", pa.int64()),
        pa.field("scored_images", pa.int64()),
        pa.field("classes", pa.int64()),
        pa.field("data_fingerprint", pa.string()),
        pa.field("runner", pa.string()),  # reused or train; null in rows of schema 1
        pa.field("workers", pa.int64()),  # processes that shared each batch; null as above
        pa.field("hardware", pa.string()),
        pa.field("hostname", pa.string()),
        pa.field("started_at", pa.timestamp("ms", tz="UTC")),
        pa.field("finished_at", pa.timestamp("ms", tz="UTC")),
        pa.field("version", pa.string()),
        pa.field("git_revision", pa.string()),
        pa.field("torch_version", pa.string()),
    ]
)

EPOCHS = pa.schema(
    [
        pa.field("trial_id", pa.string(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),  # from 1
        pa.field("loss", pa.float64()),
        pa.field("contrastive_loss", pa.float64()),
        pa.field("mixing_loss", pa.float64()),  # before mix_weight; null where nothing is mixed
        pa.field("knn_accuracy", pa.float64()),  # on the split that the phase may see; null between
        pa.field("learning_rate", pa.float64()),  # at the end of the epoch
        pa.field("images", pa.int64()),  # since the start of the trial
        pa.field("seconds", pa.float64()),  # of this epoch, evaluation included
        pa.field("images_per_second", pa.float64()),  # of training alone
    ]
)

EVALUATIONS = pa.schema(
    [
        pa.field("trial_id", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),  # knn, linear, linear_sgd
        pa.field("top1", pa.float64()),
        pa.field("top5", pa.float64()),
        pa.field("images", pa.int64()),
        pa.field("seconds", pa.float64()),
    ]
)

TABLES: dict[str, pa.Schema] = {"trials": TRIALS, "epochs": EPOCHS, "evaluations": EVALUATIONS}

_VERSION_KEY = b"mixco_schema"
_COMPACTED = "00-compacted-"
_OBJECT_STORES = ("s3", "gcs", "abfs")
_ROW_GROUP = 100_000
_PIECES = 256
_ATTEMPTS = 11  # 25 ms, doubled each time
_READ_ATTEMPTS, _READ_SECONDS = 5, 0.2


class StoreError(OSError):
    """The results could not be written or read; what was written before is whole."""


def open_store(root: str | Path, create: bool = False) -> Store:
    """The results under ``root``, a path or a URI (``s3://``, ``gs://``, ...).

    Raises:
        InputError: ``root`` is malformed, out of reach or not allowed; or it holds no results and
            ``create`` is false.
    """
    if "://" not in str(root):
        filesystem, path = pa.fs.LocalFileSystem(), Path(root).absolute().as_posix()
        there = filesystem.get_file_info(path).type
    else:
        try:
            filesystem, path = pa.fs.FileSystem.from_uri(str(root))
            if filesystem.type_name == "s3":
                filesystem = _persistent(filesystem)
            there = filesystem.get_file_info(path).type
        except (OSError, ValueError, pa.ArrowException) as error:
            raise InputError(f"{_public(root)}: {_one_line(error)}") from None
    if not create and there != pa.fs.FileType.Directory:
        raise InputError(f"{_public(root)}: no such results folder")
    return Store(filesystem, path, str(root))


def _persistent(filesystem: pa.fs.S3FileSystem) -> pa.fs.S3FileSystem:
    """The same file system; it tries for about half a minute, and writes a small file at once.

    A URI has no option for either: attempts are the SDK's (and its environment's) affair, and a
    file goes up in parts, in three requests at least.
    """
    _, (options,) = filesystem.__reduce__()
    return pa.fs.S3FileSystem(
        **{
            **options,
            "retry_strategy": pa.fs.AwsDefaultS3RetryStrategy(max_attempts=_ATTEMPTS),
            "allow_delayed_open": True,
        }
    )


def _public(root: str | Path) -> str:
    """A URI without credentials in it."""
    return re.sub(r"://[^@/]*@", "://", str(root))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


class Store:
    """Appends to, reads and compacts one set of results.

    One process writes at a time (`study.lock` sees to that); any number may read meanwhile.
    """

    def __init__(self, filesystem: pa.fs.FileSystem, root: str, name: str) -> None:
        self.filesystem = filesystem
        self.root = root.rstrip("/")
        self.uri = name
        self.name = _public(name)

    # writing

    def append(
        self,
        trial: Mapping[str, Any],
        epochs: Iterable[Mapping[str, Any]] = (),
        evaluations: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Records one finished trial; its row in ``trials`` comes last and commits the others.

        Doing it again with the same id replaces the same files.

        Raises:
            StoreError: the file system refused; the trial is then not recorded.
        """
        trial_id = trial["trial_id"]
        self._write_rows("epochs", trial_id, [{**row, "trial_id": trial_id} for row in epochs])
        self._write_rows(
            "evaluations", trial_id, [{**row, "trial_id": trial_id} for row in evaluations]
        )
        self._write_rows("trials", trial_id, [trial])

    def _write_rows(self, table: str, name: str, rows: list[Mapping[str, Any]]) -> None:
        schema = TABLES[table]
        unknown = {key for row in rows for key in row} - set(schema.names)
        if unknown:
            raise ValueError(f"{table}: no such columns: {', '.join(sorted(unknown))}")
        if not rows and table != "trials":
            return
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=_stamped(schema)), sink)
        self.write_bytes(f"{table}/{name}.parquet", sink.getvalue())

    def write_bytes(self, path: str, data: bytes | pa.Buffer) -> None:
        """Writes the file ``path`` (relative to the root) in one piece: all of it or nothing.

        Object stores show an object only once its upload is complete; elsewhere the bytes go to a
        hidden file first, which is then renamed.

        Raises:
            StoreError: the file system refused.
        """
        target = f"{self.root}/{path}"
        try:
            if self.filesystem.type_name == "local":
                atomic_write(Path(target), memoryview(data))
            elif self.filesystem.type_name in _OBJECT_STORES:
                self._write_stream(target, data)
            else:
                self._write_and_move(target, data)
        except OSError as error:
            raise StoreError(f"{target}: cannot write results: {_one_line(error)}") from error

    def _write_and_move(self, target: str, data: bytes | pa.Buffer) -> None:
        folder, name = posixpath.split(target)
        partial = f"{folder}/.{name}.partial"
        self.filesystem.create_dir(folder, recursive=True)
        try:
            self._write_stream(partial, data)
            self.filesystem.move(partial, target)
        except BaseException:
            with contextlib.suppress(OSError):
                self.filesystem.delete_file(partial)
            raise

    def _write_stream(self, path: str, data: bytes | pa.Buffer) -> None:
        with self.filesystem.open_output_stream(path) as stream:
            stream.write(data)

    # reading

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
        wanted = list(dict.fromkeys(["trial_id", *columns]))
        keep = None if trial_ids is None else pa.array(sorted(trial_ids), pa.string())
        if table != "trials":
            committed = pa.array(sorted(self.ids()), pa.string())
            keep = committed if keep is None else keep.filter(pc.is_in(keep, committed))
        parts = [part for _, part in self._parts(table, wanted)]
        whole = (
            pa.concat_tables(parts)
            if parts
            else pa.schema([schema.field(name) for name in wanted]).empty_table()
        )
        if keep is not None:
            present = pc.unique(whole["trial_id"])
            if not pc.all(pc.is_in(present, keep)).as_py():
                whole = whole.filter(pc.is_in(whole["trial_id"], keep))
        if table == "trials":
            whole = whole.sort_by("trial_id")
        return whole.select(columns).to_pandas()

    def ids(self) -> set[str]:
        """The ids of all recorded trials, whatever their status."""
        return {
            trial_id
            for _, part in self._parts("trials", ["trial_id"])
            for trial_id in part["trial_id"].to_pylist()
        }

    def _parts(self, table: str, columns: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
        """(path, rows) of each readable file, a trial's rows from the first file that has them.

        A trial is in two files where a compaction was cut short, or where it ran again: then its
        own file, which comes first, has the newer rows.
        """
        seen: set[str] = set()
        for path in self._files(table):
            part = self._read_file(path, TABLES[table], columns)
            if part is None:
                continue
            found = set(pc.unique(part["trial_id"]).to_pylist())
            if not found.isdisjoint(seen):
                fresh = pa.array(sorted(found - seen), pa.string())
                part = part.filter(pc.is_in(part["trial_id"], fresh))
            seen |= found
            yield path, part

    def _files(self, table: str) -> list[str]:
        selector = pa.fs.FileSelector(f"{self.root}/{table}", allow_not_found=True)
        try:
            found = self.filesystem.get_file_info(selector)
        except OSError as error:
            raise StoreError(f"{self.name}: cannot read results: {_one_line(error)}") from error
        return sorted(
            (
                info.path
                for info in found
                if info.base_name.endswith(".parquet") and not info.base_name.startswith(".")
            ),
            key=lambda path: (posixpath.basename(path).startswith(_COMPACTED), path),
        )

    def _read_file(self, path: str, schema: pa.Schema, columns: Sequence[str]) -> pa.Table | None:
        """The file's rows in this version's schema; None, with a warning, where it is damaged."""
        try:
            with self.open_file(path) as source:
                file = pq.ParquetFile(source)
                version = int((file.schema_arrow.metadata or {})[_VERSION_KEY])
                if version > SCHEMA_VERSION:
                    raise InputError(
                        f"{path}: written by a newer version (schema {version}; this one reads up "
                        f"to {SCHEMA_VERSION}): upgrade mixco-study"
                    )
                there = set(file.schema_arrow.names)
                rows = file.read(columns=[name for name in columns if name in there])
                fields = [schema.field(name) for name in columns]
                arrays = [
                    rows[field.name].cast(field.type)
                    if field.name in there
                    else pa.nulls(rows.num_rows, field.type)
                    for field in fields
                ]
                return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
        except FileNotFoundError:
            return None  # compacted meanwhile
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            if isinstance(error, (InputError, StoreError)):
                raise
            reason = " ".join(str(error).split())[:120]
            warnings.warn(f"{path}: damaged, skipped ({reason})", stacklevel=2)
            return None

    def open_file(self, path: str) -> pa.NativeFile:
        """The file to read from; of an object store its bytes, so that what fails later is damage.

        Raises:
            FileNotFoundError: there is none.
            StoreError: the object store is out of reach.
        """
        if self.filesystem.type_name not in _OBJECT_STORES:
            return self.filesystem.open_input_file(path)
        for attempt in range(_READ_ATTEMPTS):
            try:
                # The SDK tries again, but not where the text of an error is longer than the bytes
                # that were asked for: hence the whole file, and a loop for the small ones.
                with self.filesystem.open_input_file(path) as source:
                    return pa.BufferReader(source.read_buffer())
            except FileNotFoundError:
                raise
            except OSError as error:
                if attempt == _READ_ATTEMPTS - 1:
                    text = f"{path}: cannot read results: {_one_line(error)}"
                    raise StoreError(text) from error
                time.sleep(_READ_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

    # compaction

    def compact(self) -> None:
        """Merges each table's files into one and deletes them.

        Cut short at any point it loses nothing: old files go only when the new one is in place,
        and `read` takes a trial's rows once.

        Raises:
            StoreError: the file system refused.
        """
        committed = self.ids()
        merged: list[str] = []
        for table in ("evaluations", "epochs", "trials"):
            schema = _stamped(TABLES[table])
            if len(self._files(table)) <= 1:
                continue
            readable: list[str] = []
            with tempfile.TemporaryFile() as scratch:
                with pq.ParquetWriter(scratch, schema, compression="zstd") as writer:
                    for group in self._row_groups(table, committed, readable):
                        writer.write_table(group.cast(schema))
                scratch.seek(0)
                data = scratch.read()
            digest = hashlib.sha256(data).hexdigest()[:16]
            target = f"{table}/{_COMPACTED}{digest}.parquet"
            self.write_bytes(target, data)
            merged += [path for path in readable if path != f"{self.root}/{target}"]
        for path in merged:
            try:
                self.filesystem.delete_file(path)
            except FileNotFoundError:
                continue  # a second attempt, its first one's answer lost on the way
            except OSError as error:
                raise StoreError(f"{path}: cannot delete: {_one_line(error)}") from error

    def _row_groups(
        self, table: str, committed: set[str], readable: list[str]
    ) -> Iterator[pa.Table]:
        """The rows of committed trials in groups of about `_ROW_GROUP` rows.

        Appends to ``readable`` the files that they came from: damaged ones stay where they are.
        """
        waiting: list[pa.Table] = []
        rows = 0
        for path, part in self._parts(table, TABLES[table].names):
            readable.append(path)
            found = set(pc.unique(part["trial_id"]).to_pylist())
            if not found <= committed:
                kept = pa.array(sorted(found & committed), pa.string())
                part = part.filter(pc.is_in(part["trial_id"], kept))
            waiting.append(part)
            rows += part.num_rows
            if len(waiting) > _PIECES:  # thousands of tables of one row would fill the memory
                waiting = [pa.concat_tables(waiting).combine_chunks()]
            if rows >= _ROW_GROUP:
                yield pa.concat_tables(waiting)
                waiting, rows = [], 0
        if waiting:
            yield pa.concat_tables(waiting)


def _stamped(schema: pa.Schema) -> pa.Schema:
    return schema.with_metadata({_VERSION_KEY: str(SCHEMA_VERSION).encode()})
