"""Figures for a paper, which includes them without scaling them.

A figure of one panel is as wide as a column, one of several panels as wide as the text of a page.
Letters are 8 to 9 points high, as in the text of a paper. The widths are those of common two-column
styles (ICML, CVPR: a column of 3.25 inches, a text of 6.75 or more).
"""

from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ET
from typing import Any

import vl_convert

COLUMN_INCHES = 3.25
TEXT_INCHES = 6.75
_PIXELS = 96
"""Of an inch, in SVG and CSS."""
_HEIGHT = 150
"""Of a panel, pixels."""
_NARROWEST = 110
"""Least width of a panel in pixels, however wide its legend is."""
_BESIDE_PANEL = 50
"""Pixels for the axis of a panel, a first guess."""
_SMALL, _LARGE = 11, 12
"""Heights of letters in pixels: 8.25 and 9 points."""


def paper_svg(spec: dict[str, Any]) -> str:
    """The figure as SVG, as wide as a column or the text of a paper.

    Args:
        spec: a styled Vega-Lite specification of panels, as `charts.charts_of` returns them.
    """
    spec = copy.deepcopy(spec)
    rows = [row for data in spec["datasets"].values() for row in data]
    panels = len({row[spec["facet"]["field"]] for row in rows if spec["facet"]["field"] in row})
    columns = 1 if panels == 1 else min(spec["columns"], 3)
    room = _PIXELS * (COLUMN_INCHES if columns == 1 else TEXT_INCHES)
    spec["columns"] = columns
    spec["spec"] |= {"width": room / columns - _BESIDE_PANEL, "height": _HEIGHT}
    config = spec["config"]
    config["axis"] |= {"labelFontSize": _SMALL, "titleFontSize": _LARGE}
    config["header"] |= {"labelFontSize": _LARGE}
    config["legend"] |= {"labelFontSize": _SMALL, "titleFontSize": _LARGE, **_legend(columns)}
    # How much axes and legends take is known once the figure is drawn: draw it again to fit.
    over = _width(_svg(spec)) - room
    spec["spec"]["width"] = max(_NARROWEST, int(spec["spec"]["width"] - over / columns))
    config["header"]["labelLimit"] = spec["spec"]["width"]
    return _svg(spec)


def in_points(svg: str) -> str:
    """The figure with width and height in points: the writer of PDF takes a pixel for a point."""

    def scaled(match: re.Match[str]) -> str:
        return f'{match[1]}="{float(match[2]) * 72 / _PIXELS:g}"'

    tag, end, rest = svg.partition(">")
    return re.sub(r'\b(width|height)="([0-9.]+)"', scaled, tag) + end + rest


def _legend(columns: int) -> dict[str, Any]:
    """In a column a legend needs rows; beside a wide figure it fits one line."""
    if columns == 1:
        return {"columns": 2, "titleOrient": "top", "symbolSize": 60}
    return {"columns": 5, "titleOrient": "left"}


def _svg(spec: dict[str, Any]) -> str:
    return str(vl_convert.vega_to_svg(vl_convert.vegalite_to_vega(spec)))


def _width(svg: str) -> float:
    return float(ET.fromstring(svg).attrib["width"])
