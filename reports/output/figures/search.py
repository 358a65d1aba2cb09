"""What the searches found, and how fast."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd

from reports.output.figures.style import (
    LIGHT,
    PANEL,
    TIP,
    capacity,
    columns,
    legend,
    panelled,
    panels,
    points,
    told_apart,
)
from reports.statistics.fairness import OF_CELL, mean_curves
from reports.statistics.hyperparameters import typical_values


def search_figure(curves: pd.DataFrame) -> alt.FacetChart:
    """Best validation accuracy so far against trials: `fairness.search_curves`.

    Each cell is a line, the mean of its searches. Each encoder has a colour, so that its arms can
    be compared.
    """
    known = panelled(mean_curves(curves).dropna(subset=["best"]))
    # Keep the trials at which the best rises, and the last one, where the search ended.
    rises = known.groupby(OF_CELL)["best"].diff().ne(0)
    steps = known[rises | ~known.duplicated(OF_CELL, keep="last")]
    longest = int(known["trial"].max())
    step = math.ceil(longest / 6)
    whole = [1, *range(max(2, step), longest + 1, step)]
    axis = alt.Axis(values=whole, format="d", grid=False)
    arms = alt.Scale(domain=sorted(curves["arm"].unique()))
    encoders = list(curves.groupby("size")["capacity"].max().sort_values(kind="stable").index)
    base = alt.Chart(steps).encode(
        x=alt.X("trial:Q", title="trials of the search", axis=axis),
        y=alt.Y("best:Q", title="best validation accuracy", scale=alt.Scale(zero=False)),
        color=alt.Color("size:N", title="encoder", scale=_colours(encoders)),
        strokeDash=alt.StrokeDash("arm:N", title="arm", scale=arms),
        detail=["encoder:N", "width:N"],
        tooltip=[*TIP, "trial:Q", points("best")],
    )
    layers = [
        base.mark_line(interpolate="step-after", strokeWidth=1.5, opacity=0.9),
        base.mark_point(filled=True, size=18, opacity=0.8).encode(
            shape=alt.Shape("arm:N", title="arm", scale=arms)
        ),
    ]
    return panels(layers, 210, curves)


def _colours(encoders: list[str]) -> alt.Scale:
    """A colour for each encoder, smallest first; a course of colours where the palette is short."""
    if len(encoders) <= len(LIGHT):
        return alt.Scale(domain=encoders)
    return alt.Scale(domain=encoders, scheme="viridis")


def hyperparameter_figure(chosen: pd.DataFrame) -> alt.FacetChart:
    """The chosen hyperparameters against capacity: `hyperparameters.chosen_table`.

    Each search is a point. Lines join the geometric means of the searches.
    """
    chosen = chosen[chosen["value"] > 0]  # a logarithmic axis has no place for zero and for text
    typical = typical_values(chosen).assign(search="mean")
    rows = pd.concat([chosen.assign(search=chosen["search"].astype(str)), typical])
    color, shape = told_apart("arm", chosen["arm"])
    base = alt.Chart(rows).encode(
        x=capacity(chosen),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(type="log", nice=False, padding=12)),
        color=color,
        tooltip=[*TIP, "search:N", "hyperparameter:N", alt.Tooltip("value:Q", format=".4g")],
    )
    layers = [
        base.transform_filter("datum.search === 'mean'")
        .mark_line(strokeWidth=1.5)
        .encode(
            detail=["dataset:N", "method:N", "encoder:N"],
            strokeDash=legend(alt.StrokeDash("method:N", title="method"), chosen["method"]),
        ),
        base.transform_filter("datum.search !== 'mean'")
        .mark_point(filled=True, size=40, opacity=0.7)
        .encode(shape=shape),
    ]
    return (
        alt.layer(*layers)
        .properties(width=PANEL, height=150)
        .facet("hyperparameter:N", columns=columns(chosen["hyperparameter"].nunique()))
        .resolve_scale(y="independent")
    )
