"""Labels in Parquet files as classes with names, compared by name between files."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.data.records import Labels
from trainables.errors import InputError, listed

_NUMBERS, _TEXT = "numbers", "text"


@dataclass(frozen=True)
class FileLabels:
    """The labels of one file: ``values`` [N] are indices of ``names``."""

    file: Path
    column: str
    values: Labels
    names: tuple[str, ...]
    kind: str
    """Whether the column holds numbers or text."""
    declared: bool
    """Whether the file lists the names of all classes; if not, its rows give the names."""


def read_labels(file: Path, column: str, data: Any, schema: Any) -> FileLabels | None:
    """The labels in the column ``data`` of ``file``; None where no row has one.

    A row has no label where its value is null, not a number, an empty text or -1. A number is the
    place of a name where the file's Hugging Face features list names, else it is its own name.

    Raises:
        InputError: some rows have no label, or a value cannot be a label.
    """
    import pyarrow as pa
    import pyarrow.types as pt

    if pt.is_dictionary(data.type):
        data = data.cast(data.type.value_type)
    if pt.is_null(data.type) or data.null_count == len(data):
        return None
    if data.null_count:
        raise _some_unlabelled(file, column)
    if pt.is_boolean(data.type) or not (pt.is_integer(data.type) or pt.is_floating(data.type)):
        texts = np.asarray(data.cast(pa.large_string()).to_pylist(), dtype=object)
        return _text_labels(file, column, texts)
    numbers = data.to_numpy()
    if pt.is_floating(data.type):
        numbers = _whole(file, column, numbers)
    elif numbers.max() > np.iinfo(np.int64).max:
        raise InputError(f"{file}: column {column!r} has labels up to {numbers.max()}")
    if numbers is None or (numbers == -1).all():
        return None
    return _number_labels(file, column, numbers.astype(np.int64), declared_names(schema, column))


def declared_names(schema: Any, column: str) -> tuple[str, ...] | None:
    """The class names that Hugging Face's features in the schema give for ``column``."""
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return tuple(str(name) for name in names) if isinstance(names, list) else None


def _whole(file: Path, column: str, values: npt.NDArray[Any]) -> Labels | None:
    missing = np.isnan(values)
    if missing.all():
        return None
    if missing.any():
        raise _some_unlabelled(file, column)
    odd = values[(values != np.floor(values)) | (np.abs(values) >= 2.0**53)]
    if len(odd):
        raise InputError(
            f"{file}: column {column!r} has the label {odd[0]} (allowed: whole numbers or text)"
        )
    return values.astype(np.int64)


def _text_labels(file: Path, column: str, texts: npt.NDArray[Any]) -> FileLabels | None:
    if not any(texts):
        return None
    if not all(texts):
        raise _some_unlabelled(file, column)
    names, values = np.unique(texts, return_inverse=True)
    return FileLabels(file, column, values.astype(np.int64), tuple(names), _TEXT, declared=False)


def _number_labels(
    file: Path, column: str, numbers: Labels, names: tuple[str, ...] | None
) -> FileLabels:
    highest = len(names) - 1 if names else numbers.max()
    if numbers.min() < 0 or numbers.max() > highest:
        allowed = f"0 to {highest}" if names else "0 and up"
        raise InputError(
            f"{file}: column {column!r} has labels from {numbers.min()} to {numbers.max()} "
            f"(allowed: {allowed})"
        )
    if names:
        return FileLabels(file, column, numbers, names, _NUMBERS, declared=True)
    different, values = np.unique(numbers, return_inverse=True)
    digits = tuple(str(number) for number in different)
    return FileLabels(file, column, values.astype(np.int64), digits, _NUMBERS, declared=False)


def _some_unlabelled(file: Path, column: str) -> InputError:
    return InputError(f"{file}: column {column!r} has rows without a label")


def classes_of(files: list[FileLabels]) -> tuple[str, ...]:
    """The class names of the training files.

    Where files declare names, all of them declare the same names, in any order, and the first
    file's order counts. Else the names are those of the rows: numbers in their order, text sorted.

    Raises:
        InputError: files disagree, or there are not two images for each class.
    """
    declaring = [file for file in files if file.declared]
    first = declaring[0] if declaring else files[0]
    for file in files:
        if file.declared and set(file.names) != set(first.names):
            raise _unmapped(file, set(file.names) ^ set(first.names), first)
        if not declaring and file.kind != first.kind:
            raise InputError(
                f"{file.file}: column {file.column!r} holds {file.kind}, but {first.file} holds "
                f"{first.kind}"
            )
    if declaring:
        classes = first.names
    else:
        names = {name for file in files for name in file.names}
        classes = tuple(sorted(names, key=int if first.kind == _NUMBERS else str))
    images = sum(len(file.values) for file in files)
    if 2 * len(classes) > images:
        raise InputError(
            f"{first.file}: column {first.column!r} has {len(classes):,} classes for {images:,} "
            "training images (allowed: two images or more for each class); another column: "
            "parquet:PATH?label=COLUMN"
        )
    return classes


def mapped(file: FileLabels, classes: tuple[str, ...], named_by: Path) -> Labels:
    """The labels [N] of ``file`` as places in ``classes``, by their names.

    Raises:
        InputError: a name of ``file`` is not among ``classes``, which ``named_by`` names.
    """
    if file.names == classes:
        return file.values
    for names, owner in ((file.names, file.file), (classes, named_by)):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise InputError(
                f"{file.file} and {named_by} name their classes in different orders, and {owner} "
                f"has the name {twice[0]!r} twice"
            )
    place = {name: index for index, name in enumerate(classes)}
    unknown = [name for name in file.names if name not in place]
    if unknown and file.declared:
        raise InputError(
            f"{file.file}: class name {unknown[0]!r} is not in {named_by} ({listed(classes)})"
        )
    if unknown:
        raise InputError(
            f"{file.file}: label {unknown[0]} is not in the training files ({named_by}: "
            f"{listed(classes)})"
        )
    return np.array([place[name] for name in file.names], np.int64)[file.values]


def _unmapped(file: FileLabels, names: set[str], other: FileLabels) -> InputError:
    return InputError(
        f"{file.file}: its class names differ from those of {other.file} (in only one of them: "
        f"{listed(sorted(names))})"
    )
