"""Capacity equivalence, scaling, fairness, comparison and exported tables."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports.output.tables import write_tables
from reports.statistics import fairness
from reports.statistics.capacity import with_capacity
from reports.statistics.comparable import mixed_runs
from reports.statistics.compare import compare_gains
from reports.statistics.endings import endings_table
from reports.statistics.equivalence import equivalence_table
from reports.statistics.gain import pairs
from reports.statistics.hyperparameters import (
    by_search,
    chosen_table,
    importance_table,
    typical_values,
)
from reports.statistics.scaling import residual_table, scaling_table
from reports.statistics.selection import select
from reports.statistics.transfer import transfer_table
from tests.simulated_coverage import true_factor
from tests.synthetic_study import Truth, draw_trials

QUIET = Truth(
    methods=("moco",), widths=(4, 8, 16, 32, 64), noise=1e-6, shared_noise=1e-6, slope=-0.2
)


def drawn(truth: Truth, seed: int = 0) -> pd.DataFrame:
    return draw_trials(truth, np.random.default_rng(seed))


def test_without_noise_the_factor_is_the_closed_form():
    table = equivalence_table(select(drawn(QUIET))).set_index("width")
    for width, doublings in ((4, 0.0), (8, 2.0), (16, 4.0), (32, 6.0)):
        factor = true_factor(QUIET, doublings)
        assert table.loc[width, "factor"] == pytest.approx(factor, rel=0.03)
        assert table.loc[width, "range"] == "within"
        assert table.loc[width, "low"] <= table.loc[width, "factor"] <= table.loc[width, "high"]


def test_an_arm_above_the_largest_baseline_is_beyond_and_one_below_is_below():
    table = equivalence_table(select(drawn(QUIET))).set_index("width")
    assert table.loc[64, "range"] == "beyond"
    assert table.loc[64, "factor"] == pytest.approx(1)  # a lower bound: the range ends here
    assert np.isinf(table.loc[64, "high"])
    worse = Truth(methods=("moco",), widths=(4, 8, 16), gain=-5, slope=0)
    below = equivalence_table(select(drawn(worse))).set_index("width")
    assert below.loc[4, "range"] == "below"
    assert below.loc[4, "low"] == 0


def test_an_arm_that_equals_the_baseline_has_factor_one():
    trials = drawn(Truth(methods=("moco",), gain=0, slope=0, noise=0.0))
    table = equivalence_table(select(trials))
    assert table["factor"].to_numpy() == pytest.approx(1, rel=0.01)


def test_the_factor_in_flops_follows_the_flops():
    trials = drawn(QUIET)
    trials["encoder_flops"] = trials["parameters"] ** 2
    parameters = equivalence_table(select(trials))
    flops = equivalence_table(select(trials), "flops")
    within = (parameters["range"] == "within").to_numpy()
    assert flops["factor"][within].to_numpy() == pytest.approx(
        parameters["factor"][within].to_numpy() ** 2, rel=0.02
    )


def test_a_power_law_is_found_again():
    trials = drawn(QUIET)
    law = 7.0 + 800 * trials["parameters"].astype(float) ** -0.3
    trials["accuracy"] = 100 - law
    row = scaling_table(select(trials)).iloc[0]
    assert row["offset"] == pytest.approx(7, abs=0.01)
    assert row["offset_exponent"] == pytest.approx(0.3, abs=0.001)
    trials["accuracy"] = 100 - (law - 7.0)
    row = scaling_table(select(trials)).iloc[0]
    assert row["exponent"] == pytest.approx(0.3)
    assert row["scale"] == pytest.approx(800)
    assert row["residual"] == pytest.approx(0, abs=1e-9)


def test_four_widths_have_no_offset():
    row = scaling_table(select(drawn(Truth(widths=(4, 8, 16, 32))))).iloc[0]
    assert np.isfinite(row["exponent"])
    assert np.isnan(row["offset"])


def test_best_so_far_never_falls_and_ignores_what_did_not_complete():
    trials = drawn(Truth(tune_trials=8))
    worst = trials["phase"].eq("tune") & trials["status"].eq("pruned")
    trials.loc[worst, "accuracy"] = 99.0  # a truncated score is no score
    curves = fairness.search_curves(trials)
    for _, curve in curves.groupby(["dataset", "method", "width", "arm"]):
        assert list(curve["trial"]) == list(range(1, 9))
        assert curve["best"].is_monotonic_increasing
        assert curve["best"].max() < 99


def test_the_mean_curve_of_a_cell_is_that_of_its_whole_searches():
    trials = drawn(Truth(methods=("moco",), widths=(4, 8), searches=3, tune_trials=4, luck=1.0))
    tune = trials["phase"] == "tune"
    begun = (trials["search"] == 2) & (trials["number"] > 1)
    failed = (trials["search"] == 1) & (trials["width"] == 4) & (trials["number"] == 0)
    trials.loc[tune & failed, "status"] = "diverged"
    curves = fairness.search_curves(trials[~(tune & begun)])
    means = fairness.mean_curves(curves).set_index(["width", "arm", "trial"])["best"]
    assert len(means) == 2 * 2 * 4
    for (width, arm, trial), mean in means.items():
        of_trial = curves[
            curves["width"].eq(width) & curves["arm"].eq(arm) & curves["trial"].eq(trial)
        ].set_index("search")["best"]
        expected = (of_trial[0] + of_trial[1]) / 2
        assert np.isnan(expected) == (width == 4 and trial == 1)
        assert mean == pytest.approx(expected, nan_ok=True)


def test_typical_values_are_the_geometric_means_of_the_searches():
    trials = drawn(Truth(methods=("moco",), widths=(4,), searches=2, tune_trials=4))
    chosen = chosen_table(trials)
    rates = chosen[chosen["hyperparameter"] == "learning_rate"].set_index(["arm", "search"])
    found = typical_values(chosen).set_index(["arm", "hyperparameter"])["value"]
    for arm in ("none", "mixco"):
        expected = np.sqrt(rates.loc[arm, "value"].prod())
        assert found[arm, "learning_rate"] == pytest.approx(expected)


def test_searches_budgets_and_endings_count_every_trial():
    trials = drawn(Truth(tune_trials=8, seeds=3))
    budgets = fairness.budget_table(trials)
    assert budgets["trials"].sum() == len(trials) == endings_table(trials)["trials"].sum()
    ratios = budgets.set_index(["method", "arm", "phase"])["flops_ratio"]
    assert ratios["moco", "mixco", "tune"] == pytest.approx(1.375)
    assert ratios["simclr", "mixco", "confirm"] == pytest.approx(1.5)
    searches = fairness.search_table(trials)
    assert (searches["trials"] == 8).all()
    assert (searches["lift"] >= 0).all()
    assert fairness.unequal_budgets(trials).empty
    # Not recorded yet: the next trial is not the default configuration.
    defaults = (trials["phase"] == "tune") & (trials["number"] == 0)
    assert fairness.search_table(trials[~defaults])["first"].isna().all()


def test_the_factor_on_a_flat_baseline_is_that_of_its_own_size():
    trials = drawn(Truth(methods=("moco",), widths=(4, 8, 16)))
    trials["accuracy"] = 100.0
    table = equivalence_table(select(trials))
    assert table["factor"].to_numpy() == pytest.approx(1)
    assert (table["low"] == 0).all()
    assert np.isinf(table["high"]).all()


def test_sizes_that_were_not_recorded_have_no_factor():
    trials = drawn(QUIET)
    trials["encoder_flops"] = trials["encoder_flops"].astype(float)
    trials.loc[trials["width"] == 8, "encoder_flops"] = np.nan
    assert set(equivalence_table(select(trials), "flops")["width"]) == {4, 16, 32, 64}
    trials["encoder_flops"] = np.nan
    assert equivalence_table(select(trials), "flops").empty


def test_residuals_are_what_the_power_law_leaves():
    trials = drawn(QUIET)
    selection = select(trials)
    table = residual_table(selection, scaling_table(selection))
    line = table[table["arm"] == "none"]
    x, y = np.log(line["parameters"].astype(float)), np.log(line["error"])
    fitted = np.exp(np.polyval(np.polyfit(x, y, 1), x))
    assert line["residual"].to_numpy() == pytest.approx(line["error"] - fitted, abs=1e-3)


def test_a_joint_search_is_one_search_whatever_widths_it_came_to():
    trials = drawn(Truth(methods=("moco",), widths=(4, 8), tune_trials=6))
    trials["cell"] = trials["cell"].str.replace(r"-w\d+-", "-w4.8-", regex=True)
    tune = trials["phase"] == "tune"
    trials.loc[tune, "number"] = trials[tune].groupby("cell").cumcount()
    moved = tune & (trials["arm"] == "mixco") & (trials["number"] == 3)
    trials.loc[moved, "width"] = 8
    assert fairness.unequal_budgets(trials).empty
    one_less = fairness.unequal_budgets(trials[~moved])
    assert one_less[["widths", "trials", "baseline_trials"]].values.tolist() == [["4.8", 11, 12]]
    assert (
        fairness.search_table(trials)["found_at"] <= fairness.search_table(trials)["trials"]
    ).all()


def test_words_are_chosen_too():
    trials = drawn(Truth(methods=("moco",), widths=(4, 8), tune_trials=6))
    tune = trials["phase"] == "tune"
    trials["mix_batch_norm"] = np.where(trials["number"] == 2, "separate", "shared")
    trials.loc[tune & (trials["number"] == 2), ["status", "accuracy"]] = ["complete", 99.0]
    chosen = chosen_table(trials)
    words = chosen[chosen["hyperparameter"] == "mix_batch_norm"]
    assert set(words["choice"]) == {"separate"}
    assert words["value"].isna().all()


def test_runs_that_are_not_comparable_are_named():
    trials = drawn(Truth(methods=("moco",), widths=(4, 8)))
    confirm = select(trials).confirm
    assert mixed_runs(confirm).empty
    by_arm = confirm.assign(epochs=np.where(confirm["arm"] == "none", 11, 8))
    assert mixed_runs(by_arm).empty  # arms matched in compute
    longer = confirm.assign(epochs=np.where(confirm["width"] == 4, 11, 8))
    assert mixed_runs(longer)[["setting", "values"]].values.tolist() == [["epochs", "8, 11"]]


def test_a_search_of_another_length_is_found():
    trials = drawn(Truth(tune_trials=4))
    cell = trials["cell"].eq("digits-moco-resnet18-w8-mixco") & trials["number"].eq(3)
    unequal = fairness.unequal_budgets(trials[~cell])
    assert unequal[["widths", "arm", "trials", "baseline_trials"]].values.tolist() == [
        ["8", "mixco", 3, 4]
    ]


def test_chosen_hyperparameters_are_those_of_the_best_trial_that_were_searched():
    trials = drawn(Truth(tune_trials=6))
    chosen = chosen_table(trials)
    assert set(chosen.loc[chosen["arm"] == "none", "hyperparameter"]) == {
        "learning_rate",
        "temperature",
    }
    row = chosen[(chosen["arm"] == "mixco") & (chosen["hyperparameter"] == "mix_weight")].iloc[0]
    cell = trials[
        (trials["phase"] == "tune")
        & (trials["status"] == "complete")
        & (trials["cell"] == f"digits-{row['method']}-resnet18-w{row['width']}-mixco")
    ]
    assert row["value"] == cell.loc[cell["accuracy"].idxmax(), "mix_weight"]
    wide = by_search(chosen)
    assert len(wide) == trials.loc[trials["phase"] == "tune", "cell"].nunique()
    assert wide.loc[wide["arm"] == "none", "mix_weight"].isna().all()
    of_cell = ["method", "width", "arm", "search"]
    same = wide[wide[of_cell].eq(row[of_cell]).all(axis=1)]
    assert same["mix_weight"].item() == row["choice"]


def test_the_hyperparameter_that_decides_is_the_important_one():
    trials = drawn(Truth(methods=("moco",), widths=(4, 8), tune_trials=60))
    tune = trials["phase"].eq("tune") & trials["status"].eq("complete")
    rate = np.log10(trials.loc[tune, "learning_rate"].astype(float))
    trials.loc[tune, "accuracy"] = 80 - 20 * (rate + 1.5) ** 2
    shares = importance_table(trials)
    assert shares.groupby(["width", "arm"])["importance"].sum().to_numpy() == pytest.approx(1)
    first = shares.sort_values("importance").groupby(["width", "arm"]).tail(1)
    assert set(first["hyperparameter"]) == {"learning_rate"}


def test_two_studies_are_compared_by_welch():
    one, two = (pairs(select(drawn(Truth(seeds=n), n))) for n in (4, 6))
    table = compare_gains(one, two)
    key = (one["method"] == "moco") & (one["width"] == 8)
    other = (two["method"] == "moco") & (two["width"] == 8)
    expected = stats.ttest_ind(two.loc[other, "gain"], one.loc[key, "gain"], equal_var=False)
    row = table[(table["method"] == "moco") & (table["width"] == 8)].iloc[0]
    assert (row["low"], row["high"]) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert row["difference"] == pytest.approx(row["other"] - row["gain"])
    assert row["capacity"] == one.loc[key, "parameters"].iloc[0]


def test_a_comparison_in_flops_has_the_flops_of_each_encoder():
    in_flops = with_capacity(drawn(Truth()), measure="flops")
    found = pairs(select(in_flops))
    flops = found.groupby("width")["encoder_flops"].first()
    table = compare_gains(found, found).set_index("width")
    assert table["capacity"].to_dict() == flops.astype(float).to_dict()


def test_tables_come_back_and_text_is_escaped(tmp_path):
    table = pd.DataFrame({"data_set": ["a|b & 50%_{x}", "plain"], "gain": [1.23456, np.nan]})
    write_tables({"one": table, "none": table.head(0)}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.csv", "one.md", "one.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "one.parquet"), table)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "one.csv"), table)
    assert (tmp_path / "one.md").read_text().splitlines() == [
        "| data_set | gain |",
        "| --- | ---: |",
        "| a\\|b & 50%_{x} | 1.235 |",
        "| plain | – |",
    ]


def test_transfer_is_the_gain_on_the_other_data_set():
    trials = drawn(Truth(methods=("moco",), seeds=3, widths=(4, 8)))
    confirm = trials[trials["phase"] == "confirm"]
    top1 = np.where(confirm["arm"] == "mixco", 52.0, 50.0)
    rows = confirm[["trial_id"]].assign(split="test", protocol="linear", images=100)
    evaluations = pd.concat(
        [rows.assign(dataset="cifar10", top1=top1), rows.assign(dataset="digits", top1=0.0)]
    )
    table = transfer_table(select(trials), evaluations)
    assert set(table["evaluated_on"]) == {"cifar10"}  # its own data set is no transfer
    assert table["gain"].tolist() == [2.0, 2.0]
    assert table["pairs"].tolist() == [3, 3]
    assert transfer_table(select(trials), evaluations.head(0)).empty
