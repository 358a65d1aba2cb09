"""Several searches of every cell: the search is the unit of slopes, gains and equivalence."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from reports.findings import find
from reports.output.numbers import probability
from reports.output.sentences.limits import limits
from reports.output.sentences.missing_verdict import missing_verdict
from reports.output.summary import print_summary
from reports.reading import read_results
from reports.statistics.aggregates import aggregates
from reports.statistics.compare import compare_gains
from reports.statistics.equivalence import equivalence_table
from reports.statistics.fairness import search_table, unequal_budgets
from reports.statistics.gain import accuracy_table, gain_from_pairs, pairs, unpaired
from reports.statistics.intervals import ALPHA
from reports.statistics.looks import LookPlan
from reports.statistics.pooled import pooled_trend
from reports.statistics.power import detectable_slope, spread_range
from reports.statistics.scaling import scaling_table
from reports.statistics.selection import LINE, select
from reports.statistics.trend import trend_table
from reports.statistics.verdict import CANNOT_TELL, NOT_YET, SUPPORTS, steps
from reports.store.registration import record_look, register
from reports.store.tables import open_store
from tests.synthetic_study import Truth, draw_trials, write_store

TRUTH = Truth(widths=(4, 8, 16), searches=4, seeds=2, luck=0.5, tune_trials=3)


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    return draw_trials(TRUTH, np.random.default_rng(0))


@pytest.fixture(scope="module")
def table(trials) -> pd.DataFrame:
    return pairs(select(trials))


def slopes_of(line: pd.DataFrame) -> list[float]:
    """Of each search, the slope of its mean gains: slow and obvious."""
    found = []
    for _, search in line.groupby("search"):
        means = search.groupby("parameters")["gain"].mean()
        found.append(np.polyfit(np.log2(means.index.astype(float)), means, 1)[0])
    return found


def test_every_search_confirms_its_own_best_configuration(trials, table):
    assert select(trials).superseded == 0
    assert len(table) == 2 * 3 * 4 * 2  # lines, widths, searches, seeds
    chosen = select(trials).confirm.groupby(["cell", "search"])["tuned_from"].unique()
    assert chosen.map(len).eq(1).all()
    assert chosen.map(lambda ids: ids[0]).is_unique


def test_the_slope_of_a_line_is_a_t_test_over_its_searches(table):
    rows = trend_table(table).set_index("method")
    for (_, method, _), line in table.groupby(LINE):
        test = stats.ttest_1samp(slopes_of(line), 0)
        row = rows.loc[method]
        assert row["slope"] == pytest.approx(np.mean(slopes_of(line)))
        assert row["p"] == pytest.approx(test.pvalue)
        interval = test.confidence_interval(row["level"])
        assert (row["low"], row["high"]) == pytest.approx(tuple(interval))
        assert (row["searches"], row["seeds"], row["lost"]) == (4, 2, 0)
        assert np.isnan(row["p_widths"])
        assert row["deciding_width"] == ""


def test_lines_are_averaged_within_a_search(table):
    each = [slopes_of(line) for _, line in table.groupby(LINE)]
    test = stats.ttest_1samp(np.mean(each, axis=0), 0)
    row = pooled_trend(table).iloc[0]
    assert (row["p"], row["p_holm"]) == pytest.approx((test.pvalue, test.pvalue))
    assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval(0.95)))
    ends = table.groupby(["search", "method", "width"])["gain"].mean().unstack()
    fall = stats.ttest_1samp((ends[4] - ends[16]).groupby("search").mean(), 0)
    assert row["fall"] == pytest.approx((ends[4] - ends[16]).mean())
    assert (row["fall_low"], row["fall_high"]) == pytest.approx(tuple(fall.confidence_interval()))


def test_the_gain_and_the_accuracy_at_a_width_are_judged_over_searches(trials, table):
    row = gain_from_pairs(table).set_index(["method", "width"]).loc[("moco", 8)]
    own = table[(table["method"] == "moco") & (table["width"] == 8)]
    means = own.groupby("search")["gain"].mean()
    interval = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (row["gain"], row["sd"]) == pytest.approx((means.mean(), means.std()))
    assert (row["low"], row["high"]) == pytest.approx(tuple(interval))
    assert row["p"] >= 2 / 2**4  # sign flips of four searches, not of eight pairs
    assert (row["pairs"], row["searches"]) == (8, 4)
    accuracy = accuracy_table(select(trials)).set_index(["method", "arm", "width"])
    row = accuracy.loc[("moco", "none", 8)]
    expected = stats.ttest_1samp(own.groupby("search")["baseline"].mean(), 0)
    assert (row["low"], row["high"]) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_luck_in_the_searches_is_in_every_interval(trials, table):
    """With one noiseless seed a search, what is left is luck; seeds would not see it."""
    quiet = replace(TRUTH, noise=1e-6, shared_noise=1e-6, luck=0.5, tune_trials=0)
    selection = select(draw_trials(quiet, np.random.default_rng(1)))
    found = pairs(selection)
    assert gain_from_pairs(found)["sd"].min() > 0.05
    factors = equivalence_table(selection)
    assert (factors["units"] == 4).all()
    assert (factors["high"] / factors["low"].clip(lower=0.01)).min() > 1.01
    assert (scaling_table(selection)["units"] == 4).all()
    assert (aggregates(found)["iqm_high"] - aggregates(found)["iqm_low"]).min() > 0.05
    same = compare_gains(found, found)
    assert (same["high"] > 0.3).all()


def test_two_widths_earn_a_verdict():
    truth = Truth(widths=(4, 16), searches=3, seeds=1, slope=-1.5)
    row = pooled_trend(pairs(select(draw_trials(truth, np.random.default_rng(0))))).iloc[0]
    assert row["verdict"] == SUPPORTS
    assert row["high"] < 0


def test_a_lost_pair_leaves_its_cell_alone_and_a_lost_search_leaves_the_others(table):
    lost = table[~((table["search"] == 2) & (table["width"] == 8) & (table["method"] == "moco"))]
    row = trend_table(lost).set_index("method").loc["moco"]
    assert row["lost"] == 1
    means = lost[lost["method"] == "moco"].groupby(["parameters", "search"])["gain"].mean()
    means = means.groupby("parameters").mean()
    expected = np.polyfit(np.log2(means.index.astype(float)), means, 1)[0]
    assert row["slope"] == pytest.approx(expected)
    fewer = pooled_trend(table[table["search"] != 3]).iloc[0]
    assert (fewer["searches"], fewer["lost"]) == (3, 0)


def test_lost_searches_are_counted_in_words(table):
    lost = table[~((table["search"] == 2) & (table["width"] == 8))]
    assert "2 searches of cells are missing" in " ".join(words(lost))


def test_a_line_that_was_searched_once_is_judged_by_its_seeds_and_left_out_of_the_mean(table):
    mixed = table[(table["method"] == "moco") | (table["search"] == 0)]
    rows = trend_table(mixed).set_index("method")
    alone = trend_table(table[(table["method"] == "simclr") & (table["search"] == 0)]).iloc[0]
    assert rows.loc["simclr", "searches"] == 1
    for name in ("slope", "p_seeds", "p_widths", "p"):
        assert rows.loc["simclr", name] == pytest.approx(alone[name])
    row = pooled_trend(mixed).iloc[0]
    assert (row["lines"], row["left_out"]) == (1, 1)
    assert row["slope"] == pytest.approx(rows.loc["moco", "slope"])
    assert "1 line that was searched once" in " ".join(words(mixed))


def words(table: pd.DataFrame) -> list[str]:
    return limits(gain_from_pairs(table), pooled_trend(table))


def test_the_sentences_say_what_was_repeated(trials):
    trials = trials[(trials["method"] == "moco") & (trials["phase"] == "confirm")]
    found = find(trials)
    assert "4 searches of every cell with 2 seeds each" in found.sentences.headlines[0]
    notes = " ".join(found.sentences.limits)
    assert "judged over 4 searches of every cell" in notes
    assert "With 4 searches the exact sign-flip test cannot go below p = .125" in notes
    assert "searched once" not in notes
    once = find(trials[trials["search"] == 0])
    assert "one search of every cell with 2 seeds" in once.sentences.headlines[0]
    assert "A lucky search at one width and an effect of the width look the same" in " ".join(
        once.sentences.limits
    )


def test_the_terminal_names_every_line_in_80_columns(trials):
    named = {"dataset": "tiny-imagenet", "encoder": "resnet18"}
    arm = trials["arm"].replace("mixco", "extra-crop")
    console = Console(width=80, file=io.StringIO())
    print_summary(find(trials.assign(**named, arm=arm)), console)
    shown = console.file.getvalue()
    assert "…" not in shown
    trends = shown[shown.index("Trend, points") :]
    for word in ("moco", "simclr", "extra-crop", "4 searches"):
        assert word in trends


@pytest.mark.parametrize("seed", range(8))
def test_a_verdict_falls_exactly_where_the_printed_interval_excludes_zero(seed):
    rng = np.random.default_rng(seed)
    truth = Truth(widths=(4, 8), methods=("moco",), searches=4, seeds=1, slope=0.0, luck=0.2)
    base = pairs(select(draw_trials(truth, rng)))
    arms = []
    for place, slope in enumerate(rng.uniform(-0.6, 0.6, 4)):
        noise = rng.normal(0, 0.3, len(base))
        arms.append(base.assign(arm=f"a{place}", gain=noise + slope * np.log2(base["parameters"])))
    for look in (LookPlan(4, 4), LookPlan(3, 6)):
        rows = pooled_trend(pd.concat(arms), brief=True, look=look.until(4))
        excludes = (rows["low"] > 0) | (rows["high"] < 0)
        assert (excludes == (rows["verdict"] != CANNOT_TELL)).all()
        assert (excludes == (rows["p_holm"] < ALPHA)).all()


def test_the_steps_of_holm():
    assert steps(pd.Series([0.01, np.nan, 0.04, 0.02])) == [3, 1, 1, 2]
    assert steps(pd.Series([0.01, 0.04, 0.03])) == [3, 2, 2]
    assert steps(pd.Series([0.02, 0.9, 0.03])) == [3, 3, 3]


def test_searches_are_compared_with_the_same_search_of_the_baseline(trials):
    assert unequal_budgets(trials).empty
    assert len(search_table(trials)) == 2 * 3 * 2 * 4
    moved = (trials["search"] == 3) & (trials["arm"] == "mixco") & (trials["number"] == 2)
    fewer = unequal_budgets(trials[~moved])
    assert (fewer["search"] == 3).all()
    assert set(fewer["trials"]) == {2}


def test_a_missing_half_is_missing_in_its_search(trials):
    lost = (trials["search"] == 1) & (trials["seed"] == 2001) & (trials["arm"] == "none")
    named = unpaired(trials[~lost])
    assert len(named) == 6
    assert set(named["search"]) == {1}


def test_results_without_the_column_are_those_of_one_search(trials):
    old = trials[trials["search"] == 0].drop(columns="search")
    assert set(pairs(select(old))["search"]) == {0}


def test_a_report_counts_the_looks_that_were_planned(tmp_path):
    trials = draw_trials(
        replace(TRUTH, slope=-0.5, tune_trials=0, methods=("moco",)), np.random.default_rng(0)
    )
    alone = find(trials)
    store = open_store(tmp_path, create=True)
    register(store, "until: verdict", 3, 6, searches=0)
    found = find(trials, registration=record_look(store, 3, {"mixco": 0.2}, "go on"))
    one, row = alone.trends.pooled.iloc[0], found.trends.pooled.iloc[0]
    level = LookPlan(3, 6).until(4).nominal()
    assert row["level"] == pytest.approx(1 - level)
    assert row["p"] == one["p"]
    assert row["p_holm"] > one["p_holm"]
    assert row["low"] < one["low"] < one["high"] < row["high"]
    assert "This is look 2" in " ".join(found.sentences.limits)
    assert "(in all 95 %)" in found.sentences.headlines[0]


@pytest.mark.parametrize(("whole", "verdict"), [(2, NOT_YET), (3, SUPPORTS)])
def test_a_study_has_no_verdict_before_its_first_planned_look(tmp_path, whole, verdict):
    """Three searches are planned. The trend is so clear that two of them show it, too."""
    truth = Truth(widths=(4, 16), methods=("moco",), searches=3, seeds=1, slope=-9.0)
    trials = draw_trials(truth, np.random.default_rng(0))
    begun = (trials["search"] == whole) & (trials["width"] == 4)
    trials = trials[(trials["search"] < whole) | begun]
    store = open_store(tmp_path, create=True)
    found = find(trials, registration=register(store, "searches: 3", 3, 3, searches=0))
    (row,) = found.trends.pooled.to_dict("records")
    assert row["verdict"] == verdict
    assert set(found.trends.lines["verdict"]) == {verdict}
    assert row["level"] == pytest.approx(0.95)
    assert row["high"] < 0
    early = verdict == NOT_YET
    for sentence in (*found.sentences.headlines, *found.sentences.verdicts):
        assert sentence.startswith("There is no verdict yet on whether the gain of mixco") == early
    notes = " ".join(found.sentences.limits)
    assert ("There is no verdict before 3 searches of every cell are complete" in notes) == early


def test_an_arm_without_a_verdict_only_because_of_another_says_so(table):
    base = table.assign(gain=np.random.default_rng(0).normal(0, 0.3, len(table)))
    for slope in np.arange(0, 1, 0.01):
        tilted = base.assign(gain=base["gain"] + slope * np.log2(base["parameters"]))
        rows = pooled_trend(pd.concat([tilted, base.assign(arm="other")]))
        row = rows.set_index("arm").loc["mixco"]
        if ALPHA / 2 < row["p"] < ALPHA:
            break
    (alone, _) = missing_verdict(row)
    assert row["low"] < 0 < row["high"]
    assert alone.startswith(
        f"for this arm alone, looked at once, p would be {probability(row['p'])}."
    )
    assert alone.endswith(f"and so p is {probability(row['p_holm'])}.")


def test_an_extension_without_a_plan_stands_beside_the_verdict(tmp_path):
    trials = draw_trials(replace(TRUTH, tune_trials=0, methods=("moco",)), np.random.default_rng(0))
    store = open_store(tmp_path, create=True)
    register(store, "searches: 3", 3, 3, searches=0)
    found = find(trials, registration=register(store, "searches: 4", 4, 4, searches=3))
    assert found.sentences.headlines[0].endswith(
        "This study was extended without a plan, from 3 to 4 searches."
    )
    assert any("after results could be seen" in note for note in found.sentences.limits)


def test_what_was_registered_is_read_with_the_results(tmp_path):
    truth = replace(TRUTH, tune_trials=0, methods=("moco",), seeds=1)
    trials = draw_trials(truth, np.random.default_rng(0))
    store = open_store(write_store(tmp_path / "one", trials))
    register(store, "until: verdict", 3, 6, searches=0)
    known = record_look(store, 3, {"mixco": 0.2}, "go on")
    assert read_results([store.uri]).registration == known
    other = write_store(tmp_path / "two", trials.assign(study="other", dataset="cifar10"))
    both = read_results([store.uri, str(other)])
    assert both.registration is None
    assert "those of a single look" in both.notes[0]


@pytest.mark.parametrize(("widths", "searches", "lines"), [((4, 8, 16), 3, 2), ((4, 16), 6, 1)])
def test_power_over_searches_is_that_of_drawn_studies(widths, searches, lines):
    sizes = np.array(widths, float) ** 2
    slope = detectable_slope(sizes, 2, 0.3, lines, luck=0.4, searches=searches)
    x = np.log2(sizes)
    spread = np.hypot(0.3 / np.sqrt(2), 0.4)
    rng = np.random.default_rng(0)
    gains = -slope * x + rng.normal(0, spread, (20_000, lines, searches, len(x)))
    centred = x - x.mean()
    slopes = (gains @ centred / np.sum(centred**2)).mean(axis=1)
    found = stats.ttest_1samp(slopes, 0, axis=1)
    power = np.mean((found.pvalue < ALPHA) & (found.statistic < 0))
    assert power == pytest.approx(0.8, abs=0.01)


def test_a_spread_has_a_range():
    low, high = spread_range(0.5, 4)
    rng = np.random.default_rng(0)
    found = rng.normal(size=(20_000, 5)).std(axis=1, ddof=1) * 0.5
    ranges = np.array([spread_range(1.0, 4)]) * found[:, None]
    assert np.mean((ranges[:, 0] < 0.5) & (ranges[:, 1] > 0.5)) == pytest.approx(0.8, abs=0.01)
    assert low < 0.5 < high
    assert spread_range(0.6, 0) == pytest.approx((0.2, 1.8))
