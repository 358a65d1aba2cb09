"""Cells of printed tables. A kind says how a cell is printed, and from which columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from reports.output import numbers


def cell(row: Mapping[Any, Any], kind: str) -> str:
    """The text of one cell. ``kind`` is a format and its columns, for example ``span low high``."""
    style, *names = kind.split()
    values = [row[name] for name in names]
    if style == "text":
        return "" if values[0] is None or values[0] != values[0] else str(values[0])
    if style == "yes":
        return "yes" if values[0] else ""
    if style == "span":
        return numbers.span(*values)
    if style == "factors":
        return numbers.factor_span(*values)
    value = float(values[0])
    if style == "width":
        return f"{value:.0f}" if value else "–"  # an encoder that comes in one size
    if style == "p":
        return numbers.probability(value)
    if style == "signed":
        return numbers.signed(value)
    if not math.isfinite(value):
        return "–"
    return format(int(value) if style.endswith("d") else value, style).replace("-", "−")


def is_text(kind: str) -> bool:
    """Whether cells of this kind stand at the left of their column; numbers stand at the right."""
    return kind.startswith("text")
