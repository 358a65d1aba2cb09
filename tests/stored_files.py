"""Files of a results folder, changed by hand."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from reports.store.schema import VERSION_KEY


def write_version(path: Path, table: pa.Table, version: int) -> None:
    """Write a table as a file of another version of the schema; it has no checksum."""
    pq.write_table(table.replace_schema_metadata({VERSION_KEY: str(version)}), path)


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """The table with other values in one of its columns."""
    return table.set_column(table.schema.get_field_index(name), name, values)
