"""Each figure once, for page and paper alike: a finished frame in, an Altair chart out.

Colours come from the configuration's category range, so that a page can change them for a dark
screen; shapes repeat what colours say.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

LIGHT = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
"""Okabe and Ito's palette: told apart with every common kind of colour blindness."""
PANEL = 300
HEIGHT = 220
PARAMETERS = "parameters of the encoder"


def _capacity(scale: alt.Scale | None = None) -> alt.X:
    axis = alt.Axis(format="~s", tickCount=4, labelOverlap=True, grid=False)
    return alt.X(
        "parameters:Q",
        title=PARAMETERS,
        axis=axis,
        scale=scale or alt.Scale(type="log", nice=False, padding=12),
    )


def styled(chart: Any) -> Any:
    """The chart with the house style; the palette is the light one."""
    return (
        chart.configure(font="system-ui, sans-serif", background="white")
        .configure_range(category=LIGHT)
        .configure_view(strokeOpacity=0)
        .configure_axis(
            gridOpacity=0.4, labelFontSize=11, titleFontSize=12, titleFontWeight="normal"
        )
        .configure_header(labelFontSize=13, labelFontWeight="bold", title=None)
        .configure_legend(labelFontSize=12, titleFontSize=12, orient="top", symbolSize=90)
    )


def gain_figure(gains: pd.DataFrame, pairs: pd.DataFrame, trends: pd.DataFrame) -> alt.FacetChart:
    """Gain against parameters with intervals: one panel a data set, one colour a method.

    Args:
        gains: `gain.gain_table`.
        pairs: `gain.pairs`; every seed is a faint dot.
        trends: `trend.trend_table`; its lines are drawn through the mean gains.
    """
    line = [*_LINE, "arm"]
    marks = gains.assign(kind="mean")
    dots = pairs[[*line, "width", "parameters", "seed", "gain", "trial_id"]].assign(kind="seed")
    fits = _fitted(gains, trends).assign(kind="trend")
    rows = pd.concat([marks, dots, fits], ignore_index=True)
    base = alt.Chart(rows).encode(
        x=_capacity(),
        color=alt.Color("method:N", title="method"),
        detail=["encoder:N", "arm:N"],
    )
    shape = alt.Shape("arm:N", title="arm")
    mean = base.transform_filter("datum.kind == 'mean'")
    layers = [
        alt.Chart(rows).mark_rule(strokeDash=[4, 3], opacity=0.6).encode(y=alt.datum(0)),
        base.transform_filter("datum.kind == 'trend'")
        .mark_line(strokeWidth=1.5, opacity=0.7)
        .encode(y=alt.Y("gain:Q"), strokeDash=alt.StrokeDash("encoder:N", title="encoder")),
        base.transform_filter("datum.kind == 'seed'")
        .mark_circle(size=16, opacity=0.45)
        .encode(
            y=alt.Y("gain:Q"),
            tooltip=[*_TIP, alt.Tooltip("seed:Q", format="d"), _points("gain"), "trial_id:N"],
        ),
        mean.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q"),
        mean.mark_point(filled=True, size=80, opacity=1).encode(
            y=alt.Y("gain:Q", title="gain, percentage points", scale=alt.Scale(zero=True)),
            shape=shape,
            tooltip=[
                *_TIP,
                alt.Tooltip("parameters:Q", format=",d"),
                _points("gain"),
                _points("low"),
                _points("high"),
                "pairs:Q",
                "seeds:N",
                alt.Tooltip("p:Q", format=".3f", title="sign-flip p"),
                alt.Tooltip("config:N", title="config") if "config" in rows else "arm:N",
            ],
        ),
    ]
    return alt.layer(*layers).properties(width=PANEL, height=HEIGHT).facet("dataset:N", columns=3)


_LINE = ["dataset", "method", "encoder"]
_TIP = ["dataset:N", "method:N", "encoder:N", "arm:N", "width:Q"]


def _points(field: str) -> alt.Tooltip:
    return alt.Tooltip(f"{field}:Q", format=".2f")


def _fitted(gains: pd.DataFrame, trends: pd.DataFrame) -> pd.DataFrame:
    """The trend lines' values at each width, through the centre of the mean gains."""
    fitted = gains.merge(trends[[*_LINE, "arm", "slope"]], on=[*_LINE, "arm"])
    doublings = fitted["parameters"].astype(float).map(np.log2)
    by_line = [fitted[column] for column in (*_LINE, "arm")]
    centre = doublings - doublings.groupby(by_line).transform("mean")
    level = fitted["gain"].groupby(by_line).transform("mean")
    fitted["gain"] = level + fitted["slope"] * centre
    return fitted[[*_LINE, "arm", "width", "parameters", "gain"]].dropna()
