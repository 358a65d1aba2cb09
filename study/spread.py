"""How far a gain spreads over seeds: the power of a study rests on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from pandas.api.typing import SeriesGroupBy

from reports.statistics.fixed_recipe import against_none
from reports.statistics.gain import WIDTH, pairs
from reports.statistics.power import spread_range
from reports.statistics.selection import select
from reports.store.schema import COMPLETE

_UNKNOWN_ACCURACY = 0.5
"""As a share of the images: where an accuracy spreads most."""


@dataclass(frozen=True)
class Spread:
    """Standard deviation of one paired gain over seeds, points."""

    value: float
    low: float
    """Least value that it may stand for."""
    high: float
    source: str
    """Where it comes from, for people."""
    luck: float | None = None
    """Standard deviation of a gain over searches, beside that over seeds, points; None: unknown."""


def spread_of(trials: pd.DataFrame, given: float | None, test_images: int | None) -> Spread | None:
    """The spread that the user gives, that the recorded gains have, or that the test images set.

    Args:
        trials: the trials table of the study; it may be empty.
        given: by the user, points.
        test_images: of the study's smallest test split.

    Returns:
        None where nothing is known: no spread is given, no gain is recorded twice, and the number
        of test images is unknown.

    Where each search has one confirm seed, the default configuration tells: every search trains it
    first, on a seed of its own.
    """
    if given is not None:
        return Spread(given, given, given, "given")
    gains = pairs(select(trials))
    found, source = gain_spread(gains), "of the gains in these results"
    if found is None:
        found = default_spread(trials)
        source = "of the default configurations' gains in these results"
    if found:
        value, freedom = found
        return Spread(value, *spread_range(value, freedom), source, luck_of(gains, value))
    if test_images is None:
        return None
    accuracy = trials.loc[trials["status"] == COMPLETE, "accuracy"].astype(float).mean() / 100
    known = math.isfinite(accuracy)
    value = expected_spread(test_images, accuracy if known else _UNKNOWN_ACCURACY)
    pilot = f"at the recorded accuracy of {100 * accuracy:.0f} %" if known else "at 50 % accuracy"
    source = f"expected for {test_images:,} test images {pilot}"
    return Spread(value, *spread_range(value, 0), source)


def gain_spread(gains: pd.DataFrame) -> tuple[float, int] | None:
    """Standard deviation of a gain over the seeds of one search, points, and its freedom.

    It is pooled over all searches of all cells in ``gains``, which are the report's (`gain.pairs`).
    None without a search of two pairs.
    """
    return _pooled(gains.groupby([*WIDTH, "search"])["gain"])


def default_spread(trials: pd.DataFrame) -> tuple[float, int] | None:
    """As `gain_spread`, of the gains of the default configuration on validation images."""
    gains = against_none(trials).dropna(subset="fixed")
    return _pooled(gains.groupby(["study", *WIDTH])["fixed"])


def luck_of(gains: pd.DataFrame, spread: float) -> float | None:
    """Standard deviation of a gain over searches, beside ``spread`` over their seeds, points.

    It is what the means of searches differ by more than their seeds explain. None where no cell
    has the gains of two searches. ``gains`` are the report's (`gain.pairs`).
    """
    of_searches = gains.groupby([*WIDTH, "search"])["gain"].agg(["mean", "size"])
    found = _pooled(of_searches.groupby(WIDTH)["mean"])
    if found is None:
        return None
    of_seeds = spread**2 * float((1 / of_searches["size"]).mean())
    return math.sqrt(max(0.0, found[0] ** 2 - of_seeds))


def _pooled(groups: SeriesGroupBy) -> tuple[float, int] | None:
    """The standard deviation within groups, pooled over them, and its degrees of freedom."""
    freedom = int((groups.size() - 1).sum())
    squares = (groups.var() * (groups.size() - 1)).sum()  # a group of one has no variance
    return (math.sqrt(squares / freedom), freedom) if freedom else None


def expected_spread(test_images: int, accuracy: float) -> float:
    """Standard deviation of a gain over seeds if each test image is right or wrong by chance.

    Runs that differ in their seed alone disagree about as much as that (Jordan 2023,
    arXiv:2304.01910): an accuracy spreads over seeds by at most the binomial's deviation.

    Args:
        test_images: their number.
        accuracy: of both arms, as a share.

    >>> round(expected_spread(10_000, 0.9), 2)
    0.42
    """
    return 100 * math.sqrt(2 * accuracy * (1 - accuracy) / test_images)
