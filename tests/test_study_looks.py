"""A study that looks at its results: it stops when it can tell, and a restart changes no look."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports.statistics.decision import Outcome, decide
from reports.statistics.looks import LookPlan
from reports.store.registration import read_registration
from reports.store.schema import TRIALS
from reports.store.tables import Store, open_store
from study import provenance
from study.agenda import Agenda
from study.looks import open_next, register_plan, take_look
from study.overview import Overview, recorded_rows
from study.plan import DueTrial
from study.spec import StudySpec, parse_spec
from study.unfinished import unfinished
from trainables.errors import InputError

TEXT = """
name: looks
datasets: [digits]
methods: [moco]
widths: [4, 16]
arms: [none, mixco]
base: {epochs: 2}
trials: 1
seeds: 1
searches: 2
until: verdict
max_searches: 4
search: {sampler: random}
"""
TRIALS_OF_SEARCH = 4 * (1 + 1)
STEEP, FLAT = -2.0, 0.0
"""Slopes of the gain, points for each doubling of the width."""


def spec_of(**changes: Any) -> StudySpec:
    return StudySpec.model_validate({**parse_spec(TEXT, "test").model_dump(), **changes})


def row_of(due: DueTrial, slope: float, noise: float) -> dict[str, Any]:
    """How a trial ends: a gain of 4 points at width 4, and noise from its id."""
    doublings = due.config.width.bit_length() - 3
    gain = 4 + slope * doublings if due.config.arm == "mixco" else 0.0
    accuracy = 60 + gain + random.Random(due.trial_id).gauss(0, noise)
    return {
        **due.identity(),
        "study": "looks",
        "status": "complete",
        "accuracy": accuracy,
        "parameters": 1000 * due.config.width**2,
        "encoder_flops": 1000 * due.config.width**2,
        "flops": 1e9,
        "scored_images": 1000,
        "finished_at": datetime(2026, 1, 1, tzinfo=UTC),
    }


def drive(
    store: Store, spec: StudySpec, slope: float, noise: float, limit: int = 10**6
) -> list[str]:
    """What a driver does, one trial after another, at most ``limit`` of them; what it says."""
    said: list[str] = []
    rows = recorded_rows(store)
    agenda = Agenda(spec, rows)
    register_plan(store, spec, rows)
    provenance.write(store, spec)
    take_look(agenda, store, said.append)
    while limit and (due := agenda.next()):
        row = row_of(due, slope, noise)
        store.append(row)
        agenda.record(row)
        limit -= 1
        if limit:  # at 0 the driver is killed between the trial and the look
            take_look(agenda, store, said.append)
    return said


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[[str], Store]:
    return lambda name: open_store(tmp_path / name, create=True)


MakeStore = Callable[[str], Store]


def searches_of(store: Store) -> list[int]:
    return sorted(store.read("trials")["search"].unique())


def looks_of(store: Store) -> list[tuple[int, str, dict[str, float | None]]]:
    known = read_registration(store)
    assert known is not None
    return [(look.searches, look.outcome, look.p) for look in known.looks]


def test_lines_that_no_look_has_judged_are_refused_by_name(make_store: MakeStore) -> None:
    store, both = make_store("lines"), {"encoders": ("resnet10", "resnet18"), "lines": "width"}
    drive(store, spec_of(**both), FLAT, noise=1, limit=1)
    provenance.check_same_study(store, spec_of(**{**both, "lines": "depth"}))  # no look as yet
    drive(store, spec_of(**both), FLAT, noise=1, limit=2 * 2 * TRIALS_OF_SEARCH + 1)
    with pytest.raises(InputError, match="lines width -> depth: the looks so far judged other"):
        provenance.check_same_study(store, spec_of(**{**both, "lines": "depth"}))
    grown = {"encoders": ("resnet10", "resnet18", "resnet34"), "lines": {
        "small": ("resnet10",), "middle": ("resnet18",), "large": ("resnet34",),
    }}  # fmt: skip
    provenance.check_same_study(store, spec_of(**grown))


def test_a_clear_trend_ends_the_study_before_its_last_look(make_store: MakeStore) -> None:
    store = make_store("steep")
    said = drive(store, spec_of(), STEEP, noise=0.1)
    *earlier, last = looks_of(store)
    assert last[1] == "verdict"
    assert [look[1] for look in earlier] == ["go on"] * len(earlier)
    assert [look[0] for look in looks_of(store)] == list(range(2, last[0] + 1))
    assert last[0] < 4
    assert searches_of(store) == list(range(last[0]))
    assert said[-1] == f"look after {last[0]} of at most 4 searches: verdict"
    assert unfinished(spec_of(), store.read("trials")) is None
    assert drive(store, spec_of(), STEEP, noise=0.1) == []
    assert Overview(store).finished


def test_a_look_decides_as_the_reports_do_on_the_replicates_that_were_there(
    make_store: MakeStore,
) -> None:
    store = make_store("noisy")
    drive(store, spec_of(), -0.5, noise=0.6)
    trials = store.read("trials")
    for searches, outcome, p in looks_of(store):
        look = decide(trials[trials["search"] < searches], LookPlan(2, 4))
        assert (look.outcome, look.p) == (outcome, p)


def test_a_killed_driver_takes_the_same_looks(make_store: MakeStore) -> None:
    whole = make_store("whole")
    drive(whole, spec_of(), -0.5, noise=0.5)
    total = len(whole.ids())
    assert total > 2 * TRIALS_OF_SEARCH
    # Between the last trial of a search and the look at it, the first and the last time.
    for stop in (2 * TRIALS_OF_SEARCH, total):
        store = make_store(f"stop{stop}")
        drive(store, spec_of(), -0.5, 0.5, limit=stop)
        assert len(store.ids()) == stop
        drive(store, spec_of(), -0.5, 0.5)
        assert looks_of(store) == looks_of(whole)
        columns = [name for name in TRIALS.names if name != "finished_at"]
        pd.testing.assert_frame_equal(store.read("trials", columns), whole.read("trials", columns))


def test_between_a_look_and_the_next_search_a_study_is_not_complete(
    make_store: MakeStore,
) -> None:
    store, spec = make_store("stopped"), spec_of()
    drive(store, spec, FLAT, 3.0, limit=2 * TRIALS_OF_SEARCH)
    trials = store.read("trials")
    agenda = Agenda(spec, recorded_rows(store))
    assert agenda.finished
    look = open_next(agenda, trials)
    assert look is not None
    assert look.outcome is Outcome.GO_ON
    assert not agenda.finished
    assert agenda.planned == 3 * TRIALS_OF_SEARCH
    assert not Overview(store).finished
    assert "2 of at most 4 searches" in (unfinished(spec, trials) or "")


def test_a_study_extended_without_a_plan_is_registered_as_such(make_store: MakeStore) -> None:
    store = make_store("extended")
    short = spec_of(searches=2, until="searches", max_searches=None)
    drive(store, short, FLAT, 0.5)
    known = read_registration(store)
    assert known is not None
    assert (known.planned.first, known.planned.last, known.extended_to) == (2, 2, None)
    drive(store, short.model_copy(update={"searches": 3}), FLAT, 0.5)
    known = read_registration(store)
    assert known is not None
    assert (known.planned.last, known.extended_to) == (2, 3)
    assert known.plans[-1].searches == 2
    # Results from before registrations: what they were run with was the plan.
    (Path(store.root) / "registration.json").unlink()
    drive(store, short.model_copy(update={"searches": 4}), FLAT, 0.5)
    known = read_registration(store)
    assert known is not None
    assert (known.planned.last, known.extended_to) == (3, 4)


def test_a_planned_study_is_not_extended_by_going_on(make_store: MakeStore) -> None:
    store = make_store("planned")
    drive(store, spec_of(), FLAT, 0.5, limit=20)
    drive(store, spec_of(), FLAT, 0.5)
    known = read_registration(store)
    assert known is not None
    assert len(known.plans) == 1
    assert known.extended_to is None
