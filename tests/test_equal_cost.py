"""The equal-cost simulation on curves whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.equal_cost import (
    Curves,
    Design,
    correlations,
    course_of,
    curves_of,
    draw_study,
    found_accuracies,
    spearman,
    verdicts,
)
from trainables.errors import InputError


def tables(noise: float, configurations: int = 27) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials and epochs of four cells; ``noise`` hides the final accuracy from early epochs."""
    rng = np.random.default_rng(0)
    trials, epochs = [], []
    for width in (4, 8):
        for arm in ("none", "mixco"):
            for number in range(configurations):
                name, final = f"w{width}-{arm}-{number}", rng.normal(60, 3)
                trials.append((name, "tune", "complete", width, arm, 9, final))
                epochs += [
                    (name, epoch, final - 9 + epoch + noise * rng.normal())
                    for epoch in range(1, 10)
                ]
    columns = ["trial_id", "phase", "status", "width", "arm", "epochs", "accuracy"]
    return (
        pd.DataFrame(trials, columns=columns),
        pd.DataFrame(epochs, columns=["trial_id", "epoch", "knn_accuracy"]),
    )


def test_rungs_that_foretell_the_end_lose_nothing():
    curves = curves_of(*tables(noise=0.0))
    assert set(curves) == {(4, "none"), (4, "mixco"), (8, "none"), (8, "mixco")}
    assert correlations(curves, 50)["correlation"].to_numpy() == pytest.approx(1)
    early, late = np.random.default_rng(0).integers(5, size=(2, 30)).astype(float)  # with ties
    assert spearman(early, late) == pytest.approx(stats.spearmanr(early, late).statistic)
    cell = curves[4, "none"]
    rng, same = np.random.default_rng(3), np.random.default_rng(3)
    drawn = same.integers(27, size=(200, 27))
    assert cell.halved(rng, 200) == pytest.approx(cell.final[drawn].max(axis=1))
    assert (found_accuracies(curves)["cost"] < 0).all()  # the best of 27, not of 20


def test_rungs_that_foretell_nothing_leave_the_best_of_three():
    curves = curves_of(*tables(noise=1e6))
    cell = curves[8, "mixco"]
    found = cell.halved(np.random.default_rng(0), 4000).mean()
    three = cell.final[np.random.default_rng(1).integers(27, size=(4000, 3))].max(axis=1).mean()
    assert found == pytest.approx(three, abs=0.4)
    assert correlations(curves, 50)["correlation"].abs().max() < 0.6


def test_what_a_design_costs():
    assert Design("", False, 1, 6).trials == 16 * 26
    assert Design("", True, 3, 1).trials == pytest.approx(16 * 3 * 8)


def test_studies_have_the_slope_that_is_given():
    curves = curves_of(*tables(noise=1.0))
    rng = np.random.default_rng(0)
    for design in (Design("", False, 1, 6), Design("", True, 3, 1)):
        course, means = course_of(curves, design, -0.5), []
        for _ in range(100):
            lines = draw_study(curves, design, course, 0.3, rng)
            means.append(np.mean([line.means for line in lines], axis=0))
        error = stats.sem(means, axis=0)
        assert np.mean(means, axis=0) == pytest.approx(-0.5 * np.arange(4), abs=4 * error.max())
        assert lines[0].repeated == (design.searches > 1)


def test_no_slope_brings_few_verdicts_and_a_steep_one_many():
    cell = Curves(np.zeros((9, 2)), np.full(9, 60.0))  # no luck
    curves = {(width, arm): cell for width in (4, 8) for arm in ("none", "mixco")}
    found = verdicts(curves, -1.0, 0.3, 40, (Design("three", True, 3, 1),)).iloc[0]
    assert found["verdicts"] > 95
    assert found["false"] < 20


def test_a_study_that_is_not_of_two_widths_and_two_arms_is_refused():
    trials, epochs = tables(noise=1.0)
    with pytest.raises(InputError, match="it takes two widths and two arms"):
        curves_of(trials[trials["arm"] == "none"], epochs)
    with pytest.raises(InputError, match="9 or more complete tune trials"):
        curves_of(*tables(noise=1.0, configurations=4))
