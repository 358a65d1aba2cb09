"""Dimensional collapse is named: far fewer dimensions than the partner of the same seed."""

import numpy as np
import pandas as pd
import pytest

from reports.output.sentences.collapse import collapse_words
from reports.statistics.collapse import collapsed
from reports.statistics.gain import pairs
from reports.statistics.selection import select
from tests.synthetic_study import Truth, draw_trials


@pytest.fixture
def trials() -> pd.DataFrame:
    """Three seeds of two widths; every trial's rank is four times its width."""
    drawn = draw_trials(Truth(methods=("moco",), widths=(4, 16), seeds=3), np.random.default_rng(0))
    return drawn.assign(effective_rank=4.0 * drawn["width"])


def set_rank(trials: pd.DataFrame, arm: str, width: int, seed: int, rank: float) -> None:
    """Give one confirm trial another effective rank."""
    one = (trials["arm"] == arm) & (trials["width"] == width) & (trials["seed"] == seed)
    assert one.sum() == 1
    trials.loc[one, "effective_rank"] = rank


def found(trials: pd.DataFrame) -> pd.DataFrame:
    """Where the encoders of ``trials`` collapsed."""
    return collapsed(pairs(select(trials)))


def test_a_rank_is_judged_beside_the_partner_and_not_beside_other_widths(trials):
    assert found(trials).empty
    assert collapse_words(found(trials)) == []
    # A narrow encoder may have 15.9: its own partner has 16. In a wide one that is a collapse.
    set_rank(trials, "mixco", 4, 1000, 15.9)
    set_rank(trials, "mixco", 16, 1000, 15.9)
    set_rank(trials, "mixco", 16, 1001, 5.0)
    set_rank(trials, "mixco", 16, 1002, 32.0)  # a half, and not less
    set_rank(trials, "none", 16, 1001, 70.0)
    (row,) = found(trials).to_dict("records")
    named = {name: row[name] for name in ("arm", "width", "collapsed", "count", "pairs")}
    assert named == {"arm": "mixco", "width": 16, "collapsed": "mixco", "count": 2, "pairs": 3}
    assert (row["low"], row["high"], row["partner_low"], row["partner_high"]) == (5, 15.9, 64, 70)
    assert collapse_words(found(trials)) == [
        "digits moco resnet18 mixco, width 16: in 2 of 3 pairs the features of mixco fill less "
        "than half as many dimensions as those of its partner (effective rank 5.0 to 15.9, of the "
        "partner 64.0 to 70.0): dimensional collapse. These pairs count in the gain and in the "
        "slope like all others."
    ]


def test_a_collapsed_baseline_is_named_as_one(trials):
    set_rank(trials, "none", 4, 1002, 1.0)
    (row,) = found(trials).to_dict("records")
    assert (row["arm"], row["collapsed"], row["count"]) == ("mixco", "none", 1)
    (sentence,) = collapse_words(found(trials))
    assert "in 1 of 3 pairs the features of none fill" in sentence
    assert "(effective rank 1.0, of the partner 16.0): dimensional collapse. This pair" in sentence


def test_trials_without_a_rank_are_not_judged(trials):
    set_rank(trials, "mixco", 16, 1000, 1.0)
    set_rank(trials, "none", 16, 1000, np.nan)
    set_rank(trials, "mixco", 16, 1001, 1.0)
    (row,) = found(trials).to_dict("records")
    assert (row["count"], row["pairs"]) == (1, 2)
    assert found(trials.assign(effective_rank=np.nan)).empty
    assert found(trials.drop(columns="effective_rank")).empty
