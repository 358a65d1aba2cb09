"""Gains against slow, obvious code and other libraries."""

import itertools
import statistics

import numpy as np
import pandas as pd
import pytest
import statsmodels.stats.weightstats as weightstats

from reports.statistics.gain import gain_table, pairs, unpaired
from reports.statistics.intervals import bca_interval, sign_flip_p, smallest_sign_flip_p, t_interval
from reports.statistics.selection import select
from tests.synthetic_study import Truth, draw_trials


@pytest.fixture
def trials() -> pd.DataFrame:
    return draw_trials(Truth(seeds=4, tune_trials=4), np.random.default_rng(3))


def test_gain_is_the_mean_difference_of_the_same_seeds(trials):
    table = gain_table(trials).set_index(["method", "width"])
    confirm = trials[trials["phase"] == "confirm"]
    for (method, width), row in table.iterrows():
        differences = []
        for seed in range(1000, 1004):
            same = (confirm[["method", "width", "seed"]] == [method, width, seed]).all(axis=1)
            here = confirm[same]
            scores = dict(zip(here["arm"], here["accuracy"], strict=True))
            differences.append(scores["mixco"] - scores["none"])
        assert row["gain"] == pytest.approx(np.mean(differences))
        expected = weightstats.DescrStatsW(differences).tconfint_mean()
        assert (row["low"], row["high"]) == pytest.approx(expected)
        assert row["sd"] == pytest.approx(statistics.stdev(differences))
        assert row["pairs"] == 4


def test_only_complete_confirm_rows_count(trials):
    before = gain_table(trials)
    noise = trials[trials["phase"] == "confirm"].assign(accuracy=0.0)
    others = [
        noise.assign(phase="single", trial_id=noise["trial_id"] + "-s"),
        noise.assign(status="diverged", trial_id=noise["trial_id"] + "-d"),
        noise.assign(status="failed", trial_id=noise["trial_id"] + "-f"),
    ]
    pd.testing.assert_frame_equal(gain_table(pd.concat([trials, *others])), before)


def test_a_confirm_run_of_a_beaten_configuration_is_superseded(trials):
    cell = trials.query("arm == 'mixco' and phase == 'tune'")["cell"].iloc[0]
    better = trials[(trials["cell"] == cell) & (trials["phase"] == "tune")].head(1)
    better = better.assign(trial_id="better", number=99, status="complete", accuracy=99.9)
    grown = pd.concat([trials, better], ignore_index=True)
    selection = select(grown)
    assert selection.superseded == 4
    assert cell not in set(selection.confirm["cell"])
    assert len(gain_table(grown)) == len(gain_table(trials)) - 1

    fresh = trials[(trials["cell"] == cell) & (trials["phase"] == "confirm")]
    fresh = fresh.assign(trial_id=fresh["trial_id"] + "-2", tuned_from="better", accuracy=50.0)
    again = select(pd.concat([grown, fresh], ignore_index=True)).confirm
    assert set(again.loc[again["cell"] == cell, "accuracy"]) == {50.0}


def test_a_study_that_was_not_tuned_counts_beside_one_that_was(trials):
    confirm = trials[trials["phase"] == "confirm"]
    untuned = confirm.assign(
        study="untuned", dataset="other", tuned_from=None, cell="other-" + confirm["cell"]
    )
    selection = select(pd.concat([trials, untuned], ignore_index=True))
    assert selection.superseded == 0
    assert len(selection.confirm) == 2 * len(confirm)


def test_ties_in_tuning_go_to_the_lowest_number(trials):
    tune = trials["phase"] == "tune"
    trials.loc[tune, ["accuracy", "status"]] = [70.0, "complete"]
    first = trials[tune & (trials["number"] == 0)].set_index("cell")["trial_id"]
    confirm = trials["phase"] == "confirm"
    trials.loc[confirm, "tuned_from"] = trials.loc[confirm, "cell"].map(first)
    assert select(trials.sample(frac=1, random_state=1)).superseded == 0


def test_a_missing_half_is_named_and_left_out(trials):
    lost = trials[(trials["arm"] == "none") & (trials["seed"] == 1001) & (trials["width"] == 8)]
    lost = lost[lost["method"] == "moco"].index
    trials.loc[lost, "status"] = "diverged"
    table = gain_table(trials).set_index(["method", "width"])
    assert table.loc[("moco", 8), "pairs"] == 3
    named = unpaired(trials)
    assert named.to_dict("records") == [
        {
            "dataset": "digits",
            "method": "moco",
            "line": "resnet18",
            "encoder": "resnet18",
            "width": 8,
            "arm": "mixco",
            "search": 0,
            "seed": 1001,
            "missing": "none",
            "reason": "diverged",
        }
    ]


def test_an_arm_that_a_study_never_had_is_not_missing(trials):
    mixed = trials[(trials["method"] == "moco") & (trials["phase"] == "confirm")]
    other = mixed[mixed["arm"] == "mixco"].assign(arm="i-mix", study="other")
    both = [trials, other.assign(dataset="elsewhere", trial_id=other["trial_id"] + "-i")]
    baseline = mixed[mixed["arm"] == "none"].assign(study="other", dataset="elsewhere")
    named = unpaired(pd.concat([*both, baseline.assign(trial_id=baseline["trial_id"] + "-i")]))
    assert named.empty
    alone = unpaired(pd.concat(both))
    assert set(alone["missing"]) == {"none"}
    assert len(alone) == len(other)


def test_relative_error_and_log_odds(trials):
    both = pairs(select(trials)).iloc[0]
    expected = 100 * (1 - (100 - both["accuracy"]) / (100 - both["baseline"]))
    assert both["error_reduction"] == pytest.approx(expected)
    # Half an image on each side: 10,000 are scored.
    odds = [
        (100 * a + 0.5) / (10_000 - 100 * a + 0.5) for a in (both["accuracy"], both["baseline"])
    ]
    assert both["logit_gain"] == pytest.approx(np.log(odds[0] / odds[1]), rel=1e-9)


def test_a_baseline_without_error_has_none_to_reduce(trials):
    perfect = trials.assign(accuracy=trials["accuracy"].mask(trials["arm"] == "none", 100.0))
    table = gain_table(perfect)
    assert table["error_reduction"].isna().all()
    assert np.isfinite(table["logit_gain"]).all()


@pytest.mark.parametrize("n", [2, 3, 5, 6])
def test_sign_flips_are_exact(n):
    values = np.random.default_rng(n).normal(0.5, 1, n)
    flips = [np.mean(np.array(s) * values) for s in itertools.product((-1, 1), repeat=n)]
    expected = np.mean(np.abs(flips) >= abs(values.mean()) - 1e-12)
    assert sign_flip_p(values) == pytest.approx(expected)


def test_a_sign_flip_test_of_three_pairs_cannot_go_below_a_quarter():
    assert sign_flip_p(np.array([5.0, 5.1, 4.9])) == 0.25 == smallest_sign_flip_p(3)
    assert sign_flip_p(np.array([5.0, 5.1, 4.9, 5.2, 5.3, 5.4])) == smallest_sign_flip_p(6)


def test_intervals_that_cannot_be_are_not_numbers():
    assert np.isnan(t_interval(np.array([1.0]))).all()
    assert np.isnan(bca_interval(np.array([1.0, 2.0, 4.0]))).all()
    assert np.isnan(bca_interval(np.full(10, 2.0))).all()
    assert np.isnan(t_interval(np.array([0.1 + 0.2, 0.3, 0.3]))).all()  # equal but for rounding


def test_scores_that_are_no_numbers_and_sizes_that_are_missing_do_not_count(trials):
    confirm = trials.index[(trials["phase"] == "confirm") & (trials["arm"] == "mixco")]
    trials["accuracy"] = trials["accuracy"].astype(float)
    trials.loc[confirm[0], "accuracy"] = np.inf
    trials.loc[confirm[1], "accuracy"] = np.nan
    trials["parameters"] = trials["parameters"].astype(float)
    trials.loc[confirm[2], "parameters"] = np.nan
    table = gain_table(trials)
    assert table["pairs"].sum() == len(confirm) - 3
    assert np.isfinite(table["gain"]).all()
    assert set(unpaired(trials)["reason"]) == {"no score"}


def test_of_two_studies_with_one_problem_the_later_counts_and_pairs_stay_within_it(trials):
    again = trials[trials["width"] == 8].assign(study="again")
    again["accuracy"] = again["accuracy"] + np.where(again["arm"] == "mixco", 7.0, 0.0)
    selection = select(pd.concat([trials, again], ignore_index=True))
    chosen = selection.confirm.groupby("width")["study"].unique().map(list).to_dict()
    assert chosen == {4: ["synthetic"], 8: ["again"], 16: ["synthetic"], 32: ["synthetic"]}
    named = selection.overlaps[["width", "kept", "left_out"]].drop_duplicates()
    assert named.values.tolist() == [[8, "again", "synthetic"]]
    before, after = pairs(select(trials)), pairs(selection)
    assert (after["gain"] - before["gain"]).groupby(after["width"]).mean().to_dict() == (
        pytest.approx({4: 0, 8: 7, 16: 0, 32: 0})
    )
