"""Trends and pools against other libraries, closed forms and slow, obvious code."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from reports.findings import find
from reports.output.sentences.limits import limits, method_words
from reports.output.sentences.looks import batch_words
from reports.output.sentences.verdict import headline
from reports.statistics import aggregates, trend
from reports.statistics.batches import seed_batches
from reports.statistics.capacity import with_capacity
from reports.statistics.gain import gain_from_pairs, pairs
from reports.statistics.hierarchy import mixed_model
from reports.statistics.intervals import ALPHA, expanded_level
from reports.statistics.lines import lines_of, unit_slopes
from reports.statistics.new_study import seeds_needed, widths_needed
from reports.statistics.pooled import pooled_trend
from reports.statistics.power import detectable_slope
from reports.statistics.selection import select
from reports.statistics.shape import monotone_p
from reports.statistics.slope import over_units, pooled_scatter
from reports.statistics.units import by_unit
from reports.statistics.verdict import holm
from reports.store.registration import register
from reports.store.tables import open_store
from tests.simulated_coverage import draw_lines, draw_pairs, judge, plain
from tests.synthetic_study import Truth, draw_trials


@pytest.fixture
def table() -> pd.DataFrame:
    truth = Truth(datasets=("a", "b", "c"), widths=(4, 8, 16, 32), luck=0.3, seeds=5)
    return draw_pairs(truth, np.random.default_rng(5))


def line_of(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["dataset"] == "a") & (table["method"] == "moco")]


def test_a_slope_over_units_is_a_t_interval_of_regressions(table):
    line = line_of(table)
    slopes = [
        np.polyfit(np.log2(group["parameters"]), group["gain"], 1)[0]
        for _, group in line.groupby("seed")
    ]
    expected = stats.ttest_1samp(slopes, 0)
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
    assert row["p_widths"] == pytest.approx(fit.pvalues["x"])
    assert row["low"] == min(row["seeds_low"], row["widths_low"])
    assert row["high"] == max(row["seeds_high"], row["widths_high"])
    assert row["p"] == max(row["p_seeds"], row["p_widths"])


def test_the_scatter_of_all_lines_of_an_arm_is_pooled(table):
    means = table.groupby(["dataset", "method", "parameters"], as_index=False)["gain"].mean()
    means["x"] = np.log2(means["parameters"])
    means["line"] = means["dataset"] + means["method"]
    fit = smf.ols("gain ~ line * x", means).fit()
    lines = [line for _, line in table.groupby(["dataset", "method"])]
    scatter = pooled_scatter(lines_of([by_unit(line) for line in lines]))
    assert scatter.freedom == fit.df_resid == 12
    assert scatter.variance == pytest.approx(fit.mse_resid)


def test_a_missing_pair_is_left_out_of_its_cell_alone(table):
    line = line_of(table)
    lost = line[~((line["seed"] == 2) & (line["width"] == 8))]
    row = trend.trend_table(lost).iloc[0]
    means = lost.groupby("parameters")["gain"].mean()
    assert row["slope"] == pytest.approx(np.polyfit(np.log2(means.index), means, 1)[0])
    assert row["lost"] == 1
    assert row["seeds"] == 5
    # Nearly all data are there, so nearly the same error and as many degrees of freedom.
    whole, part = (over_units(*weighted(frame)) for frame in (line, lost))
    assert part.error == pytest.approx(whole.error, rel=0.5)
    assert whole.freedom == pytest.approx(4)
    assert 3 < part.freedom < 4


def weighted(frame: pd.DataFrame):
    """One line, and its slope as weights."""
    lines = lines_of([by_unit(frame)])
    x = np.log2(lines[0].capacities)
    return lines, [(x - x.mean()) / np.sum((x - x.mean()) ** 2)]


def test_missing_pairs_say_so_and_leave_a_verdict_that_all_pairs_would_give():
    found = draw_pairs(Truth(slope=-0.6, seeds=6, widths=(4, 8, 16, 32)), np.random.default_rng(0))
    # No seed has every width of both lines any more.
    lost = found[~((found["width"] == 4) & (found["method"] == "moco") & (found["seed"] < 3))]
    lost = lost[~((lost["width"] == 32) & (lost["method"] == "moco") & (lost["seed"] >= 3))]
    row = pooled_trend(lost).iloc[0]
    assert row["verdict"] == pooled_trend(found)["verdict"].item() == "supports"
    assert row["lost"] == 6
    assert "mixco: 6 pairs are missing" in " ".join(limits(_gains(lost), pooled_trend(lost)))


@pytest.mark.parametrize(("shared", "most"), [(0.0, 1.1), (2.0, 1.4)])
def test_errors_are_not_too_small_where_pairs_are_missing(shared, most):
    """The mean of the estimated variance is the variance of the estimates, or a little more.

    ``shared`` is what a seed adds to all of its widths, beside a noise of one.
    """
    rng = np.random.default_rng(0)
    lines, weights = weighted(line_of(draw_pairs(Truth(datasets=("a",), seeds=4), rng)))
    values, squares_ = [], []
    for _ in range(1500):
        scores = rng.normal(size=(4, 4)) + shared * rng.normal(size=(4, 1))
        scores[[0, 1], [0, 3]] = np.nan
        found = over_units([replace(lines[0], scores=scores)], weights)
        values.append(found.value)
        squares_.append(found.error**2)
    assert 0.9 < np.mean(squares_) / np.var(values) < most


def test_lines_that_share_seeds_are_averaged_within_a_seed(table):
    slopes = [unit_slopes(line) for _, line in by_unit(table).groupby(["dataset", "method"])]
    expected = stats.ttest_1samp(np.mean(slopes, axis=0), 0)
    row = pooled_trend(table).iloc[0]
    assert row["p_seeds"] == pytest.approx(expected.pvalue)
    assert (row["seeds_low"], row["seeds_high"]) == pytest.approx(
        tuple(expected.confidence_interval(0.95))
    )


def test_the_slopes_of_complete_seeds_leave_out_a_seed_that_lacks_a_width(table):
    line = line_of(table)
    lost = line[~((line["seed"] == 2) & (line["width"] == 8))]
    assert len(unit_slopes(by_unit(lost))) == 4
    assert unit_slopes(by_unit(lost)) == pytest.approx(unit_slopes(by_unit(line))[[0, 1, 3, 4]])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_agrees_with_statsmodels(values):
    with mock.patch("gc.collect"):  # statsmodels calls it each time: a second of this process
        expected = multipletests(values, method="holm")[1]
    assert holm(pd.Series(values)).to_numpy() == pytest.approx(expected)


def test_holm_leaves_what_is_not_known():
    assert np.isnan(holm(pd.Series([0.01, np.nan, 0.04]))[1])
    assert holm(pd.Series([0.01, np.nan, 0.04]))[0] == pytest.approx(0.02)


def test_pages_test_agrees_with_counting_permutations():
    scores = pd.DataFrame(
        {
            "unit": np.repeat([0, 1], 3),
            "encoder": "resnet18",
            "width": [1, 2, 4] * 2,
            "parameters": [1, 2, 4] * 2,
            "gain": [3.0, 2.0, 1.0, 3.0, 1.0, 2.0],
        }
    )
    # Of the 36 pairs of rankings, three are as steep or steeper: 123/123, 123/132 and 132/123,
    # and 123/213 and 213/123 tie with what was seen.
    assert monotone_p(with_capacity(scores)) == pytest.approx(5 / 36)


def test_two_estimates_pool_as_welch_does(table):
    one = stats.norm.rvs(size=6, random_state=1)
    two = 3 * stats.norm.rvs(size=4, random_state=2)
    frames = [
        with_capacity(
            pd.DataFrame(
                {"unit": first + np.arange(len(gain)), "gain": gain, "parameters": 1, "width": 1}
            ).assign(dataset="a", encoder="resnet18", repeated=False, seeds=1)
        )
        for first, gain in ((0, one), (100, -two))  # the lines share no seed
    ]
    half = np.array([0.5])
    pooled = over_units(lines_of(frames), [half, half])
    welch = stats.ttest_ind(one, two, equal_var=False)
    assert pooled.value / pooled.error == pytest.approx(welch.statistic)
    assert pooled.freedom == pytest.approx(welch.df)


def test_data_sets_like_these_is_a_t_test_over_data_sets(table):
    slopes = [
        np.mean([unit_slopes(line).mean() for _, line in group.groupby("method")])
        for _, group in by_unit(table).groupby("dataset")
    ]
    row = pooled_trend(table).iloc[0]
    expected = stats.ttest_1samp(slopes, 0).confidence_interval(0.95)
    assert (row["like_low"], row["like_high"]) == pytest.approx(tuple(expected))


def test_the_mixed_model_agrees_on_a_balanced_study(table):
    assert mixed_model(by_unit(table)).value == pytest.approx(
        pooled_trend(table)["slope"].iloc[0], abs=0.01
    )


def test_the_interquartile_mean_and_the_probability_of_improvement():
    trials = draw_trials(Truth(seeds=4), np.random.default_rng(2))
    both = pairs(select(trials))
    row = aggregates.aggregates(both).set_index("method").loc["moco"]
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
    pooled = pooled_trend(found).iloc[0]
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
    notes = " ".join(limits(_gains(found), pooled_trend(found)))
    assert "More searches, not more seeds" in notes


def _gains(found: pd.DataFrame) -> pd.DataFrame:
    columns = ["accuracy", "baseline", "error_reduction", "logit_gain", "compute_ratio"]
    return gain_from_pairs(found.assign(**dict.fromkeys(columns, 1.0), encoder_flops=1))


def test_one_seed_and_two_widths_say_what_they_cannot_show():
    one = draw_pairs(Truth(seeds=1), np.random.default_rng(0))
    assert (
        "Where there is one pair, a gain has no interval"
        in limits(_gains(one), pooled_trend(one))[0]
    )
    two = draw_pairs(Truth(widths=(4, 8)), np.random.default_rng(0))
    row = trend.trend_table(two).iloc[0]
    assert np.isnan(row["p_widths"])
    assert np.isfinite(row["low"])
    steep = trend.trend_table(draw_pairs(Truth(widths=(4, 8), slope=-9), np.random.default_rng(0)))
    assert set(steep["verdict"]) == {
        "cannot tell"
    }  # a lucky search at one width would look the same
    assert "Two widths" in " ".join(limits(_gains(two), pooled_trend(two)))


def test_equal_gains_are_no_verdict():
    """Coarse accuracies repeat: gains that are all equal must not pass for certainty."""
    found = draw_pairs(Truth(widths=(4, 8, 16), seeds=3), np.random.default_rng(0))
    for gain in (2.2, 2.2 - 0.1 * np.log2(found["parameters"]) + found["seed"] * 1e-15):
        equal = found.assign(gain=gain)
        assert set(trend.trend_table(equal)["verdict"]) == {"cannot tell"}
        pooled = pooled_trend(equal)
        assert pooled["verdict"].item() == "cannot tell"
        assert np.isnan(pooled["low"].item())
        assert "no interval" in headline(pooled.iloc[0])


def test_arms_are_a_family():
    found = draw_pairs(Truth(slope=-0.1, seeds=4), np.random.default_rng(3))
    three = pd.concat([found.assign(arm=arm) for arm in ("mixco", "i-mix", "un-mix")])
    alone, together = pooled_trend(found), pooled_trend(three)
    assert together["p"].tolist() == pytest.approx(3 * [alone["p"].item()])
    assert together["p_holm"].tolist() == pytest.approx(3 * [3 * alone["p"].item()])


@pytest.mark.slow
def test_power_is_that_of_both_tests_on_simulated_studies():
    """The promise against the tests themselves, drawn anew."""
    rng = np.random.default_rng(0)
    truth = Truth(methods=("moco",), seeds=4, noise=0.5)
    sizes = [truth.parameters(width) for width in truth.widths]
    slope = detectable_slope(sizes, truth.seeds, truth.noise)
    falling = replace(plain(truth), curve=-slope * np.log2(sizes))
    found = [judge(draw_lines(truth, falling, rng))["verdict"] == "supports" for _ in range(3000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.025)


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
    sizes = np.array([1000.0, 4000, 16000, 64000])
    for slope in (0.05, 0.1):
        n = int(seeds_needed(slope, sizes, 0.5, lines=1, alpha=ALPHA))
        assert detectable_slope(sizes, n, 0.5) <= slope < detectable_slope(sizes, n - 1, 0.5)
    assert np.isinf(seeds_needed(1e-9, sizes, 0.5, lines=1, alpha=ALPHA))


def test_widths_needed_show_the_slope_through_their_scatter():
    slope, scatter, span = -0.15, 0.3, 6.0
    rng = np.random.default_rng(0)
    found = int(widths_needed(slope, scatter, span, 3, 1, alpha=0.05))
    power = {}
    for count in (found - 1, found):
        x = np.linspace(0, span, count)
        means = slope * x + rng.normal(0, scatter, (4000, count))
        # The test of a correlation is that of the regression's slope.
        fits = stats.pearsonr(np.broadcast_to(x, means.shape), means, axis=1)
        power[count] = np.mean((fits.pvalue < 0.05) & (fits.statistic < 0))
    assert power[found - 1] < 0.815
    assert power[found] > 0.785


def test_a_verdict_that_is_missing_says_what_it_would_take():
    found = draw_pairs(Truth(slope=-0.05, seeds=3, methods=("moco",)), np.random.default_rng(4))
    row = pooled_trend(found).iloc[0]
    assert row["verdict"] == "cannot tell"
    assert row["seeds_needed"] > 3
    notes = " ".join(limits(_gains(found), pooled_trend(found)))
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
    assert "the ceiling may explain the fall" in " ".join(found.sentences.limits)
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


def course(gains: list[float], noise: float = 0.05, seeds: int = 6) -> pd.DataFrame:
    """Pairs of two lines with these true gains at the widths 4, 8, 16, ..."""
    widths = tuple(4 * 2**place for place in range(len(gains)))
    truth = Truth(widths=widths, gain=0, slope=0, noise=noise, seeds=seeds)
    found = draw_pairs(truth, np.random.default_rng(0))
    return found.assign(
        gain=found["gain"] + found["width"].map(dict(zip(widths, gains, strict=True)))
    )


def test_a_hump_is_named_and_not_called_a_fall_from_the_smallest_on():
    row = pooled_trend(course([1.0, 2.3, 0.6, 0.4, 0.2])).iloc[0]
    assert (row["shape"], row["turn"]) == ("hump", "width 8")
    assert "from the smallest encoder" not in headline(row)
    notes = " ".join(limits(_gains(course([1.0, 2.3, 0.6, 0.4, 0.2])), row.to_frame().T))
    assert "it has a hump: width 8 gains more than the smallest and the largest" in notes
    dip = pooled_trend(course([2.0, 0.3, 0.6, 2.4])).iloc[0]
    assert (dip["shape"], dip["turn"]) == ("dip", "width 8")


def test_a_step_is_a_fall_that_is_not_straight_and_not_blamed_on_luck_alone():
    found = course([2.0, 2.0, 0.5, 0.5], noise=0.2)
    row = pooled_trend(found).iloc[0]
    assert row["shape"] == "falls"
    assert row["fall_low"] < 1.5 < row["fall_high"] < 2
    assert row["p_straight"] < 0.01
    alone = found[found["method"] == "moco"]  # two degrees of freedom: no verdict
    notes = " ".join(limits(_gains(alone), pooled_trend(alone)))
    assert "Either the course is curved, or some searches had luck" in notes
    straight = pooled_trend(course([2.0, 1.5, 1.0, 0.5], noise=0.2)).iloc[0]
    assert straight["p_straight"] > 0.05
    assert headline(straight).startswith("The gain of mixco falls from the smallest encoder to")


def test_the_interval_excludes_zero_exactly_where_a_verdict_falls():
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(20):
        table = pooled_trend(draw_pairs(Truth(slope=-0.12, widths=(4, 8, 16)), rng), brief=True)
        row = table.iloc[0]
        excludes = row["high"] < 0 or row["low"] > 0
        assert excludes == (row["p_holm"] < ALPHA)
        verdicts.append(row["verdict"])
        assert row["verdict"] == "cannot tell" or excludes
    assert len(set(verdicts)) > 1


def test_one_isolated_width_does_not_decide_alone():
    """Luck of one far width alone: the line goes through it, so no scatter shows."""
    found = course([1.0, 1.0, 1.0, 1.0], noise=0.1)
    found["parameters"] = found["width"].map({4: 2**10, 8: 2**11, 16: 2**12, 32: 2**20})
    found["capacity"] = found["parameters"].astype(float)
    found.loc[found["width"] == 32, "gain"] -= 2.0
    row = pooled_trend(found).iloc[0]
    assert row["p"] < 0.05
    assert row["verdict"] == "cannot tell"
    assert row["deciding_width"] == "width 32"
    notes = " ".join(limits(_gains(found), pooled_trend(found)))
    assert "width 32 alone decides" in notes


def test_one_seed_has_no_verdict_and_says_why():
    found = course([3.0, 2.01, 1.0, 0.01], noise=0.001, seeds=1)
    row = pooled_trend(found).iloc[0]
    assert row["p_widths"] < 0.05
    assert row["verdict"] == "cannot tell"
    notes = " ".join(limits(_gains(found), pooled_trend(found)))
    assert "there is no verdict, because there is one seed" in notes


def test_a_missing_verdict_is_no_invitation_to_look_again():
    found = draw_pairs(Truth(slope=-0.05, seeds=3, methods=("moco",)), np.random.default_rng(4))
    notes = " ".join(limits(_gains(found), pooled_trend(found)))
    assert "a new study" in notes
    assert "Do not add seeds or searches to this study and look again" in notes


def test_seeds_that_were_added_later_are_named(tmp_path):
    trials = with_capacity(draw_trials(Truth(seeds=4), np.random.default_rng(0)))
    start = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(len(trials)), "min")
    together = trials.assign(started_at=start, finished_at=start + pd.Timedelta("1min"))
    assert seed_batches(together) == [[1000, 1001, 1002, 1003]]
    assert batch_words(seed_batches(together)) == []
    later = together["seed"] >= 1002
    for name in ("started_at", "finished_at"):
        together.loc[later, name] += pd.Timedelta("1D")
    assert seed_batches(together) == [[1000, 1001], [1002, 1003]]
    note = next(n for n in find(together).sentences.limits if "extended" in n)
    assert "2 confirm seeds (1002, 1003) started only after all trials of 1000, 1001" in note
    assert seed_batches(trials) == [[1000, 1001, 1002, 1003]]  # no times, nothing to be seen
    store = open_store(tmp_path, create=True)
    planned = register(store, "seeds: 4", 1, 1, searches=0)
    assert not any("extended" in n for n in find(together, registration=planned).sentences.limits)
    changed = register(store, "seeds: 6", 1, 1, searches=0)
    assert note in find(together, registration=changed).sentences.limits
    late = register(open_store(tmp_path / "late", create=True), "seeds: 4", 1, 1, searches=1)
    assert note in find(together, registration=late).sentences.limits
