"""Data sets in Parquet files of the Hugging Face layout: encoded images and integer labels."""

from __future__ import annotations

import json
from bisect import bisect_right
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.records import Contents, EncodedRecords, Source, stamp_files
from trainables.errors import InputError

_PREFIXES = {"train": ("train",), "test": ("test", "validation")}
_LABEL_COLUMNS = ("label", "labels", "fine_label")


def parquet(name: str, folder: Path) -> Source:
    """Files of ``folder`` (or of its data/) by how their names start: train, test or validation.

    Validation files are the test split where there are no test files; beside test files they are
    left alone, as the validation split is carved from the training images.

    Raises:
        InputError: a split has no files.
    """
    if not folder.is_dir():
        raise InputError(f"data set {name!r}: no folder {folder}")
    files = sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))
    splits = {}
    for split, prefixes in _PREFIXES.items():
        found = ([file for file in files if file.name.startswith(p)] for p in prefixes)
        splits[split] = next(filter(None, found), [])
        if not splits[split]:
            allowed = " or ".join(f"{prefix}*.parquet" for prefix in prefixes)
            raise InputError(f"data set {name!r}: no {split} split in {folder} ({allowed})")

    def read() -> Contents:
        classes, train = _read_split(splits["train"])
        test_classes, test = _read_split(splits["test"])
        if len(test_classes) > len(classes):
            raise InputError(
                f"{splits['test'][0]}: label {len(test_classes) - 1} is not in the training files"
            )
        return Contents(classes, train, test)

    stamp = stamp_files([*splits["train"], *splits["test"]])
    return Source(name, str(folder), stamp, read)


def _read_split(files: list[Path]) -> tuple[tuple[str, ...], EncodedRecords]:
    """Class names and records; without names in the schema, classes are named by their numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    images: list[bytes | None] = []
    columns, starts = [], []
    for file in files:
        try:
            schema = pq.read_schema(file)
            image, label, names = _columns(file, schema)
            table = pq.read_table(file, columns=[image, label])
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{file}: not a readable Parquet file ({error})") from None
        if table[label].null_count:
            raise InputError(f"{file}: column {label!r} has rows without a label")
        encoded = table[image]
        if pa.types.is_struct(encoded.type):
            encoded = pc.struct_field(encoded, "bytes")
        starts.append(len(images))
        images += encoded.to_pylist()
        columns.append(table[label].to_numpy())
    labels = np.concatenate(columns).astype(np.int64)
    if not len(labels):
        raise InputError(f"{files[0]}: no rows")
    if names is None:
        names = tuple(str(number) for number in range(labels.max() + 1))
    if labels.min() < 0 or labels.max() >= len(names):
        raise InputError(
            f"{files[0]}: column {label!r} has labels from {labels.min()} to {labels.max()} "
            f"(allowed: 0 to {len(names) - 1})"
        )

    def content(index: int) -> bytes:
        data = images[index]
        if data is None:
            raise InputError(f"{where(index)}: no image bytes")
        return data

    def where(index: int) -> str:
        file = bisect_right(starts, index) - 1
        return f"{files[file]}, row {index - starts[file]}"

    return names, EncodedRecords(labels, content, where)


def _columns(file: Path, schema: Any) -> tuple[str, str, tuple[str, ...] | None]:
    """The columns of images and labels, and the class names where the schema has them."""
    import pyarrow as pa

    types = {field.name: field.type for field in schema}
    images = [
        name
        for name, kind in types.items()
        if (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    ]
    integers = [name for name, kind in types.items() if pa.types.is_integer(kind)]
    labels = [name for name in _LABEL_COLUMNS if name in integers] or integers
    if not images or not labels:
        raise InputError(
            f"{file}: no column of image bytes and one of integer labels "
            f"(columns: {', '.join(types)})"
        )
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        names = tuple(str(name) for name in features[labels[0]]["names"])
    except (KeyError, TypeError, ValueError):
        names = None
    return images[0], labels[0], names
