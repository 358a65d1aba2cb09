"""The gain of each class."""

from __future__ import annotations

import altair as alt
import pandas as pd

from reports.output.figures.style import PANEL, columns, points, told_apart
from reports.statistics.selection import LINE

_NAMED = 20
"""Above this number classes stand on a plain axis, without a name each."""


def class_figure(classes: pd.DataFrame) -> alt.FacetChart:
    """Gain of each class with its interval for other images: `per_image.PerImage.classes`."""
    rows = classes.assign(panel=classes[LINE].agg(" · ".join, axis=1))
    color, shape = told_apart("arm", rows["arm"])
    few = rows["class"].nunique() <= _NAMED
    x = alt.X(
        "class:O" if few else "class:Q", title="class", axis=alt.Axis(grid=False, labelAngle=0)
    )
    base = alt.Chart(rows).encode(
        x=x,
        color=color,
        tooltip=["arm:N", "class:O", "images:Q", points("gain"), points("low"), points("high")],
    )
    if few and rows["arm"].nunique() > 1:
        base = base.encode(xOffset="arm:N")
    overall = alt.Chart(rows).mark_rule(strokeDash=[4, 3], opacity=0.6)
    layers = [
        overall.encode(y="mean(overall):Q", color=color),
        base.mark_rule(opacity=0.7).encode(
            y=alt.Y("low:Q", title="gain, percentage points"), y2="high:Q"
        ),
        base.mark_point(filled=True, size=40, opacity=1).encode(y="gain:Q", shape=shape),
    ]
    return (
        alt.layer(*layers)
        .properties(width=PANEL, height=200)
        .facet("panel:N", columns=columns(rows["panel"].nunique()))
    )
