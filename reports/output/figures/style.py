"""What all figures share: colours, axes, panels and legends.

Colours come from the category range of the chart's configuration, so that a page can change them
for a dark screen. Series also differ in their shapes.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd

from reports.statistics.capacity import kind_of

LIGHT = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
"""Okabe and Ito's palette: people with every common kind of colour blindness tell it apart."""
PANEL = 300
"""Width of a panel, pixels."""
HEIGHT = 220
"""Height of a panel that compares gains, pixels."""
DASH = alt.StrokeDash("line:N", title="line")
TIP = ["dataset:N", "method:N", "arm:N", "encoder:N", "width:Q"]

alt.data_transformers.disable_max_rows()  # A figure shows every seed; a page holds thousands.


def styled(chart: Any) -> Any:
    """The chart with the house style; the palette is the light one."""
    return (
        chart.configure(font="system-ui, sans-serif", background="white")
        .configure_range(category=LIGHT)
        .configure_view(strokeOpacity=0)
        .configure_axis(
            gridOpacity=0.4, labelFontSize=11, titleFontSize=12, titleFontWeight="normal"
        )
        .configure_header(labelFontSize=13, labelFontWeight="bold", title=None, labelLimit=PANEL)
        .configure_legend(labelFontSize=12, titleFontSize=12, orient="top", symbolSize=90)
    )


def capacity(rows: pd.DataFrame, field: str = "capacity") -> alt.X:
    """An axis of capacity, on a logarithmic scale, with round numbers."""
    capacities = rows["capacity"].dropna().astype(float)
    low, high = capacities.min(), capacities.max()
    scale = alt.Scale(type="log", nice=False, padding=12)
    if low == high:  # an axis needs a length
        low, high = low / 2, high * 2
        scale.domain = [low, high]
    axis = alt.Axis(format="~s", values=round_ticks(low, high), labelOverlap="greedy", grid=False)
    return alt.X(
        f"{field}:Q", title=f"{rows['measure'].iloc[0]} of the encoder", axis=axis, scale=scale
    )


_STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8))
"""Numbers of a decade that are round, coarse steps first."""
_FEWEST_TICKS = 3


def round_ticks(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high``, three or more where there are so many.

    >>> round_ticks(44_000, 11_000_000)
    [100000.0, 1000000.0, 10000000.0]
    >>> round_ticks(44_000, 700_000)
    [50000.0, 100000.0, 200000.0, 500000.0]
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in _STEPS:
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= _FEWEST_TICKS:
            break
    return ticks


def line_at(rows: pd.DataFrame, value: float) -> alt.Chart:
    """A dashed line across each panel, drawn once."""
    panel = alt.Chart(rows).transform_aggregate(rows="count()", groupby=["panel"])
    return panel.mark_rule(strokeDash=[4, 3], opacity=0.6).encode(y=alt.datum(value))


def beside_each_other(
    rows: pd.DataFrame, series: pd.Series, beside: pd.Series | None = None
) -> pd.Series:
    """Positions on the axis: series of one capacity are 3 % of the axis apart; none is hidden.

    Args:
        rows: points, with ``capacity``.
        series: the series of each point.
        beside: further steps of 3 % to move each point; NaN for none.
    """
    capacities = rows["capacity"].astype(float)
    step = max(1.02, (capacities.max() / capacities.min()) ** 0.03)
    rank = series.rank(method="dense") - (series.nunique() + 1) / 2
    return capacities * step ** (rank if beside is None else rank + beside.fillna(0.0))


def names(base: alt.Chart, rows: pd.DataFrame, y: str) -> list[alt.Chart]:
    """Layers that name each point, where encoders of a line differ in more than their width.

    Names stand towards the middle of the axis, so that no edge cuts them.
    """
    if kind_of(rows["size"].dropna()) == "width":
        return []
    middle = float(np.sqrt(rows["capacity"].min() * rows["capacity"].max()))
    halves: dict[str, tuple[Literal["left", "right"], int]] = {
        f"datum.capacity <= {middle}": ("left", 7),
        f"datum.capacity > {middle}": ("right", -7),
    }
    return [
        base.transform_filter(half)
        .mark_text(align=align, dx=shift, dy=-9, fontSize=10)
        .encode(y=alt.Y(f"{y}:Q"), text="size:N")
        for half, (align, shift) in halves.items()
    ]


def told_apart(field: str, values: pd.Series) -> tuple[alt.Color, alt.Shape]:
    """Colour and shape of a field in one legend, so that a grey print can be read too.

    Vega merges the two legends only if both list the same values, so the domain is given.
    """
    scale = alt.Scale(domain=sorted(values.unique()))
    return (
        alt.Color(f"{field}:N", title=field, scale=scale),
        alt.Shape(f"{field}:N", title=field, scale=scale),
    )


def legend(channel: Any, values: pd.Series) -> Any:
    """The channel; without a legend if the legend would have one entry."""
    return channel if values.nunique() > 1 else channel.legend(None)


def points(field: str) -> alt.Tooltip:
    """A number in a tooltip, with two digits after the point."""
    return alt.Tooltip(f"{field}:Q", format=".2f")


def panelled(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column for the panel of each row, which names its data set and method."""
    return table.assign(panel=table["dataset"] + " · " + table["method"])


def panels(layers: list[alt.Chart], height: int, table: pd.DataFrame) -> alt.FacetChart:
    """One panel for each data set and method."""
    panels = len(table[["dataset", "method"]].drop_duplicates())
    return (
        alt.layer(*layers)
        .properties(width=PANEL, height=height)
        .facet("panel:N", columns=columns(panels))
        .resolve_scale(y="independent")
    )


def shared_scale(layers: list[alt.Chart], rows: pd.DataFrame) -> alt.FacetChart:
    """The panels of ``rows`` on one scale, so that gains compare across them."""
    return (
        alt.layer(*layers)
        .properties(width=PANEL, height=HEIGHT)
        .facet("panel:N", columns=columns(rows["panel"].nunique()))
    )


def columns(panels: int) -> int:
    """How many panels stand side by side: three, or two if that leaves no gap in the last row."""
    return 2 if panels in (2, 4) else min(panels, 3)
