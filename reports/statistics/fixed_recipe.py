"""Method or recipe: the gain and its slope at a fixed recipe, beside those after tuning.

The first trial of every search is the default configuration. So each search also measures, on
validation images, what the arm gains where nothing is tuned. If the gain falls with capacity after
tuning but not at the fixed recipe, the tuning brings the trend, not the method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.statistics.capacity import SIZE, encoders_on
from reports.statistics.gain import WIDTH
from reports.statistics.intervals import t_interval
from reports.statistics.lines import contrast
from reports.statistics.selection import BASELINE, LINE, LINE_ARM, with_keys
from reports.store.schema import COMPLETE, TUNE

_SEARCH = ["study", *LINE, *SIZE, "search"]
VALUES = ["fixed", "tuned", "tuning", "late"]
_COLUMNS = [name + end for name in VALUES for end in ("", "_low", "_high")]


@dataclass(frozen=True)
class FixedRecipe:
    """Both tables have, for each of four values, its mean over searches and Student's 95 % interval
    (``_low``, ``_high``; NaN with one search), and ``searches``, their number.

    - ``fixed``: at the default configuration, on validation images, with the search's own seed.
    - ``tuned``: of the configurations that the searches found, on test images (confirm trials).
    - ``tuning``: ``tuned`` minus ``fixed``, what tuning explains.
    - ``late``: what the second half of a search still added to the best validation accuracy, with
      the arm minus without it.

    Attributes:
        gains: by line, arm and width; points.
        slopes: by line and arm, of the searches that have every width; points per doubling of the
            capacity, which ``measure`` names.
    """

    gains: pd.DataFrame
    slopes: pd.DataFrame


def fixed_recipe(pairs: pd.DataFrame, trials: pd.DataFrame) -> FixedRecipe:
    """The gains and slopes of the searches that have confirm pairs.

    A search that also varies the width has no fixed recipe at each width; it is left out.

    Args:
        pairs: `gain.pairs`.
        trials: the trials table.
    """
    found = _by_search(pairs, trials)
    gains = [
        dict(zip(WIDTH, key, strict=True))
        | {"parameters": int(group["parameters"].iloc[0])}
        | _summary({name: group[name].to_numpy(float) for name in VALUES})
        for key, group in found.groupby(WIDTH, sort=True)
    ]
    slopes = [
        dict(zip(LINE_ARM, key, strict=True))
        | {"measure": group["measure"].iloc[0], "widths": encoders_on(group)}
        | _summary({name: _slopes(group, name) for name in VALUES})
        for key, group in found.groupby(LINE_ARM, sort=True)
        if encoders_on(group) > 1
    ]
    return FixedRecipe(
        pd.DataFrame(gains, columns=[*WIDTH, "parameters", "searches", *_COLUMNS]),
        pd.DataFrame(slopes, columns=[*LINE_ARM, "measure", "widths", "searches", *_COLUMNS]),
    )


def _by_search(pairs: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each search of a width with an arm: the four values, and the capacity."""
    key = [*_SEARCH, "arm", "parameters", "capacity", "measure"]
    tuned = pairs.groupby(key, as_index=False).agg(tuned=("gain", "mean"))
    both = tuned.merge(against_none(trials), on=[*_SEARCH, "arm"])
    return both.assign(tuning=both["tuned"] - both["fixed"])


def against_none(trials: pd.DataFrame) -> pd.DataFrame:
    """What each search of an arm measured on validation images, minus the same search of `none`.

    Returns:
        ``study``, `gain.WIDTH` and ``search``; ``fixed`` and ``late`` (`FixedRecipe`), points.
    """
    searches = _searches(trials)
    none = searches[searches["arm"] == BASELINE].drop(columns="arm")
    both = searches[searches["arm"] != BASELINE].merge(none, on=_SEARCH, suffixes=("", "_none"))
    values = {"fixed": both["first"] - both["first_none"], "late": both["late"] - both["late_none"]}
    return both[[*_SEARCH, "arm"]].assign(**values)


def _searches(trials: pd.DataFrame) -> pd.DataFrame:
    """Of each search: ``first``, the accuracy of the default configuration, and ``late``."""
    tune = with_keys(trials[trials["phase"] == TUNE])
    tune = tune[tune.groupby(["study", "cell"])["width"].transform("nunique") == 1]
    number = tune["number"].astype(float)
    key = [*_SEARCH, "arm"]
    early = number < (tune.groupby(key)["number"].transform("max").astype(float) + 1) / 2
    scores = tune["accuracy"].astype(float).where(tune["status"] == COMPLETE)
    values = tune[key].assign(
        first=scores.where(number == 0), early=scores.where(early), best=scores
    )
    table = values.groupby(key, as_index=False).max()
    return table.assign(late=table["best"] - table["early"])


def _slopes(group: pd.DataFrame, name: str) -> np.ndarray:
    """The slope of each search that has every width of the line."""
    values = group.pivot_table(index="search", columns=["capacity", *SIZE], values=name)
    capacities = values.columns.get_level_values("capacity").to_numpy(float)
    return values.dropna().to_numpy(float) @ contrast(capacities)


def _summary(values: dict[str, np.ndarray]) -> dict[str, object]:
    row: dict[str, object] = {"searches": len(values["tuned"])}
    for name, every in values.items():
        known = every[np.isfinite(every)]
        low, high = t_interval(known)
        mean = float(known.mean()) if len(known) else np.nan
        row |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return row
