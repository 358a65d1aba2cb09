"""One Parquet file of results as bytes: with its digest, and checked as it is read.

Parquet's page checksums cover the pages, but neither the page headers nor the footer. So the footer
also holds a SHA-256 digest of the whole file, computed with zeros in the digest's own place. A file
in which any bit differs is damaged; it is never read as another value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reports.store.schema import (
    ADDED_IN,
    COMPLETE,
    PHASES,
    REQUIRED_CONFIG,
    SCHEMA_VERSION,
    STATUSES,
    TABLES,
    TRIALS,
    TUNE,
    VERSION_KEY,
    stamped,
)
from trainables.errors import InputError, listed

_DIGEST_KEY = b"mixco_sha256"
_DIGESTS_SINCE = _THREADS_SINCE = 3
_EMPTY_DIGEST = b"0" * 64
_FOOTER_BYTES = 1 << 20
_SMALL = 1 << 20
"""Below this size in bytes, threads for the columns of one file cost more than they save."""


class DamagedError(ValueError):
    """The file is not what this tool wrote."""


def write(
    table: str, groups: Iterable[pa.Table], scratch: BinaryIO, *, is_small: bool = False
) -> None:
    """Write row groups as one file.

    Args:
        table: ``trials``, ``epochs`` or ``evaluations``.
        groups: the row groups.
        scratch: where to write; it must be open for reading too.
        is_small: whether these are the rows of one trial. For so few rows, compression,
            dictionaries and statistics take time and save no space.
    """
    schema = stamped(TABLES[table])
    with pq.ParquetWriter(
        scratch,
        schema,
        compression="none" if is_small else "zstd",
        use_dictionary=not is_small,
        write_statistics=not is_small,
        write_page_checksum=True,
    ) as writer:
        for group in groups:
            writer.write_table(group.cast(schema))
        writer.add_key_value_metadata({_DIGEST_KEY: _EMPTY_DIGEST})
    scratch.seek(0)
    content = memoryview(scratch.read())
    position = _digest_position(content, _EMPTY_DIGEST)
    scratch.seek(position)
    scratch.write(_digest(content, position))
    scratch.seek(0)


def read(
    source: pa.NativeFile, path: str, table: str, columns: Sequence[str], check: bool
) -> pa.Table:
    """The file's rows in this version's schema, in ``columns``.

    Args:
        source: the file.
        path: the file's name in errors.
        table: ``trials``, ``epochs`` or ``evaluations``.
        columns: the columns to read.
        check: whether to check the rows, too; of a file that has not changed since, once is enough.

    Raises:
        InputError: a newer version of this tool wrote the file.
        DamagedError: a bit differs, or columns are missing, of another type, or null where they
            may not be.
        pa.ArrowException, OSError: the file is not Parquet, or its pages are damaged.
    """
    content = source.read_buffer()
    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    metadata = file.metadata.metadata or {}
    if VERSION_KEY not in metadata:
        raise DamagedError("its schema has no version")
    version = int(metadata[VERSION_KEY])
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{path}: written by a newer version (schema {version}; this one reads up "
            f"to {SCHEMA_VERSION}): upgrade mixco-study"
        )
    schema = file.schema_arrow
    current = schema.equals(TABLES[table])
    if check:
        _check_digest(memoryview(content), metadata.get(_DIGEST_KEY), version)
        if not current:
            _check_columns(schema, table, version)
    wanted = list(dict.fromkeys([*columns, *(_CHECKED_COLUMNS[table] if check else ())]))
    found = set(schema.names)
    read = file.read(
        columns=[name for name in wanted if name in found], use_threads=len(content) > _SMALL
    )
    rows = read.select(wanted).replace_schema_metadata() if current else _cast(read, table, wanted)
    if version < _THREADS_SINCE and "threads" in wanted and "hardware" in found:
        rows = _with_threads(rows, file.read(columns=["hardware"])["hardware"])
    if table == "trials" and "search" in wanted:
        rows = _replaced(rows, "search", pc.fill_null(rows["search"], 0))
    if check:
        check_rows(table, rows, version)
    return rows.select(columns)


def _cast(read: pa.Table, table: str, wanted: Sequence[str]) -> pa.Table:
    """Rows of an older file in this version's types; nulls in the columns that the file lacks."""
    fields = [TABLES[table].field(name) for name in wanted]
    found = set(read.column_names)
    arrays = [
        read[field.name].cast(field.type)
        if field.name in found
        else pa.nulls(read.num_rows, field.type)
        for field in fields
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _with_threads(rows: pa.Table, hardware: pa.ChunkedArray) -> pa.Table:
    """Fill the column ``threads`` of older rows, whose text in ``hardware`` says the number."""
    found = pc.extract_regex(hardware, r"(?P<threads>\d+) threads?,")
    threads = pc.struct_field(found, "threads").cast(pa.int64())
    return _replaced(rows, "threads", threads)


def _replaced(rows: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    """Rows of ``trials`` with other values in the column ``name``."""
    return rows.set_column(rows.column_names.index(name), TRIALS.field(name), values)


def _digest_position(content: memoryview, digest: bytes) -> int:
    """Where in the file its digest stands: in the footer, so near the end."""
    tail = bytes(content[-_FOOTER_BYTES:])
    found = tail.rfind(digest)
    if found < 0:
        raise DamagedError("its digest is not in the footer")
    return len(content) - len(tail) + found


def _digest(content: memoryview, position: int) -> bytes:
    """The SHA-256 digest of the file, with zeros where the digest itself stands."""
    digest = hashlib.sha256(content[:position])
    digest.update(_EMPTY_DIGEST)
    digest.update(content[position + len(_EMPTY_DIGEST) :])
    return digest.hexdigest().encode()


def _check_digest(content: memoryview, digest: bytes | None, version: int) -> None:
    if digest is None:
        if version >= _DIGESTS_SINCE:
            raise DamagedError("it has no digest")
    elif _digest(content, _digest_position(content, digest)) != digest:
        raise DamagedError("its digest differs")


def _check_columns(found: pa.Schema, table: str, version: int) -> None:
    """Check that the columns of the file's own version are there, and the types of all."""
    types = {field.name: field.type for field in found}
    schema = TABLES[table]
    missing = [
        field.name
        for field in schema
        if field.name not in types and ADDED_IN.get(field.name, 1) <= version
    ]
    if missing:
        raise DamagedError(f"no column {listed(missing, 3)}")
    other = [
        f"{field.name} is {types[field.name]} instead of {field.type}"
        for field in schema
        if field.name in types and types[field.name] != field.type
    ]
    if other:
        raise DamagedError(listed(other, 3))


def check_rows(table: str, rows: pa.Table, version: int = SCHEMA_VERSION) -> None:
    """Check that no value is missing where one must be, and that phases and endings are known.

    Raises:
        DamagedError: names the column.
    """
    for name in _REQUIRED[table]:
        if rows[name].null_count:
            raise DamagedError(f"no value of {name}")
    if table != "trials":
        return
    for name, allowed in (("phase", PHASES), ("status", STATUSES)):
        if not pc.all(pc.is_in(rows[name], pa.array(allowed))).as_py():
            raise DamagedError(f"{name} is none of {', '.join(allowed)}")
    for name in ("cell", *REQUIRED_CONFIG):
        if ADDED_IN.get(name, 1) <= version and rows[name].null_count:
            raise DamagedError(f"no value of {name}")
    for name, column, value in (
        ("number", "phase", TUNE),
        ("accuracy", "status", COMPLETE),
    ):
        if rows[name].filter(pc.equal(rows[column], value)).null_count:
            raise DamagedError(f"no value of {name} where {column} is {value}")


_REQUIRED = {
    table: tuple(field.name for field in schema if not field.nullable)
    for table, schema in TABLES.items()
}
_CHECKED_COLUMNS = {
    **_REQUIRED,
    "trials": (*_REQUIRED["trials"], "cell", "number", "accuracy", *REQUIRED_CONFIG),
}
