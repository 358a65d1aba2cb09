"""Planned looks: their levels against published values, what is recorded of them, and decisions."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.statistics.decision import Outcome, decide, look_of, whole_searches
from reports.statistics.intervals import ALPHA
from reports.statistics.looks import FUTILE, ONE_LOOK, LookPlan, boundaries, chance_of_verdict
from reports.store.registration import FILE, read_registration, record_look, register
from reports.store.tables import open_store
from tests.simulated_coverage import of_looks
from tests.synthetic_study import Truth, draw_trials
from trainables.errors import InputError

PUBLISHED = {
    2: (2.9626, 1.9686),
    3: (3.7103, 2.5114, 1.9930),
    4: (4.3326, 2.9631, 2.3590, 2.0141),
    5: (4.8769, 3.3569, 2.6803, 2.2898, 2.0310),
}
"""Two-sided 5 %, equal steps, spending of O'Brien and Fleming's type. Source: the program of
Reboussin, DeMets, Kim and Lan 2000, "Computations for group sequential boundaries using the
Lan-DeMets spending function method"."""


@pytest.mark.parametrize("looks", PUBLISHED)
def test_boundaries_are_the_published_ones(looks):
    shares = tuple((place + 1) / looks for place in range(looks))
    assert boundaries(shares, 0.05) == pytest.approx(PUBLISHED[looks], abs=2e-4)


def test_all_looks_together_keep_their_level():
    """Random walks that cross the boundary at some look, drawn and counted."""
    shares = (0.3, 0.4, 0.75, 1.0)
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(200_000, 4)) * np.sqrt(np.diff((0, *shares)))
    deviates = np.abs(np.cumsum(steps, axis=1)) / np.sqrt(shares)
    for alpha in (0.05, 0.2):
        crossed = (deviates > boundaries(shares, alpha)).any(axis=1).mean()
        assert crossed == pytest.approx(alpha, abs=4 * math.sqrt(alpha / len(steps)))


def test_one_look_is_the_plain_test():
    assert LookPlan(5, 5).final.nominal(0.03) == 0.03
    assert LookPlan(5, 5).final.adjusted(0.03) == 0.03
    assert math.isnan(LookPlan(3, 5).until(4).adjusted(math.nan))


@settings(max_examples=10)
@given(p=st.floats(1e-8, 0.999), searches=st.integers(2, 7))
def test_the_repeated_p_value_is_below_the_level_exactly_where_the_look_shows_an_effect(
    p, searches
):
    level = LookPlan(3, 6).until(searches)
    adjusted = level.adjusted(p)
    assert p <= adjusted <= 1
    if abs(adjusted - ALPHA) > 1e-4:
        assert (adjusted < ALPHA) == (p < level.nominal(ALPHA))


@pytest.mark.parametrize("plan", [LookPlan(2, 6), LookPlan(3, 6), LookPlan(3, 12)])
def test_looks_with_few_searches_keep_their_level(plan):
    found = of_looks(plan, 20_000)
    assert found["planned"] <= 5 + 3 * 0.15  # three standard errors of the simulation
    assert found["not planned"] > 10
    assert found["planned"] == pytest.approx(found["stopped"], abs=0.3)  # futility binds nobody


def test_looks_beside_the_plan_cost_level():
    plan = LookPlan(4, 6)
    assert plan.until(6, taken=[2, 3]).nominal() < plan.until(6).nominal()
    assert plan.until(6, taken=[4, 6]) == plan.until(6)
    assert plan.until(8).shares == (0.5, 5 / 8, 0.75, 1.0)  # extended: the end is the eighth search


@pytest.mark.parametrize(("first", "last"), [(1, 3), (4, 3)])
def test_plans_that_cannot_be_are_refused(first, last):
    with pytest.raises(ValueError, match="the first look needs 2 searches"):
        LookPlan(first, last)


def test_the_chance_of_a_verdict_is_that_of_drawn_ends():
    rng = np.random.default_rng(0)
    plan, searches, p = LookPlan(3, 6), 4, 0.1
    share, found = searches / plan.last, stats.norm.isf(p / 2)
    effect = found / math.sqrt(share) + rng.normal(size=200_000) / math.sqrt(share)
    rest = effect * (1 - share) + rng.normal(size=200_000) * math.sqrt(1 - share)
    ends = np.abs(found * math.sqrt(share) + rest)
    drawn = np.mean(ends > stats.norm.isf(plan.final.nominal() / 2))
    assert chance_of_verdict(p, plan, searches) == pytest.approx(drawn, abs=0.005)


def study(slope: float, searches: int, seed: int = 0) -> pd.DataFrame:
    truth = Truth(widths=(4, 16), methods=("moco",), seeds=1, searches=searches, slope=slope)
    return draw_trials(truth, np.random.default_rng(seed))


def test_a_study_goes_on_until_its_look_tells():
    plan = LookPlan(3, 6)
    assert decide(study(-2.0, 2), plan).outcome == Outcome.GO_ON
    assert decide(study(-2.0, 2), plan).level == 0
    steep = decide(study(-9.0, 6), plan)
    assert (steep.outcome, steep.searches) == (Outcome.VERDICT, 6)
    assert steep.level == pytest.approx(plan.final.nominal())
    assert steep.p["mixco"] < steep.level
    last = decide(study(0.0, 6), plan)
    assert last.outcome == Outcome.FUTILE  # nothing is left to go on to
    early = [decide(study(slope, 4, seed=3), plan) for slope in (0.0, -0.3)]
    assert [look.outcome for look in early] == [Outcome.FUTILE, Outcome.GO_ON]
    for look in early:
        chance = chance_of_verdict(look.p["mixco"], plan, 4)
        assert (look.outcome == Outcome.FUTILE) == (chance < FUTILE)


def test_what_the_last_look_would_show_is_not_enough_at_the_first():
    trials = study(-0.3, 3)
    alone, first = decide(trials, LookPlan(3, 3)), decide(trials, LookPlan(3, 6))
    assert alone.p == first.p
    assert first.level < first.p["mixco"] < alone.level == ALPHA
    assert (alone.outcome, first.outcome) == (Outcome.VERDICT, Outcome.GO_ON)


def test_rows_of_a_search_that_has_not_ended_do_not_count():
    trials = study(-2.0, 4)
    last = (trials["search"] == 3) & (trials["width"] == 16) & (trials["arm"] == "mixco")
    assert whole_searches(trials[~last]) == [0, 1, 2]
    three = decide(trials[trials["search"] < 3], LookPlan(2, 4))
    assert decide(trials[~last], LookPlan(2, 4)) == three
    failed = trials.assign(status=trials["status"].mask(last, "failed"))
    assert whole_searches(failed) == [0, 1, 2, 3]  # it ended, without a score


def test_a_search_that_found_nothing_has_ended():
    trials = draw_trials(
        replace(Truth(methods=("moco",), widths=(4, 8), seeds=1), searches=2, tune_trials=3),
        np.random.default_rng(0),
    )
    cell = (trials["search"] == 1) & (trials["width"] == 8) & (trials["arm"] == "none")
    trials.loc[cell & (trials["phase"] == "tune"), "status"] = "diverged"
    lost = trials[~(cell & (trials["phase"] == "confirm"))]
    assert whole_searches(lost) == [0, 1]
    last = cell.reindex(lost.index) & (lost["number"] == 2)
    assert whole_searches(lost[~last]) == [0]


def test_a_registration_keeps_the_first_plan_and_every_look(tmp_path):
    store = open_store(tmp_path, create=True)
    assert read_registration(store) is None
    with pytest.raises(InputError, match="no look can be recorded"):
        record_look(store, 3, {"mixco": 0.2}, Outcome.GO_ON)
    first = register(store, "name: a", 3, 6, searches=0)
    assert register(store, "name: a", 3, 6, searches=2) == first
    record_look(store, 3, {"mixco": 0.2}, Outcome.GO_ON)
    record_look(store, 4, {"mixco": None}, Outcome.GO_ON)
    record_look(store, 4, {"mixco": 0.001}, Outcome.VERDICT)
    found = read_registration(store)
    assert [(look.searches, look.outcome) for look in found.looks] == [
        (3, "go on"),
        (4, "verdict"),
    ]
    assert found.extended_to is None
    assert found.planned == first.planned
    assert len(found.planned.spec) == 64


@pytest.mark.parametrize(("searches", "extended"), [(0, None), (3, 5)])
def test_a_longer_plan_is_an_extension_only_after_results_could_be_seen(
    tmp_path, searches, extended
):
    store = open_store(tmp_path, create=True)
    register(store, "searches: 3", 3, 3, searches=0)
    register(store, "searches: 5", 5, 5, searches=searches)
    assert read_registration(store).extended_to == extended


def test_a_plan_that_is_changed_before_results_could_be_seen_is_the_plan(tmp_path):
    store = open_store(tmp_path, create=True)
    register(store, "searches: 5", 5, 5, searches=0)
    shorter = register(store, "searches: 3", 3, 3, searches=0)
    assert (shorter.planned.last, shorter.extended_to) == (3, None)
    assert not look_of(study(-2.0, 2), shorter).due
    assert look_of(study(-2.0, 3), shorter) == ONE_LOOK
    seen = register(store, "searches: 2", 2, 2, searches=1)
    assert (seen.planned.last, seen.extended_to) == (3, None)
    assert register(store, "searches: 4", 4, 4, searches=1).extended_to == 4


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"plans": []}', b"\xff"])
def test_a_damaged_registration_is_one_line(tmp_path, content):
    store = open_store(tmp_path, create=True)
    store.write_bytes(FILE, content)
    with pytest.raises(InputError, match=r"registration\.json: is damaged"):
        read_registration(store)
