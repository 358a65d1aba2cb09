"""Cells of printed tables. A kind says how a cell is printed, and from which columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from reports.output import numbers


def cell(row: Mapping[Any, Any], kind: str) -> str:
    """The text of one cell. ``kind`` is a style and its columns, for example ``span low high``.

    A style that is none of the named ones is a format of Python, such as ``.2f``.
    """
    style, *names = kind.split()
    values = [row[name] for name in names]
    match style:
        case "text":
            return "" if values[0] is None or values[0] != values[0] else str(values[0])
        case "yes":
            return "yes" if values[0] else ""
        case "span":
            return numbers.span(*values)
        case "factors":
            return numbers.factor_span(*values)
        case "width":
            return f"{values[0]:.0f}" if values[0] else "–"  # a model of timm has none
        case "p":
            return numbers.probability(float(values[0]))
        case "signed":
            return numbers.signed(float(values[0]))
        case _:
            return _formatted(float(values[0]), style)


def _formatted(value: float, style: str) -> str:
    if not math.isfinite(value):
        return "–"
    return format(int(value) if style.endswith("d") else value, style).replace("-", "−")


def is_text(kind: str) -> bool:
    """Whether cells of this kind stand at the left of their column; numbers stand at the right."""
    return kind.startswith("text")
