"""The one rule for the best trial of a search, as the search and the report use it."""

import numpy as np
import pandas as pd
import pytest

from reports.statistics.best_trial import best_trials
from reports.statistics.selection import best_tune_trials
from tests.synthetic_study import Truth, draw_trials


def row(number: int, accuracy: float | None, status: str = "complete", width: int = 8):
    return {"number": number, "accuracy": accuracy, "status": status, "width": width}


@pytest.mark.parametrize(
    "loser",
    [
        row(0, 99.0, "pruned"),
        row(0, 99.0, "diverged"),
        row(0, None),
        row(0, float("nan")),
        row(0, float("inf")),
        row(0, 69.9),
        row(2, 70.0),  # of equals the lowest number wins
    ],
)
def test_the_best_trial_is_the_complete_one_of_highest_accuracy(loser):
    winner = row(1, 70.0)
    for rows in ([winner, loser], [loser, winner]):
        assert best_trials(rows, key=lambda _: None) == {None: winner}


def test_each_width_of_a_joint_search_has_its_own_best_trial():
    rows = [row(0, 60.0, width=4), row(1, 70.0, width=8), row(2, 65.0, width=4)]
    assert {width: best["number"] for width, best in best_trials(rows, _width).items()} == {
        4: 2,
        8: 1,
    }


def _width(row):
    return row["width"]


def test_the_frame_rule_agrees_with_sorting_the_frame():
    trials = draw_trials(Truth(tune_trials=7), np.random.default_rng(0))
    trials = pd.concat([trials, trials.head(0)]).sample(frac=1, random_state=0)
    trials.index = pd.Index([0] * len(trials))  # labels that repeat are no places
    complete = trials[(trials["phase"] == "tune") & (trials["status"] == "complete")]
    expected = complete.sort_values(["accuracy", "number"], ascending=[False, True])
    expected = expected.drop_duplicates(["cell", "width"])
    assert set(best_tune_trials(trials)["trial_id"]) == set(expected["trial_id"])
