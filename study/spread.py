"""How far a gain spreads over seeds: the power of a study rests on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

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


def spread_of(trials: pd.DataFrame, given: float | None, test_images: int | None) -> Spread | None:
    """The spread that the user gives, that the recorded gains have, or that the test images set.

    Args:
        trials: the trials table of the study; it may be empty.
        given: by the user, points.
        test_images: of the study's smallest test split.

    Returns:
        None where nothing is known: no spread is given, no gain is recorded twice, and the number
        of test images is unknown.
    """
    if given is not None:
        return Spread(given, given, given, "given")
    if recorded := gain_spread(trials):
        value, freedom = recorded
        return Spread(value, *spread_range(value, freedom), "of the gains in these results")
    if test_images is None:
        return None
    accuracy = trials.loc[trials["status"] == COMPLETE, "accuracy"].astype(float).mean() / 100
    known = math.isfinite(accuracy)
    value = expected_spread(test_images, accuracy if known else _UNKNOWN_ACCURACY)
    pilot = f"at the recorded accuracy of {100 * accuracy:.0f} %" if known else "at 50 % accuracy"
    source = f"expected for {test_images:,} test images {pilot}"
    return Spread(value, *spread_range(value, 0), source)


def gain_spread(trials: pd.DataFrame) -> tuple[float, int] | None:
    """Standard deviation of a gain over the seeds of one search, points, and its freedom.

    It is pooled over all searches of all cells in ``trials``. Trials are selected and paired by the
    report's rules. None without a search of two pairs.
    """
    gains = pairs(select(trials)).groupby([*WIDTH, "search"])["gain"]
    freedom = int((gains.size() - 1).sum())
    squares = (gains.var() * (gains.size() - 1)).sum()  # a search of one pair has no variance
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
