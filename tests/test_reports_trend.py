"""Trends and pools against other libraries, closed forms and slow, obvious code."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from reports.findings import find
from reports.output.sentences.verdict import headline, limits, method_words
from reports.statistics import aggregate, trend
from reports.statistics.gain import gain_from_pairs, pairs
from reports.statistics.hierarchy import mixed_model
from reports.statistics.intervals import expanded_level
from reports.statistics.power import detectable_slope, seeds_needed, squares, widths_needed
from reports.statistics.selection import select
from tests.simulated_coverage import draw_pairs
from tests.synthetic_study import Truth, draw_trials


@pytest.fixture
def table() -> pd.DataFrame:
    truth = Truth(datasets=("a", "b", "c"), widths=(4, 8, 16, 32), luck=0.3, seeds=5)
    return draw_pairs(truth, np.random.default_rng(5))


def line_of(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["dataset"] == "a") & (table["method"] == "moco")]


def test_a_slope_over_seeds_is_a_t_interval_of_regressions(table):
    line = line_of(table)
    slopes = [
        np.polyfit(np.log2(group["parameters"]), group["gain"], 1)[0]
        for _, group in line.groupby("seed")
    ]
    expected = stats.ttest_1samp(slopes, 0, alternative="less")
    row = trend.trend_table(line).iloc[0]
    assert row["slope"] == pytest.approx(np.mean(slopes))
    assert row["p_seeds"] == pytest.approx(expected.pvalue)
    two_sided = stats.ttest_1samp(slopes, 0).confidence_interval(0.95)
    assert (row["seeds_low"], row["seeds_high"]) == pytest.approx(tuple(two_sided))


def test_a_slope_over_widths_is_the_regression_of_the_means(table):
    line = line_of(table)
    means = line.groupby("parameters", as_index=False)["gain"].mean()
    means["x"] = np.log2(means["parameters"])
    fit = smf.ols("gain ~ x", means).fit()
    row = trend.trend_table(line).iloc[0]
    assert (row["widths_low"], row["widths_high"]) == pytest.approx(tuple(fit.conf_int().loc["x"]))
    assert row["p_widths"] == pytest.approx(stats.t.cdf(fit.tvalues["x"], fit.df_resid))
    assert row["low"] == min(row["seeds_low"], row["widths_low"])
    assert row["high"] == max(row["seeds_high"], row["widths_high"])
    assert row["p"] == max(row["p_seeds"], row["p_widths"])


def test_the_scatter_of_all_lines_of_an_arm_is_pooled(table):
    means = table.groupby(["dataset", "method", "parameters"], as_index=False)["gain"].mean()
    means["x"] = np.log2(means["parameters"])
    means["line"] = means["dataset"] + means["method"]
    fit = smf.ols("gain ~ line * x", means).fit()
    lines = [line for _, line in table.groupby(["dataset", "method"])]
    scatter = trend.pooled_scatter(lines)
    assert scatter.freedom == fit.df_resid == 12
    assert scatter.variance == pytest.approx(fit.mse_resid)


def test_a_seed_that_lacks_a_width_is_left_out_of_the_slopes(table):
    line = line_of(table)
    lost = line[~((line["seed"] == 2) & (line["width"] == 8))]
    assert len(trend.seed_slopes(lost)) == 4
    assert trend.seed_slopes(lost) == pytest.approx(trend.seed_slopes(line)[[0, 1, 3, 4]])


@settings(max_examples=10, deadline=None)  # statsmodels' own collects garbage at every call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_agrees_with_statsmodels(values):
    expected = multipletests(values, method="holm")[1]
    assert trend.holm(pd.Series(values)).to_numpy() == pytest.approx(expected)


def test_holm_leaves_what_is_not_known():
    assert np.isnan(trend.holm(pd.Series([0.01, np.nan, 0.04]))[1])
    assert trend.holm(pd.Series([0.01, np.nan, 0.04]))[0] == pytest.approx(0.02)


def test_pages_test_agrees_with_counting_permutations():
    scores = pd.DataFrame(
        {
            "seed": np.repeat([0, 1], 3),
            "parameters": [1, 2, 4] * 2,
            "gain": [3.0, 2.0, 1.0, 3.0, 1.0, 2.0],
        }
    )
    # Of the 36 pairs of rankings, three are as steep or steeper: 123/123, 123/132 and 132/123,
    # and 123/213 and 213/123 tie with what was seen.
    assert trend.monotone_p(scores) == pytest.approx(5 / 36)


def test_two_estimates_pool_as_welch_does(table):
    one = stats.norm.rvs(size=6, random_state=1)
    two = 3 * stats.norm.rvs(size=4, random_state=2)
    pooled = aggregate.mean_of(
        [trend.Estimate(s.mean(), s.std(ddof=1) / len(s) ** 0.5, len(s) - 1) for s in (one, -two)]
    )
    welch = stats.ttest_ind(one, two, equal_var=False)
    assert pooled.value / pooled.error == pytest.approx(welch.statistic)
    assert pooled.freedom == pytest.approx(welch.df)


def test_data_sets_like_these_is_a_t_test_over_data_sets(table):
    slopes = [
        np.mean([trend.seed_slopes(line).mean() for _, line in group.groupby("method")])
        for _, group in table.groupby("dataset")
    ]
    row = aggregate.pooled_trend(table).iloc[0]
    expected = stats.ttest_1samp(slopes, 0).confidence_interval(0.95)
    assert (row["like_low"], row["like_high"]) == pytest.approx(tuple(expected))


def test_the_mixed_model_agrees_on_a_balanced_study(table):
    assert mixed_model(table).value == pytest.approx(
        aggregate.pooled_trend(table)["slope"].iloc[0], abs=0.01
    )


def test_the_interquartile_mean_and_the_probability_of_improvement():
    trials = draw_trials(Truth(seeds=4), np.random.default_rng(2))
    both = pairs(select(trials))
    row = aggregate.aggregates(both).set_index("method").loc["moco"]
    gains = both.loc[both["method"] == "moco", "gain"]
    assert row["iqm"] == pytest.approx(stats.trim_mean(gains, 0.25))
    chances = []
    for _, problem in both[both["method"] == "moco"].groupby("width"):
        u = stats.mannwhitneyu(problem["accuracy"], problem["baseline"]).statistic
        chances.append(u / len(problem) ** 2)
    assert row["improvement"] == pytest.approx(np.mean(chances))
    assert row["iqm_low"] < row["iqm"] < row["iqm_high"]


@pytest.mark.parametrize(
    ("slope", "verdict"), [(-1.0, "supports"), (1.0, "contradicts"), (0.0, "cannot tell")]
)
def test_verdicts(slope, verdict):
    truth = Truth(slope=slope, widths=(4, 8, 16, 32), noise=0.2)
    found = draw_pairs(truth, np.random.default_rng(1))
    assert set(trend.trend_table(found)["verdict"]) == {verdict}
    pooled = aggregate.pooled_trend(found).iloc[0]
    assert pooled["verdict"] == verdict
    beginning = {"supports": "The gain of mixco falls", "contradicts": "The gain of mixco rises"}
    assert headline(pooled).startswith(beginning.get(verdict, "These results cannot tell"))


def test_luck_in_the_search_is_no_trend():
    """Widths that scatter about no line at all, with seeds that agree on every one of them."""
    truth = Truth(slope=0.0, noise=0.01, widths=(4, 8, 16), methods=("moco",))
    found = draw_pairs(truth, np.random.default_rng(0))
    found["gain"] += found["width"].map({4: 1.0, 8: -1.0, 16: 0.0})
    row = trend.trend_table(found).iloc[0]
    assert row["p_seeds"] < 1e-6
    assert row["verdict"] == "cannot tell"
    notes = " ".join(limits(_gains(found), aggregate.pooled_trend(found)))
    assert "More widths or data sets, not more seeds" in notes


def _gains(found: pd.DataFrame) -> pd.DataFrame:
    columns = ["accuracy", "baseline", "error_reduction", "logit_gain", "compute_ratio"]
    return gain_from_pairs(found.assign(**dict.fromkeys(columns, 1.0), encoder_flops=1))


def test_one_seed_and_two_widths_say_what_they_cannot_show():
    one = draw_pairs(Truth(seeds=1), np.random.default_rng(0))
    assert (
        "Where there is one seed, a gain has no interval"
        in limits(_gains(one), aggregate.pooled_trend(one))[0]
    )
    two = draw_pairs(Truth(widths=(4, 8)), np.random.default_rng(0))
    row = trend.trend_table(two).iloc[0]
    assert np.isnan(row["p_widths"])
    assert np.isfinite(row["low"])
    steep = trend.trend_table(draw_pairs(Truth(widths=(4, 8), slope=-9), np.random.default_rng(0)))
    assert set(steep["verdict"]) == {
        "cannot tell"
    }  # a lucky search at one width would look the same
    assert "Two widths" in " ".join(limits(_gains(two), aggregate.pooled_trend(two)))


def test_equal_gains_are_no_verdict():
    """Coarse accuracies repeat: gains that are all equal must not pass for certainty."""
    found = draw_pairs(Truth(widths=(4, 8, 16), seeds=3), np.random.default_rng(0))
    for gain in (2.2, 2.2 - 0.1 * np.log2(found["parameters"]) + found["seed"] * 1e-15):
        equal = found.assign(gain=gain)
        assert set(trend.trend_table(equal)["verdict"]) == {"cannot tell"}
        pooled = aggregate.pooled_trend(equal)
        assert pooled["verdict"].item() == "cannot tell"
        assert np.isnan(pooled["low"].item())
        assert "no interval" in headline(pooled.iloc[0])


def test_arms_are_a_family():
    found = draw_pairs(Truth(slope=-0.1, seeds=4), np.random.default_rng(3))
    three = pd.concat([found.assign(arm=arm) for arm in ("mixco", "i-mix", "un-mix")])
    alone, together = aggregate.pooled_trend(found), aggregate.pooled_trend(three)
    assert together["p"].tolist() == pytest.approx(3 * [alone["p"].item()])
    assert together["p_holm"].tolist() == pytest.approx(3 * [3 * alone["p"].item()])


def test_power_is_that_of_both_tests_on_simulated_studies():
    """The promise against the tests themselves, drawn anew."""
    rng = np.random.default_rng(0)
    seeds, x = 4, np.array([0.0, 2.0, 4.0, 6.0])
    slope = detectable_slope(2.0**x * 1000, seeds, spread=0.5)
    gains = -slope * x + rng.normal(0, 0.5, (3000, seeds, len(x)))
    contrast = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    p_seeds = stats.ttest_1samp(gains @ contrast, 0, axis=1, alternative="less").pvalue
    p_widths = np.array(
        [stats.linregress(x, means, alternative="less").pvalue for means in gains.mean(axis=1)]
    )
    assert np.mean(np.maximum(p_seeds, p_widths) < 0.05) == pytest.approx(0.8, abs=0.025)


def test_detectable_slopes_keep_their_order():
    sizes = [1000, 4000, 16000, 64000]
    one = detectable_slope(sizes, 4, 0.5)
    assert detectable_slope(sizes, 8, 0.5) < one < detectable_slope(sizes, 4, 1.0)
    assert detectable_slope(sizes, 4, 0.5, lines=4) < one
    assert one < detectable_slope(sizes, 4, 0.5, tests=4)
    assert one < detectable_slope(sizes, 4, 0.5, luck=0.5)
    assert np.isnan(detectable_slope(sizes[:2], 4, 0.5))
    assert np.isnan(detectable_slope(sizes, 1, 0.5))


def test_seeds_needed_are_the_fewest_whose_detectable_slope_is_small_enough():
    sizes = [1000, 4000, 16000, 64000]
    per_seed = 0.5 / np.sqrt(squares(np.log2(sizes)))
    for slope in (0.05, 0.1):
        n = int(seeds_needed(slope, per_seed, lines=1, scatter_freedom=2, alpha=0.05))
        assert detectable_slope(sizes, n, 0.5) <= slope < detectable_slope(sizes, n - 1, 0.5)
    assert np.isinf(seeds_needed(1e-9, per_seed, lines=1, scatter_freedom=2, alpha=0.05))


def test_widths_needed_show_the_slope_through_their_scatter():
    slope, scatter, span = -0.15, 0.3, 6.0
    rng = np.random.default_rng(0)
    found = int(widths_needed(slope, scatter, span, 3, 1, together=True, alpha=0.05))
    power = {}
    for count in (found - 1, found):
        x = np.linspace(0, span, count)
        means = slope * x + rng.normal(0, scatter, (4000, count))
        p = [stats.linregress(x, row, alternative="less").pvalue for row in means]
        power[count] = np.mean(np.array(p) < 0.05)
    assert power[found - 1] < 0.815
    assert power[found] > 0.785


def test_a_verdict_that_is_missing_says_what_it_would_take():
    found = draw_pairs(Truth(slope=-0.05, seeds=3, methods=("moco",)), np.random.default_rng(4))
    row = aggregate.pooled_trend(found).iloc[0]
    assert row["verdict"] == "cannot tell"
    assert row["seeds_needed"] > 3
    notes = " ".join(limits(_gains(found), aggregate.pooled_trend(found)))
    assert f"about {int(row['seeds_needed'])} seeds for each line (now 3)" in notes


def test_an_expanded_percentile_interval_is_as_wide_as_students():
    for n in (3, 6, 10):
        z = stats.norm.ppf(0.5 + expanded_level(n) / 2)
        assert z * np.sqrt((n - 1) / n) == pytest.approx(stats.t.ppf(0.975, n - 1), rel=1e-3)


def test_a_fall_that_the_ceiling_makes_is_named_as_such():
    """The same log odds at every width, and a baseline that nears 100 %: points shrink."""
    truth = Truth(widths=(4, 8, 16, 32), seeds=8, slope=0.0, ceiling=99.9, rate=0.8)
    trials = draw_trials(truth, np.random.default_rng(0))
    trials["accuracy"] = trials["accuracy"].clip(upper=99.99)
    odds = np.log(trials["accuracy"] / (100 - trials["accuracy"]))
    none = trials["arm"] == "none"
    rng = np.random.default_rng(1)
    key = ["method", "width", "seed"]
    same = trials[~none][key].merge(trials[none].assign(odds=odds[none])[[*key, "odds"]], on=key)
    lifted = same["odds"].to_numpy() + 0.3 + rng.normal(0, 0.02, len(same))
    trials.loc[~none, "accuracy"] = 100 / (1 + np.exp(-lifted))
    found = find(trials.assign(scored_images=1_000_000))
    assert found.trends.pooled["verdict"].item() == "supports"
    assert "it may be the ceiling's" in " ".join(found.sentences.limits)
    steep = find(draw_trials(Truth(seeds=8, slope=-0.4), np.random.default_rng(0)))
    assert "ceiling" not in " ".join(steep.sentences.limits)


def test_methods_that_differ_in_sign_are_named():
    found = draw_pairs(Truth(slope=0.0, noise=0.05), np.random.default_rng(0))
    x = np.log2(found["parameters"])
    found["gain"] += np.where(found["method"] == "moco", -0.5, 0.3) * x
    words = method_words(trend.trend_table(found, brief=True))
    assert len(words) == 1
    assert "\u22120.5" in words[0]
    assert "with moco" in words[0]
    assert not method_words(trend.trend_table(found[found["method"] == "moco"], brief=True))
