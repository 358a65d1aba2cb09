"""The equal-cost simulation on curves whose answer is known."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler
from scipy import stats

from benchmarks.equal_cost import (
    FULL,
    HALVED,
    course_of,
    draw_study,
    measured_widths,
    pool_of,
    trials_of,
    verdicts,
)
from benchmarks.learning_curves import RUNGS, Curves, Found, correlations, curves_of, spearman
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
    curves = curves_of(*tables(noise=0.0), "mixco")
    assert set(curves) == {(4, "none"), (4, "mixco"), (8, "none"), (8, "mixco")}
    assert correlations(curves, 50)["correlation"].to_numpy() == pytest.approx(1)
    early, late = np.random.default_rng(0).integers(5, size=(2, 30)).astype(float)  # with ties
    assert spearman(early, late) == pytest.approx(stats.spearmanr(early, late).statistic)
    cell = curves[4, "none"]
    assert cell.rungs == pytest.approx(cell.final[:, None] - 9 + [1, 3])  # after epochs 1 and 3
    rng, same = np.random.default_rng(3), np.random.default_rng(3)
    drawn = same.integers(27, size=(200, 27))
    assert cell.halved(rng, 27, 200).final == pytest.approx(cell.final[drawn].max(axis=1))


def test_rungs_that_foretell_nothing_choose_among_the_few_that_go_on():
    cell = curves_of(*tables(noise=1e6), "mixco")[8, "mixco"]
    rng = np.random.default_rng(0)
    found = cell.halved(rng, 27, 2000)
    few = cell.full(rng, 6, 2000)  # a third of a third of 27, and those that came too early
    assert found.final.mean() == pytest.approx(few.final.mean(), abs=0.4)
    assert correlations(curves_of(*tables(noise=1e6), "mixco"), 50)["correlation"].abs().max() < 0.6


def test_halving_follows_the_ladder_of_ray():
    """Against the scheduler that studies use, trial by trial."""
    rng = np.random.default_rng(5)
    cell = Curves(rng.normal(size=(27, 2)), rng.normal(size=27))
    for seed in range(5):
        drawn = np.random.default_rng(seed).integers(27, size=27)
        ladder = AsyncHyperBandScheduler(
            time_attr="epoch", metric="knn", mode="max", max_t=9, grace_period=1, reduction_factor=3
        )
        best, cost = -np.inf, 0
        for number, configuration in enumerate(drawn):
            trial: Any = SimpleNamespace(trial_id=str(number))
            ladder.on_trial_add(None, trial)
            for epoch in (1, 3, 9):
                value = cell.rungs[configuration, 0 if epoch == 1 else 1]
                decision = ladder.on_trial_result(None, trial, {"epoch": epoch, "knn": value})
                if decision == "STOP" and epoch < 9 and number:
                    break
            else:
                best = max(best, cell.final[configuration])
            cost += epoch
        found = cell.halved(np.random.default_rng(seed), 27, 1)
        assert found.final == pytest.approx(best)
        assert found.cost == pytest.approx(cost / 9)


def test_what_a_design_costs():
    curves = curves_of(*tables(noise=1.0), "mixco")
    assert trials_of(pool_of(curves, FULL, 10), FULL) == 16 * 26
    whole = trials_of(pool_of(curves, HALVED, 200), HALVED)
    assert 16 * 3 * 8 < whole < 16 * 3 * 12  # 8 if all 27 waited for each other at the rungs


def test_studies_have_the_slope_that_is_given():
    curves = curves_of(*tables(noise=1.0), "mixco")
    rng = np.random.default_rng(0)
    for design in (FULL, HALVED):
        pool = pool_of(curves, design, 200)
        course, means = course_of(pool, -0.5), []
        for _ in range(60):
            lines = draw_study(pool, design, course, 0.3, rng)
            means.append(np.mean([line.means for line in lines], axis=0))
        error = stats.sem(means, axis=0)
        assert np.mean(means, axis=0) == pytest.approx(-0.5 * np.arange(4), abs=4 * error.max())
        assert lines[0].repeated == (design.searches > 1)


def test_no_slope_brings_few_verdicts_and_a_steep_one_many():
    cell = Found(np.full(9, 60.0), np.full(9, 8.0))  # no luck
    pool = {(width, arm): cell for width in (4, 8) for arm in ("none", "mixco")}
    found = verdicts({HALVED: pool}, -1.0, 0.3, 40).iloc[0]
    assert found["verdicts"] > 95
    assert found["false"] < 20
    assert found["trials"] == 16 * 3 * 9


def test_a_study_that_is_not_of_two_widths_and_two_arms_is_refused():
    trials, epochs = tables(noise=1.0)
    with pytest.raises(InputError, match="it takes the arms none and mixco at two widths"):
        curves_of(trials[trials["arm"] == "none"], epochs, "mixco")
    with pytest.raises(InputError, match="9 or more complete tune trials"):
        curves_of(*tables(noise=1.0, configurations=4), "mixco")


def test_an_arms_correlation_is_the_mean_over_its_widths():
    curves = curves_of(*tables(noise=3.0), "mixco")
    found = correlations(curves, 200)
    cells = [curves[width, "mixco"] for width in (4, 8)]
    for place, share in enumerate(RUNGS):
        rows = found[(found["arm"] == "mixco") & (found["rung"] == share)].set_index("width")
        each = [stats.spearmanr(cell.rungs[:, place], cell.final).statistic for cell in cells]
        assert rows["correlation"].loc[[4, 8, 0]].tolist() == pytest.approx([*each, np.mean(each)])
        assert rows["configurations"].loc[[4, 8, 0]].tolist() == [27, 27, 54]
        assert rows["correlation"].between(rows["low"], rows["high"]).all()
        spread = rows["high"] - rows["low"]  # of a mean of two independent values
        assert spread[0] == pytest.approx(np.hypot(spread[4], spread[8]) / 2, rel=0.12)


def test_each_width_of_a_study_draws_from_a_measured_one():
    found = Found(np.zeros(1), np.zeros(1))
    two, five = (
        {(width, arm): found for width in widths for arm in ("none", "mixco")}
        for widths in ((16, 4), (64, 16, 8, 4, 32))
    )
    assert measured_widths(two) == [4, 4, 16, 16]
    assert measured_widths(five) == [4, 8, 16, 32]
