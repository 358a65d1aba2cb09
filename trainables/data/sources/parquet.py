"""Data sets in Parquet files: encoded images and labels, in the layouts of the Hugging Face Hub."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.files import available_memory, check_fits
from trainables.data.records import Contents, EncodedRecords, Labels, LocatedData, stamp_files
from trainables.data.sources.base import Address, DataSource
from trainables.data.sources.parquet_columns import Columns, choose_columns
from trainables.data.sources.parquet_labels import FileLabels, classes_of, mapped, read_labels
from trainables.data.sources.parquet_layout import Layout, find_layout
from trainables.errors import InputError, cause, listed


class Parquet(DataSource):
    """PATH with files of a train split and a test split; the columns can be named."""

    name = "parquet"
    path_summary = "train*.parquet and test*.parquet, Hugging Face layouts"
    options = ("image", "label", "config")

    def find(self, address: Address, data_dir: Path) -> LocatedData:
        folder = address.path
        assert folder is not None  # named by path only
        if not folder.is_dir():
            raise InputError(f"data set {address.name!r}: no folder {folder}")
        layout = find_layout(address.name, folder, address.options.get("config"))
        stamp = stamp_files(file for files in layout.splits.values() for file in files)
        return LocatedData(
            address.name, str(folder), stamp, lambda: _contents(layout, address.options)
        )


def _contents(layout: Layout, options: Mapping[str, str]) -> Contents:
    """Training and test images; those of the validation files where no test row has a label."""
    first = layout.splits["train"][0]
    with _reading(first) as file:
        columns = choose_columns(first, file.schema_arrow, options)
    train = _Split(layout.splits["train"], columns)
    if train.unlabelled:
        raise InputError(
            f"{train.unlabelled[0]}: column {columns.label!r} has rows without a label"
        )
    classes = classes_of(train.labels)
    named_by = next((file.file for file in train.labels if file.declared), first)
    passed_over = list(layout.passed_over)
    for split in ("test", "validation"):
        if split in layout.splits:
            test = _Split(layout.splits[split], columns)
            if not test.labels:
                passed_over.append(f"1 split ({split}, which has no labels)")
            elif test.unlabelled:
                raise InputError(
                    f"{test.unlabelled[0]}: column {columns.label!r} has rows without a label"
                )
            else:
                return Contents(
                    classes,
                    train.records(classes, named_by),
                    test.records(classes, named_by),
                    tuple(passed_over),
                )
    tested = [file for split in ("test", "validation") for file in layout.splits.get(split, [])]
    raise InputError(f"{listed(tested, 3)}: no labels in column {columns.label!r}")


class _Split:
    """The images and labels of the files of one split, in memory as they are stored."""

    def __init__(self, files: list[Path], columns: Columns) -> None:
        self.files = files
        self.images: list[bytes | None] = []
        self.starts: list[int] = []
        self.labels: list[FileLabels] = []
        self.unlabelled: list[Path] = []
        for file in files:
            self.starts.append(len(self.images))
            images, labels = _read(file, columns)
            self.images += images
            if labels:
                self.labels.append(labels)
            elif images:
                self.unlabelled.append(file)
        if not self.images:
            raise InputError(f"{files[0]}: no rows")

    def records(self, classes: tuple[str, ...], named_by: Path) -> EncodedRecords:
        """The split's records, with labels that are places in ``classes``."""
        labels: Labels = np.concatenate([mapped(file, classes, named_by) for file in self.labels])
        return EncodedRecords(labels, self._content, self._where)

    def _content(self, index: int) -> bytes:
        data = self.images[index]
        if data is None:
            raise InputError(f"{self._where(index)}: no image bytes")
        return data

    def _where(self, index: int) -> str:
        file = bisect_right(self.starts, index) - 1
        return f"{self.files[file]}, row {index - self.starts[file]}"


def _read(file: Path, columns: Columns) -> tuple[list[bytes | None], FileLabels | None]:
    """Encoded images and labels of one file; no labels where it has no such column."""
    import pyarrow.compute as pc
    import pyarrow.types as pt

    with _reading(file) as parquet:
        schema = parquet.schema_arrow
        if columns.image not in schema.names:
            raise InputError(
                f"{file}: no column {columns.image!r} (columns: {listed(schema.names)})"
            )
        wanted = [column for column in columns if column in schema.names]
        check_fits(file, _stored_size(parquet, wanted), available_memory())
        table = parquet.read(columns=wanted)
        images = table[columns.image]
        if pt.is_struct(images.type):
            images = pc.struct_field(images, "bytes")
        if pt.is_dictionary(images.type):
            images = images.cast(images.type.value_type)
        labels = None
        if columns.label in schema.names and table.num_rows:
            labels = read_labels(file, columns.label, table[columns.label], schema)
        return images.to_pylist(), labels


def _stored_size(parquet: Any, columns: list[str]) -> int:
    """Bytes that the columns take in memory."""
    metadata = parquet.metadata
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    chunks = (group.column(number) for group in groups for number in range(group.num_columns))
    return sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if chunk.path_in_schema.split(".")[0] in columns or chunk.path_in_schema in columns
    )


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[Any]:
    """The open Parquet file. Turns the many kinds of errors of a damaged file into one line."""
    import pyarrow.parquet as pq

    try:
        with (
            file.open("rb") as stream,
            pq.ParquetFile(stream, page_checksum_verification=True) as parquet,
        ):
            yield parquet
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{file}: not a readable Parquet file ({cause(error)})") from None
