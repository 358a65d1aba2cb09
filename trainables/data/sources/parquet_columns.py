"""Which columns of a Parquet file hold the images and the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from trainables.errors import InputError, listed

IMAGE_NAMES = ("image", "img", "images", "picture", "photo", "jpg", "jpeg", "png", "webp")
LABEL_NAMES = (
    *("label", "labels", "fine_label", "fine_labels", "target", "targets"),
    *("class", "classes", "category", "cls", "y"),
)
HOW_TO_NAME = "name them: parquet:PATH?image=COLUMN&label=COLUMN"


class Columns(NamedTuple):
    """The names of the two columns."""

    image: str
    label: str


def choose_columns(file: Path, schema: Any, options: Mapping[str, str]) -> Columns:
    """The columns that ``options`` name, else by usual names, else the only ones of a fitting type.

    Raises:
        InputError: with the file's columns, where the choice would be a guess.
    """
    types = {field.name: field.type for field in schema}
    if len(types) < len(schema):
        raise InputError(f"{file}: two columns have one name (columns: {_described(types)})")
    image = _choose(file, types, "image", options.get("image"), IMAGE_NAMES, holds_images)
    label = _choose(file, types, "label", options.get("label"), LABEL_NAMES, holds_labels)
    return Columns(image, label)


def holds_images(kind: Any) -> bool:
    """Whether values of this Arrow type can be encoded images."""
    import pyarrow.types as pt

    if pt.is_struct(kind):
        return any(field.name == "bytes" and holds_images(field.type) for field in kind)
    if pt.is_dictionary(kind):
        return holds_images(kind.value_type)
    return pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind)


def holds_labels(kind: Any) -> bool:
    """Whether values of this Arrow type can be labels: numbers or text."""
    import pyarrow.types as pt

    if pt.is_dictionary(kind):
        return holds_labels(kind.value_type)
    return (
        pt.is_integer(kind) or pt.is_floating(kind) or pt.is_boolean(kind) or pt.is_null(kind)
    ) or (pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def _choose(
    file: Path,
    types: Mapping[str, Any],
    what: str,
    asked: str | None,
    usual: tuple[str, ...],
    fits: Callable[[Any], bool],
) -> str:
    if asked is not None:
        chosen = [asked] if asked in types else []
        problem = f"no column {asked!r}"
    else:
        chosen = next(filter(None, (_called(name, types) for name in usual)), [])
        problem = f"several columns may be the {what} ({listed(chosen)})"
        if not chosen:
            chosen = [name for name, kind in types.items() if fits(kind)]
            problem = f"no column is called {what}, and {len(chosen)} may be it by their type"
    if len(chosen) == 1:
        if fits(types[chosen[0]]):
            return chosen[0]
        problem = f"column {chosen[0]!r} cannot be the {what}, it is {types[chosen[0]]}"
    raise InputError(f"{file}: {problem}; {HOW_TO_NAME} (columns: {_described(types)})")


def _called(name: str, types: Mapping[str, Any]) -> list[str]:
    """The columns called ``name``; exactly so where one is, else without regard to case."""
    return [name] if name in types else [column for column in types if column.lower() == name]


def _described(types: Mapping[str, Any]) -> str:
    return listed((f"{name} {kind}" for name, kind in types.items()), limit=20)
