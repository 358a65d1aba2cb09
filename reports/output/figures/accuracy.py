"""Accuracy and error of each arm against capacity."""

from __future__ import annotations

import altair as alt
import pandas as pd

from reports.output.figures.style import (
    DASH,
    TIP,
    beside_each_other,
    capacity,
    legend,
    names,
    panelled,
    panels,
    points,
    told_apart,
)


def accuracy_figure(curves: pd.DataFrame) -> alt.FacetChart:
    """Accuracy of every arm against capacity, from `gain.accuracy_table`."""
    curves = panelled(curves.assign(place=beside_each_other(curves, curves["arm"])))
    color, shape = told_apart("arm", curves["arm"])
    base = alt.Chart(curves).encode(x=capacity(curves, "place"), color=color, detail="line:N")
    layers = [
        base.mark_line(strokeWidth=1.5).encode(
            y="accuracy:Q", strokeDash=legend(DASH, curves["line"])
        ),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            y=alt.Y("accuracy:Q", title="test accuracy, percent", scale=alt.Scale(zero=False)),
            shape=shape,
            tooltip=[*TIP, *map(points, ("accuracy", "low", "high")), "seeds:Q"],
        ),
    ]
    first = base.transform_filter(f"datum.arm == '{curves['arm'].iloc[0]}'")
    return panels([*layers, *names(first, curves, "accuracy")], 210, curves)


def scaling_figure(residuals: pd.DataFrame) -> alt.FacetChart:
    """Error and its power law against capacity, both logarithmic: `scaling.residual_table`."""
    residuals = panelled(residuals)
    color, shape = told_apart("arm", residuals["arm"])
    base = alt.Chart(residuals).encode(x=capacity(residuals), color=color, detail="line:N")
    axis = alt.Axis(format="~g", tickCount=4, labelOverlap=True)
    scale = alt.Scale(type="log", nice=False, padding=12)
    layers = [
        base.mark_line(strokeWidth=1.5, opacity=0.7).encode(
            y=alt.Y("fitted:Q", scale=scale), strokeDash=legend(DASH, residuals["line"])
        ),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            y=alt.Y("error:Q", title="test error, percent", scale=scale, axis=axis),
            shape=shape,
            tooltip=[*TIP, *map(points, ("error", "fitted", "residual"))],
        ),
    ]
    first = base.transform_filter(f"datum.arm == '{residuals['arm'].iloc[0]}'")
    return panels([*layers, *names(first, residuals, "error")], 180, residuals)
