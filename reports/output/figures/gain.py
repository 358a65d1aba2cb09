"""Gain against capacity, of one study or of two."""

from __future__ import annotations

import altair as alt
import pandas as pd

from reports.output.figures.style import (
    DASH,
    TIP,
    beside_each_other,
    capacity,
    legend,
    line_at,
    names,
    panelled,
    points,
    shared_scale,
    told_apart,
)
from reports.statistics.capacity import OF_SIZE, SIZE
from reports.statistics.selection import CELL, LINE_ARM
from reports.statistics.trend import fitted_gains


def gain_figure(
    gains: pd.DataFrame, pairs: pd.DataFrame, trends: pd.DataFrame, chosen: pd.DataFrame
) -> alt.FacetChart:
    """Gain against capacity with intervals: a panel for each data set, a colour for each method.

    If there are several arms, each arm has panels of its own.

    Args:
        gains: `gain.gain_table`.
        pairs: `gain.pairs`; each seed is drawn as a faint dot.
        trends: `trend.trend_table`; each trend is drawn through the mean gains.
        chosen: `hyperparameters.chosen_table`; a point shows its configuration in its tooltip.
    """
    fits = fitted_gains(gains, trends).assign(kind="trend")
    rows = _gain_rows(gains, pairs, fits, chosen)
    color, shape = told_apart("method", rows["method"])
    base = alt.Chart(rows).encode(
        x=capacity(rows, "place"),
        color=color,
        detail="line:N",
    )
    mean = base.transform_filter("datum.kind == 'mean'")
    layers = [
        line_at(rows, 0),
        base.transform_filter("datum.kind == 'trend'")
        .mark_line(strokeWidth=1.5, opacity=0.7)
        .encode(y=alt.Y("gain:Q"), strokeDash=legend(DASH, rows["line"])),
        base.transform_filter("datum.kind == 'seed'")
        .mark_circle(size=16, opacity=0.45)
        .encode(
            y=alt.Y("gain:Q"),
            tooltip=[*TIP, alt.Tooltip("seed:Q", format="d"), points("gain"), "trial_id:N"],
        ),
        mean.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q"),
        mean.mark_point(filled=True, size=80, opacity=1).encode(
            y=alt.Y("gain:Q", title="gain, percentage points", scale=alt.Scale(zero=True)),
            shape=shape,
            tooltip=[
                *TIP,
                alt.Tooltip("parameters:Q", format=",d"),
                points("gain"),
                points("low"),
                points("high"),
                "pairs:Q",
                "seeds:N",
                alt.Tooltip("p:Q", format=".3f", title="sign-flip p"),
                alt.Tooltip("config:N", title="chosen"),
            ],
        ),
    ]
    if fits.empty:
        del layers[1]
    layers += names(mean, rows, "gain")
    return shared_scale(layers, rows)


def _gain_rows(
    gains: pd.DataFrame, pairs: pd.DataFrame, fits: pd.DataFrame, chosen: pd.DataFrame
) -> pd.DataFrame:
    """Means, single seeds and trends in one frame, since a faceted figure takes only one."""
    marks = gains.merge(_configurations(chosen), on=CELL, how="left")
    marks = marks.assign(kind="mean", config=marks["config"].astype("str").fillna("as configured"))
    dots = pairs[[*LINE_ARM, *SIZE, *OF_SIZE, "parameters", "seed", "gain", "trial_id"]].assign(
        kind="seed"
    )
    dots["beside"] = 0.5  # a little to the right of the bar, which would hide them
    rows = pd.concat([marks, dots, fits], ignore_index=True)
    # Methods and arms of one capacity stand side by side, so that bars do not hide bars.
    rows["place"] = beside_each_other(rows, rows["method"], rows["beside"])
    has_arms = rows["arm"].nunique() > 1
    rows["panel"] = rows["dataset"] + (" · " + rows["arm"] if has_arms else "")
    return rows


def comparison_figure(ours: pd.DataFrame, theirs: pd.DataFrame) -> alt.FacetChart:
    """Gain against capacity: a panel for each data set, method and arm, a colour for each study.

    Args:
        ours: `gain.gain_table` of the first study, with its name in ``study``.
        theirs: the same of the second study.
    """
    rows = pd.concat([ours, theirs], ignore_index=True)
    rows["place"] = beside_each_other(rows, rows["study"])
    rows = panelled(rows)
    if rows["arm"].nunique() > 1:
        rows["panel"] += " · " + rows["arm"]
    color, shape = told_apart("study", rows["study"])
    base = alt.Chart(rows).encode(x=capacity(rows, "place"), color=color, detail="line:N")
    layers = [
        line_at(rows, 0),
        base.mark_line(strokeWidth=1.5, opacity=0.7).encode(
            y=alt.Y("gain:Q"), strokeDash=legend(DASH, rows["line"])
        ),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            y=alt.Y("gain:Q", title="gain, percentage points", scale=alt.Scale(zero=True)),
            shape=shape,
            tooltip=["study:N", *TIP, *map(points, ("gain", "low", "high")), "pairs:Q"],
        ),
    ]
    return shared_scale(layers, rows)


def _configurations(chosen: pd.DataFrame) -> pd.DataFrame:
    """Each cell's chosen hyperparameters as one line of text, search by search."""
    if chosen.empty:
        return pd.DataFrame(columns=[*CELL, "config"])
    text = chosen["hyperparameter"] + " " + chosen["choice"]
    by_search = chosen[[*CELL, "search"]].assign(config=text).groupby([*CELL, "search"])["config"]
    found = by_search.agg(", ".join).reset_index()
    repeated = found.groupby(CELL)["search"].transform("nunique") > 1
    numbered = "search " + found["search"].astype(str) + ": " + found["config"]
    found["config"] = found["config"].mask(repeated, numbered)
    return found.groupby(CELL)["config"].agg("; ".join).reset_index()
