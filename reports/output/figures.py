"""Each figure once, for page and paper alike: a finished frame in, an Altair chart out.

Colours come from the configuration's category range, so that a page can change them for a dark
screen; shapes repeat what colours say.
"""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

LIGHT = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
"""Okabe and Ito's palette: told apart with every common kind of colour blindness."""
PANEL = 300
HEIGHT = 220
PARAMETERS = "parameters of the encoder"

alt.data_transformers.disable_max_rows()  # every seed is shown; a page holds thousands easily


def _capacity(rows: pd.DataFrame, field: str = "parameters") -> alt.X:
    axis = alt.Axis(format="~s", tickCount=4, labelOverlap=True, grid=False)
    scale = alt.Scale(type="log", nice=False, padding=12)
    sizes = rows["parameters"]
    if sizes.nunique() == 1:  # an axis needs a length
        scale.domain = [float(sizes.iloc[0]) / 2, float(sizes.iloc[0]) * 2]
    return alt.X(f"{field}:Q", title=PARAMETERS, axis=axis, scale=scale)


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


def gain_figure(
    gains: pd.DataFrame, pairs: pd.DataFrame, trends: pd.DataFrame, chosen: pd.DataFrame
) -> alt.FacetChart:
    """Gain against parameters with intervals: one panel a data set, one colour a method.

    Where there are several arms, each has panels of its own.

    Args:
        gains: `gain.gain_table`.
        pairs: `gain.pairs`; every seed is a faint dot.
        trends: `trend.trend_table`; its lines are drawn through the mean gains.
        chosen: `fairness.chosen_table`; the configurations shown beside a point.
    """
    line = [*_LINE, "arm"]
    marks = gains.merge(_configurations(chosen), on=[*line, "width"], how="left")
    marks = marks.assign(kind="mean", config=marks["config"].astype("str").fillna("as configured"))
    dots = pairs[[*line, "width", "parameters", "seed", "gain", "trial_id"]].assign(kind="seed")
    dots["beside"] = 0.5  # a little to the right of the bar, which would hide them
    fits = _fitted(gains, trends).assign(kind="trend")
    rows = pd.concat([marks, dots, fits], ignore_index=True)
    # Methods and arms of one size stand side by side, so that bars do not hide bars.
    rows["place"] = _beside_each_other(rows, rows["method"], rows["beside"])
    several = rows["arm"].nunique() > 1
    rows["panel"] = rows["dataset"] + (" · " + rows["arm"] if several else "")
    color, shape = _told_apart("method", rows["method"])
    base = alt.Chart(rows).encode(
        x=_capacity(rows, "place"),
        color=color,
        detail="encoder:N",
    )
    mean = base.transform_filter("datum.kind == 'mean'")
    layers = [
        _line_at(rows, 0),
        base.transform_filter("datum.kind == 'trend'")
        .mark_line(strokeWidth=1.5, opacity=0.7)
        .encode(y=alt.Y("gain:Q"), strokeDash=_legend(_DASH, rows["encoder"])),
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
                alt.Tooltip("config:N", title="chosen"),
            ],
        ),
    ]
    if fits.empty:
        del layers[1]
    return _shared_scale(layers, rows)


def comparison_figure(here: pd.DataFrame, there: pd.DataFrame) -> alt.FacetChart:
    """Gain against parameters of two studies: a panel a problem and arm, one colour a study.

    Args:
        here, there: `gain.gain_table` of each, with its name in ``study``.
    """
    rows = pd.concat([here, there], ignore_index=True)
    rows["place"] = _beside_each_other(rows, rows["study"])
    rows = _panelled(rows)
    if rows["arm"].nunique() > 1:
        rows["panel"] += " · " + rows["arm"]
    color, shape = _told_apart("study", rows["study"])
    base = alt.Chart(rows).encode(x=_capacity(rows, "place"), color=color, detail="encoder:N")
    layers = [
        _line_at(rows, 0),
        base.mark_line(strokeWidth=1.5, opacity=0.7).encode(
            y=alt.Y("gain:Q"), strokeDash=_legend(_DASH, rows["encoder"])
        ),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            y=alt.Y("gain:Q", title="gain, percentage points", scale=alt.Scale(zero=True)),
            shape=shape,
            tooltip=["study:N", *_TIP, *map(_points, ("gain", "low", "high")), "pairs:Q"],
        ),
    ]
    return _shared_scale(layers, rows)


def _shared_scale(layers: list[alt.Chart], rows: pd.DataFrame) -> alt.FacetChart:
    """The panels of ``rows`` on one scale, so that gains compare across them."""
    return (
        alt.layer(*layers)
        .properties(width=PANEL, height=HEIGHT)
        .facet("panel:N", columns=_columns(rows["panel"].nunique()))
    )


def _line_at(rows: pd.DataFrame, value: float) -> alt.Chart:
    """A dashed line across each panel, drawn once."""
    line = alt.Chart(rows).transform_aggregate(rows="count()", groupby=["panel"])
    return line.mark_rule(strokeDash=[4, 3], opacity=0.6).encode(y=alt.datum(value))


def _beside_each_other(
    rows: pd.DataFrame, series: pd.Series, beside: pd.Series | None = None
) -> pd.Series:
    """Sizes moved apart by 3 % of the axis for each series, so that bars do not hide bars.

    Args:
        rows: with ``parameters``.
        series: what stands side by side.
        beside: steps to move besides; not a number for none.
    """
    sizes = rows["parameters"].astype(float)
    step = max(1.02, (sizes.max() / sizes.min()) ** 0.03)
    rank = series.rank(method="dense") - (series.nunique() + 1) / 2
    return sizes * step ** (rank if beside is None else rank + beside.fillna(0.0))


def _told_apart(field: str, values: pd.Series) -> tuple[alt.Color, alt.Shape]:
    """Colour and shape of a field in one legend, so that a grey print can be read too.

    Legends merge only where their domains are the same, which layers of other rows do not have.
    """
    scale = alt.Scale(domain=sorted(values.unique()))
    return (
        alt.Color(f"{field}:N", title=field, scale=scale),
        alt.Shape(f"{field}:N", title=field, scale=scale),
    )


_LINE = ["dataset", "method", "encoder"]
_DASH = alt.StrokeDash("encoder:N", title="encoder")
_TIP = ["dataset:N", "method:N", "encoder:N", "arm:N", "width:Q"]


def _configurations(chosen: pd.DataFrame) -> pd.DataFrame:
    """Each cell's chosen hyperparameters as one line of text."""
    keys = [*_LINE, "arm", "width"]
    if chosen.empty:
        return pd.DataFrame(columns=[*keys, "config"])
    text = chosen["hyperparameter"] + " " + chosen["choice"]
    lines = chosen[keys].assign(config=text).groupby(keys)["config"].agg(", ".join)
    return lines.reset_index()


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


def accuracy_figure(curves: pd.DataFrame) -> alt.FacetChart:
    """Accuracy of every arm against parameters: `gain.accuracy_table`, a panel a problem."""
    curves = _panelled(curves.assign(place=_beside_each_other(curves, curves["arm"])))
    color, shape = _told_apart("arm", curves["arm"])
    base = alt.Chart(curves).encode(x=_capacity(curves, "place"), color=color, detail="encoder:N")
    layers = [
        base.mark_line(strokeWidth=1.5).encode(
            y="accuracy:Q", strokeDash=_legend(_DASH, curves["encoder"])
        ),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            y=alt.Y("accuracy:Q", title="test accuracy, percent", scale=alt.Scale(zero=False)),
            shape=shape,
            tooltip=[*_TIP, *map(_points, ("accuracy", "low", "high")), "seeds:Q"],
        ),
    ]
    return _panels(layers, 210, curves)


def scaling_figure(residuals: pd.DataFrame) -> alt.FacetChart:
    """Error against parameters, both logarithmic: `scaling.residual_table`, with its power laws."""
    residuals = _panelled(residuals)
    color, shape = _told_apart("arm", residuals["arm"])
    base = alt.Chart(residuals).encode(x=_capacity(residuals), color=color, detail="encoder:N")
    axis = alt.Axis(format="~g", tickCount=4, labelOverlap=True)
    scale = alt.Scale(type="log", nice=False, padding=12)
    layers = [
        base.mark_line(strokeWidth=1.5, opacity=0.7).encode(
            y=alt.Y("fitted:Q", scale=scale), strokeDash=_legend(_DASH, residuals["encoder"])
        ),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            y=alt.Y("error:Q", title="test error, percent", scale=scale, axis=axis),
            shape=shape,
            tooltip=[*_TIP, *map(_points, ("error", "fitted", "residual"))],
        ),
    ]
    return _panels(layers, 180, residuals)


def equivalence_figure(table: pd.DataFrame) -> alt.FacetChart:
    """Capacity factor at each size: `equivalence.equivalence_table` with ``parameters``.

    Where the factor is only a bound, a triangle points to where it leads.
    """
    ends = {"within": "circle", "beyond": "triangle-up", "below": "triangle-down"}
    seen = [name for name in ends if (table["range"] == name).any()]
    # Infinite ends are drawn to the edge of what is shown.
    least, most = _factors_shown(table)
    shown = table.assign(low=table["low"].clip(lower=least), high=table["high"].clip(upper=most))
    shown = _panelled(shown.assign(place=_beside_each_other(shown, shown["arm"])))
    base = alt.Chart(shown).encode(
        x=_capacity(shown, "place"), color=alt.Color("arm:N", title="arm"), detail="encoder:N"
    )
    scale = alt.Scale(type="log", domain=[least, most], clamp=True, nice=False)
    axis = alt.Axis(values=[0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32], format="~g")
    layers = [
        _line_at(shown, 1),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            y=alt.Y("factor:Q", title="factor in parameters", scale=scale, axis=axis),
            shape=alt.Shape(
                "range:N",
                title="range measured",
                scale=alt.Scale(domain=seen, range=[ends[name] for name in seen]),
            ),
            tooltip=[*_TIP, *map(_points, ("factor", "low", "high")), "range:N", "seeds:Q"],
        ),
    ]
    return _panels(layers, 210, table)


def _factors_shown(table: pd.DataFrame) -> tuple[float, float]:
    """Powers of two around what was found, from at least a half to two, and at most 1/8 to 32."""
    found = table[["factor", "low", "high"]].to_numpy(float)
    found = found[np.isfinite(found) & (found > 0)]
    low, high = found.min(initial=0.75), found.max(initial=1.5)
    return max(0.125, 2.0 ** np.floor(np.log2(low))), min(32.0, 2.0 ** np.ceil(np.log2(high)))


def search_figure(curves: pd.DataFrame) -> alt.FacetChart:
    """Best validation accuracy so far against trials: `fairness.search_curves`, one line a cell."""
    cell = [*_LINE, "arm", "width"]
    known = _panelled(curves.dropna(subset=["best"]))
    # Steps are where it rises; the last trial shows how long the search went on.
    steps = known[known.groupby(cell)["best"].diff().ne(0) | ~known.duplicated(cell, keep="last")]
    longest = int(known["trial"].max())
    step = math.ceil(longest / 6)
    whole = [1, *range(max(2, step), longest + 1, step)]
    axis = alt.Axis(values=whole, format="d", grid=False)
    color, shape = _told_apart("arm", curves["arm"])
    base = alt.Chart(steps).encode(
        x=alt.X("trial:Q", title="trials of the search", axis=axis),
        y=alt.Y("best:Q", title="best validation accuracy", scale=alt.Scale(zero=False)),
        color=color,
        detail=["encoder:N", "width:N"],
        tooltip=[*_TIP, "trial:Q", _points("best")],
    )
    layers = [
        base.mark_line(interpolate="step-after", strokeWidth=1.5, opacity=0.9),
        base.mark_point(filled=True, size=18, opacity=0.8).encode(shape=shape),
    ]
    return _panels(layers, 210, curves)


def hyperparameter_figure(chosen: pd.DataFrame) -> alt.FacetChart:
    """The chosen hyperparameters against parameters: `fairness.chosen_table`, a panel each."""
    chosen = chosen[chosen["value"] > 0]  # zero and words have no place on a logarithmic axis
    color, shape = _told_apart("arm", chosen["arm"])
    base = alt.Chart(chosen).encode(
        x=_capacity(chosen),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(type="log", nice=False, padding=12)),
        color=color,
        detail=["dataset:N", "method:N", "encoder:N"],
        strokeDash=_legend(alt.StrokeDash("method:N", title="method"), chosen["method"]),
        tooltip=[*_TIP, "hyperparameter:N", alt.Tooltip("value:Q", format=".4g")],
    )
    layers = [
        base.mark_line(strokeWidth=1.2, opacity=0.7),
        base.mark_point(filled=True, size=50, opacity=1).encode(shape=shape),
    ]
    return (
        alt.layer(*layers)
        .properties(width=PANEL, height=150)
        .facet("hyperparameter:N", columns=_columns(chosen["hyperparameter"].nunique()))
        .resolve_scale(y="independent")
    )


def _columns(panels: int) -> int:
    """Panels side by side: three, or two where that leaves no hole."""
    return 2 if panels in (2, 4) else min(panels, 3)


def _legend(channel: Any, values: pd.Series) -> Any:
    """The channel, without a legend where it would name a single thing."""
    return channel if values.nunique() > 1 else channel.legend(None)


def _panelled(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the panel of each row: its data set and method."""
    return table.assign(panel=table["dataset"] + " · " + table["method"])


def _panels(layers: list[alt.Chart], height: int, table: pd.DataFrame) -> alt.FacetChart:
    """One panel for each data set and method."""
    panels = len(table[["dataset", "method"]].drop_duplicates())
    return (
        alt.layer(*layers)
        .properties(width=PANEL, height=height)
        .facet("panel:N", columns=_columns(panels))
        .resolve_scale(y="independent")
    )
