"""The capacity that the baseline needs to match an arm."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from reports.output.figures.style import (
    TIP,
    beside_each_other,
    capacity,
    line_at,
    names,
    panelled,
    panels,
    points,
)
from reports.statistics.equivalence import BELOW, BEYOND, WITHIN


def equivalence_figure(table: pd.DataFrame) -> alt.FacetChart:
    """The capacity factor at each encoder, from `equivalence.equivalence_table`.

    If the factor is only a bound, a triangle points to the side on which the true factor lies.
    """
    ends = {WITHIN: "circle", BEYOND: "triangle-up", BELOW: "triangle-down"}
    seen = [name for name in ends if (table["range"] == name).any()]
    # Infinite ends are drawn to the edge of what is shown.
    least, most = _factors_shown(table)
    shown = table.assign(low=table["low"].clip(lower=least), high=table["high"].clip(upper=most))
    shown = panelled(shown.assign(place=beside_each_other(shown, shown["arm"])))
    base = alt.Chart(shown).encode(
        x=capacity(shown, "place"), color=alt.Color("arm:N", title="arm"), detail="line:N"
    )
    title = f"factor in {table['measure'].iloc[0]}"
    scale = alt.Scale(type="log", domain=[least, most], clamp=True, nice=False)
    powers = [2.0**power for power in range(-3, 6)]  # outside the scale they would be clamped to it
    axis = alt.Axis(values=[factor for factor in powers if least <= factor <= most], format="~g")
    layers = [
        line_at(shown, 1),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            y=alt.Y("factor:Q", title=title, scale=scale, axis=axis),
            shape=alt.Shape(
                "range:N",
                title="range measured",
                scale=alt.Scale(domain=seen, range=[ends[name] for name in seen]),
            ),
            tooltip=[*TIP, *map(points, ("factor", "low", "high")), "range:N", "units:Q"],
        ),
    ]
    first = base.transform_filter(f"datum.arm == '{shown['arm'].iloc[0]}'")
    return panels([*layers, *names(first, shown, "factor")], 210, table)


def _factors_shown(table: pd.DataFrame) -> tuple[float, float]:
    """Powers of two around the factors: at least from 1/2 to 2, and at most from 1/8 to 32."""
    found = table[["factor", "low", "high"]].to_numpy(float)
    found = found[np.isfinite(found) & (found > 0)]
    low, high = found.min(initial=0.75), found.max(initial=1.5)
    return max(0.125, 2.0 ** np.floor(np.log2(low))), min(32.0, 2.0 ** np.ceil(np.log2(high)))
