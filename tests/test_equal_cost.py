"""The equal-cost simulation on curves whose answer is known."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler
from scipy import stats

from benchmarks.drawn_searches import Configurations, Found, configurations
from benchmarks.equal_cost import FULL, HALVED, course_of, draw_study, pool_of, trials_of, verdicts
from benchmarks.learning_curves import RUNGS, Curves, correlations, curves_of, spearman
from trainables.errors import InputError

LUCK = 0.5
"""Standard deviation of the default configuration over seeds."""


def tables(
    noise: float, configurations: int = 27, luck: float = LUCK
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials and epochs of four cells; ``noise`` hides the final accuracy from early epochs.

    Every ninth configuration is the default one, on another seed.
    """
    rng = np.random.default_rng(0)
    trials, epochs = [], []
    for width in (4, 8):
        for arm in ("none", "mixco"):
            for place in range(configurations):
                name, number = f"w{width}-{arm}-{place}", place % 9
                final = 60 + width + rng.normal(0, 3 if number else luck)
                trials.append((name, number, "tune", "complete", width, arm, 9, final))
                epochs += [
                    (name, epoch, final - 9 + epoch + noise * rng.normal())
                    for epoch in range(1, 10)
                ]
    columns = ["trial_id", "number", "phase", "status", "width", "arm", "epochs", "accuracy"]
    return (
        pd.DataFrame(trials, columns=columns),
        pd.DataFrame(epochs, columns=["trial_id", "epoch", "knn_accuracy"]),
    )


def arms_of(noise: float, **changes: float) -> dict[str, Configurations]:
    return configurations(curves_of(*tables(noise, **changes), "mixco"))  # type: ignore[arg-type]


def test_rungs_that_foretell_the_end_lose_nothing():
    curves = curves_of(*tables(noise=0.0), "mixco")
    assert set(curves) == {(4, "none"), (4, "mixco"), (8, "none"), (8, "mixco")}
    assert correlations(curves, 50)["correlation"].to_numpy() == pytest.approx(1)
    early, late = np.random.default_rng(0).integers(5, size=(2, 30)).astype(float)  # with ties
    assert spearman(early, late) == pytest.approx(stats.spearmanr(early, late).statistic)
    cell = curves[4, "none"]
    assert cell.rungs == pytest.approx(cell.final[:, None] - 9 + [1, 3])  # after epochs 1 and 3
    arm = configurations(curves)["none"]
    halved = arm.halved(np.random.default_rng(3), 27, 200)
    full = arm.full(np.random.default_rng(3), 27, 200)
    assert halved.expected == pytest.approx(full.expected)
    assert halved.cost.max() < full.cost.min() == 27


def test_rungs_that_foretell_nothing_choose_among_the_few_that_go_on():
    arm = arms_of(noise=1e6)["mixco"]
    rng = np.random.default_rng(0)
    found = arm.halved(rng, 27, 2000)
    few = arm.full(rng, 6, 2000)  # a third of a third of 27, and those that came too early
    assert found.expected.mean() == pytest.approx(few.expected.mean(), abs=0.4)
    assert correlations(curves_of(*tables(noise=1e6), "mixco"), 50)["correlation"].abs().max() < 0.6


def test_a_rung_that_was_not_measured_is_left_out():
    trials, epochs = tables(noise=0.0)
    thirds = epochs[epochs["epoch"] % 3 == 0]  # knn_every: 3
    curves = curves_of(trials, thirds, "mixco")
    assert curves[4, "none"].shares == (1 / 3,)
    assert curves[4, "none"].rungs.shape == (27, 1)
    assert set(correlations(curves, 50)["rung"]) == {1 / 3}
    found = configurations(curves)["none"].halved(np.random.default_rng(0), 27, 50)
    assert 15 < found.cost.mean() < 18  # 15 if all 27 waited for each other at the rung
    with pytest.raises(InputError, match="kNN accuracies at the rungs"):
        curves_of(trials, epochs[epochs["epoch"] % 2 == 0], "mixco")


@pytest.mark.parametrize("luck", [0.5, 2.0])
def test_the_accuracy_over_seeds_is_that_of_the_configuration(luck):
    """Of many configurations with a known accuracy over seeds, each trained on one seed."""
    rng = np.random.default_rng(0)
    true = np.concatenate([np.full(5000, 1.0), rng.normal(0, 1.5, 25000)])
    default = np.arange(30000) < 5000
    cell = Curves((1 / 3,), np.zeros((30000, 1)), true + rng.normal(0, luck, 30000), default)
    arm = configurations({(4, "none"): cell})["none"]
    assert arm.noise == pytest.approx(luck, rel=0.03)
    drawn, mean = rng.integers(5000, 30000, (4000, 6)), cell.final.mean()
    drawn[:, 0] = rng.integers(5000, size=4000)
    best = drawn[np.arange(4000), cell.final[drawn].argmax(axis=1)]
    found = arm.full(rng, 6, 4000).expected
    assert found.mean() == pytest.approx(true[best].mean() - mean, abs=0.12)
    assert found.std() == pytest.approx(true[best].std(), rel=0.1)


def test_halving_follows_the_ladder_of_ray():
    """Against the scheduler that studies use, trial by trial."""
    rng = np.random.default_rng(5)
    cell = Curves(RUNGS, rng.normal(size=(27, 2)), rng.normal(size=27), np.arange(27) < 3)
    arm = replace(configurations({(4, "none"): cell})["none"], doubt=np.zeros(27))
    for seed in range(5):
        same = np.random.default_rng(seed)
        drawn = np.hstack([same.choice(3, (1, 1)), same.choice(np.arange(3, 27), (1, 26))])[0]
        ladder = AsyncHyperBandScheduler(
            time_attr="epoch", metric="knn", mode="max", max_t=9, grace_period=1, reduction_factor=3
        )
        scores = {-1: -np.inf, **dict(enumerate(cell.final))}
        best, cost = -1, 0
        for number, configuration in enumerate(drawn):
            trial: Any = SimpleNamespace(trial_id=str(number))
            ladder.on_trial_add(None, trial)
            for epoch in (1, 3, 9):
                value = cell.rungs[configuration, 0 if epoch == 1 else 1]
                decision = ladder.on_trial_result(None, trial, {"epoch": epoch, "knn": value})
                if decision == "STOP" and epoch < 9 and number:
                    break
            else:
                best = max(best, configuration, key=lambda place: scores[place])
            cost += epoch
        found = arm.halved(np.random.default_rng(seed), 27, 1)
        assert found.expected == pytest.approx(arm.expected[best])
        assert found.cost == pytest.approx(cost / 9)


def test_what_a_design_costs():
    arms = arms_of(noise=1.0)
    assert trials_of(pool_of(arms, FULL, 10), FULL) == 16 * 26
    whole = trials_of(pool_of(arms, HALVED, 200), HALVED)
    assert 16 * 3 * 8 < whole < 16 * 3 * 12  # 8 if all 27 waited for each other at the rungs


def test_studies_have_the_slope_that_is_given():
    arms, noise = arms_of(noise=1.0), {"none": 0.3, "mixco": 0.3}
    rng = np.random.default_rng(0)
    for design in (FULL, HALVED):
        pool = pool_of(arms, design, 200)
        course, means = course_of(pool, -0.5), []
        for _ in range(60):
            lines = draw_study(pool, design, course, noise, rng)
            means.append(np.mean([line.means for line in lines], axis=0))
        error = stats.sem(means, axis=0)
        assert np.mean(means, axis=0) == pytest.approx(-0.5 * np.arange(4), abs=4 * error.max())
        assert lines[0].repeated == (design.searches > 1)


def test_no_slope_brings_few_verdicts_and_a_steep_one_many():
    found = Found(np.full(9, 60.0), np.full(9, 8.0))  # no luck in the searches
    noise = {"none": 0.3, "mixco": 0.3}
    found = verdicts({HALVED: dict.fromkeys(noise, found)}, -1.0, noise, 40).iloc[0]
    assert found["verdicts"] > 95
    assert found["false"] < 20
    assert found["trials"] == 16 * 3 * 9


def test_a_study_that_is_not_of_two_widths_and_two_arms_is_refused():
    trials, epochs = tables(noise=1.0)
    with pytest.raises(InputError, match="it takes the arms none and mixco at two widths"):
        curves_of(trials[trials["arm"] == "none"], epochs, "mixco")
    with pytest.raises(InputError, match="9 or more complete tune trials"):
        curves_of(*tables(noise=1.0, configurations=4), "mixco")
    with pytest.raises(InputError, match="it takes two searches or more of each cell"):
        arms_of(noise=1.0, configurations=9)


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
