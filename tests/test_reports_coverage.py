"""Simulated studies: intervals hold the truth as often as they say, tests do not cry wolf.

The whole table, with what does not cover, is in docs/statistics.md.
"""

from dataclasses import replace

import pytest

from tests import simulated_coverage
from tests.simulated_coverage import (
    OF_SEARCHES,
    factor_coverage,
    gain_coverage,
    pooled_coverage,
    slope_coverage,
    verdicts,
)
from tests.synthetic_study import Truth

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
STUDIES = simulated_coverage.STUDIES // 2
"""A half of those of the table: enough to see a fault, in half of the time."""
SEEDS = pytest.mark.parametrize("seeds", [3, 10])
MARGIN = 2.1
HALF_MARGIN = 3.0  # the same number of standard errors, for half as many studies
QUARTER_MARGIN = 4.2  # and for a quarter
ONE_LINE = Truth(methods=("moco",), widths=(4, 8, 16, 32), slope=0.0)


@SEEDS
def test_intervals_of_the_gain_cover(seeds):
    found = gain_coverage(seeds, STUDIES)
    assert found["Student's t"] == pytest.approx(95, abs=MARGIN)
    # scipy's own falls short at every one of these sizes; ours is only given where it does not
    assert found["BCa as scipy gives it"] < 95 - MARGIN
    if seeds >= 10:
        assert found["BCa, expanded"] == pytest.approx(95, abs=MARGIN)
    else:
        assert "BCa, expanded" not in found


@SEEDS
def test_intervals_of_the_slope_cover_and_its_test_does_not_cry_wolf(seeds):
    found = slope_coverage(replace(ONE_LINE, seeds=seeds), STUDIES)
    assert found["over seeds"] == pytest.approx(95, abs=MARGIN)
    assert found["over widths"] == pytest.approx(95, abs=MARGIN)
    assert found["false"] <= 5


@SEEDS
def test_luck_in_each_search_is_covered_too(seeds):
    found = slope_coverage(replace(ONE_LINE, seeds=seeds, luck=0.5), STUDIES // 2)
    assert found["over seeds"] < 90  # what the interval over widths is there for
    assert found["over widths"] == pytest.approx(95, abs=HALF_MARGIN)
    assert found["the wider"] >= 95 - HALF_MARGIN
    assert found["false"] <= 6  # 5 % and the simulation's own error


@SEEDS
def test_pooled_intervals_cover(seeds):
    truth = Truth(datasets=("a", "b", "c", "d"), methods=("moco",), slope=0.0, seeds=seeds)
    found = pooled_coverage(replace(truth, luck=0.3), STUDIES // 2, spread=0.2)
    assert found["data sets like these"] == pytest.approx(95, abs=HALF_MARGIN)
    assert found["pooled"] >= 95 - HALF_MARGIN
    assert found["hierarchical bootstrap"] < 95 - MARGIN


def test_every_line_at_once_is_wrong_in_one_study_of_twenty():
    truth = Truth(datasets=("a", "b"), widths=(4, 8, 16), slope=0.0, luck=0.3)
    assert slope_coverage(truth, STUDIES // 2)["false, any line after Holm"] <= 5


def test_the_capacity_factor_covers_without_bias():
    truth = Truth(widths=(4, 8, 16, 32, 64), slope=-0.2, seeds=3)
    found = factor_coverage(truth, STUDIES // 4)
    assert found["coverage"] == pytest.approx(95, abs=QUARTER_MARGIN)
    assert abs(found["bias"]) < 3


FALSE = [name for name in OF_SEARCHES if name.startswith(("flat", "hump 0, 1, 1, 0"))]


@pytest.mark.parametrize("setting", FALSE)
def test_verdicts_over_three_searches_are_wrong_in_one_study_of_twenty(setting):
    truth, trouble = OF_SEARCHES[setting]
    found = verdicts(replace(truth, searches=3, seeds=1), trouble, STUDIES // 2)
    assert found["supports"] + found["contradicts"] <= 5 + HALF_MARGIN
    assert found["coverage"] >= 95 - HALF_MARGIN
