"""Which encoders form a line, and what names each of them on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, assert_never

from trainables.config import NO_WIDTH
from trainables.encoders import ENCODERS
from trainables.errors import InputError

Rule = Literal["auto", "width", "depth", "all"]
Lines = Rule | Mapping[str, tuple[str, ...]]
"""What the lines are. ``width``: the widths of each encoder. ``depth``: at each width, the encoders
of a family. ``all``: all encoders together. ``auto``: an encoder of several widths is a line, all
others together are one. Or the encoders of each line, by the line's name."""
ALL = "all encoders"
"""The name of a line over several families."""
Size = tuple[str, int]


def line_names(sizes: Iterable[Size], lines: Lines) -> dict[Size, str]:
    """The name of each encoder's line."""
    sizes = list(sizes)
    match lines:
        case "width":
            return {size: size[0] for size in sizes}
        case "depth":
            return {size: _depths(size) for size in sizes}
        case "all":
            return dict.fromkeys(sizes, ALL)
        case "auto":
            return _auto(sizes)
        case Mapping():
            return {size: _group(size, lines) for size in sizes}
        case _:
            assert_never(lines)


def _auto(sizes: list[Size]) -> dict[Size, str]:
    widths: dict[str, int] = {}
    for encoder, _ in sizes:
        widths[encoder] = widths.get(encoder, 0) + 1
    single = [size for size in sizes if widths[size[0]] == 1]
    families = {_family(encoder) for encoder, _ in single}
    joint = ALL if len(families) > 1 else "".join(families)
    alone = len(single) < 2
    return {size: size[0] if widths[size[0]] > 1 or alone else joint for size in sizes}


def _depths(size: Size) -> str:
    encoder, width = size
    return _family(encoder) + (f", width {width}" if width != NO_WIDTH else "")


def _family(encoder: str) -> str:
    family = ENCODERS.get(encoder)  # an encoder of a user's own is a family of its own
    return family.name if family else encoder


def _group(size: Size, lines: Mapping[str, tuple[str, ...]]) -> str:
    for name, encoders in lines.items():
        if size[0] in encoders:
            return name
    raise InputError(f"lines: {size[0]} is in none of the groups ({', '.join(lines)})")


def labels_on(names: Mapping[Size, str]) -> dict[Size, str]:
    """What names each encoder on its line: what differs between the encoders of that line."""
    labels = {}
    for size, line in names.items():
        others = [other for other, name in names.items() if name == line]
        encoders = {encoder for encoder, _ in others}
        widths = {width for encoder, width in others if encoder == size[0]}
        parts = [size[0].removeprefix("timm:")] if len(encoders) > 1 else []
        if len(widths) > 1 or not parts:
            own = f"width {size[1]}" if size[1] != NO_WIDTH else size[0].removeprefix("timm:")
            parts.append(own)
        labels[size] = ", ".join(parts)
    return labels
