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
"""An encoder and its width; `NO_WIDTH` where it has none."""


def line_names(sizes: Iterable[Size], lines: Lines) -> dict[Size, str]:
    """The name of the line of each size.

    Raises:
        InputError: ``lines`` is a mapping, and an encoder is in none of its groups.
    """
    sizes = list(sizes)
    match lines:
        case "width":
            return {(encoder, width): encoder for encoder, width in sizes}
        case "depth":
            return {(encoder, width): _depths(encoder, width) for encoder, width in sizes}
        case "all":
            return dict.fromkeys(sizes, ALL)
        case "auto":
            return _auto(sizes)
        case Mapping():
            return {(encoder, width): _group(encoder, lines) for encoder, width in sizes}
        case _:
            assert_never(lines)


def _auto(sizes: list[Size]) -> dict[Size, str]:
    widths: dict[str, int] = {}
    for encoder, _ in sizes:
        widths[encoder] = widths.get(encoder, 0) + 1
    single = [encoder for encoder, _ in sizes if widths[encoder] == 1]
    families = set(map(_family, single))
    joint = ALL if len(families) > 1 else "".join(families)
    alone = len(single) < 2
    return {
        (encoder, width): encoder if widths[encoder] > 1 or alone else joint
        for encoder, width in sizes
    }


def _depths(encoder: str, width: int) -> str:
    return _family(encoder) + (f", width {width}" if width != NO_WIDTH else "")


def _family(encoder: str) -> str:
    family = ENCODERS.get(encoder)  # an encoder of a user's own is a family of its own
    return family.name if family else encoder


def _group(encoder: str, lines: Mapping[str, tuple[str, ...]]) -> str:
    for name, encoders in lines.items():
        if encoder in encoders:
            return name
    raise InputError(f"lines: {encoder} is in none of the groups ({', '.join(lines)})")


def labels_on(lines: Mapping[Size, str]) -> dict[Size, str]:
    """What each size is called on its line: what differs between the sizes of that line.

    Args:
        lines: the line of each size, from `line_names`.

    >>> labels_on({("resnet18", 8): "resnet18", ("resnet18", 16): "resnet18"})
    {('resnet18', 8): 'width 8', ('resnet18', 16): 'width 16'}
    """
    labels = {}
    for (encoder, width), line in lines.items():
        others = [size for size, name in lines.items() if name == line]
        encoders = {other for other, _ in others}
        widths = {own for other, own in others if other == encoder}
        name = encoder.removeprefix("timm:")
        parts = [name] if len(encoders) > 1 else []
        if len(widths) > 1 or not parts:
            parts.append(f"width {width}" if width != NO_WIDTH else name)
        labels[encoder, width] = ", ".join(parts)
    return labels
