"""Suggestions of a cell: deterministic, whatever the timing, and the same after a restart."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from study.agenda import Agenda
from study.pareto import fronts
from study.plan import DueTrial, cells
from study.samplers import SAMPLERS
from study.search import CellSearch, Outcome
from study.spec import Search, StudySpec, parse_spec
from tests.synthetic_trial import SyntheticTrial
from trainables.errors import InputError

SPEC = """
name: search
datasets: [digits]
methods: [moco]
widths: [4]
arms: [none, mixco]
base: {epochs: 3}
trials: 7
searches: 1
seeds: 2
search: {startup_trials: 3, sampler: SAMPLER, parallel_per_cell: PARALLEL}
"""


def spec_of(sampler: str = "tpe", parallel: int = 1) -> StudySpec:
    return parse_spec(SPEC.replace("SAMPLER", sampler).replace("PARALLEL", str(parallel)), "test")


def row_of(due: DueTrial) -> dict[str, Any]:
    """How a trial ends: most by the formula, some pruned, diverged or failed."""
    trial = SyntheticTrial(due.config, due.split)
    row = {**due.identity(), "status": "complete", "accuracy": trial.accuracy(3)}
    row["encoder_flops"] = 1000.0 * due.config.width**2
    if due.phase == "tune" and due.number in (2, 5):
        row |= {"status": "pruned", "accuracy": None, "knn_by_epoch": {1: trial.accuracy(1)}}
    if due.phase == "tune" and due.number == 4:
        row |= {"status": "diverged", "accuracy": None}
    return row


def work_through(agenda: Agenda, slots: int, order: random.Random, limit: int = 10**6) -> list[Any]:
    """Runs an agenda with ``slots`` at once, trials ending in random order; the rows."""
    running: list[DueTrial] = []
    rows: list[Any] = []
    while len(rows) < limit:
        while len(running) < slots and (due := agenda.next()):
            running.append(due)
        if not running:
            break
        row = row_of(running.pop(order.randrange(len(running))))
        agenda.record(row)
        rows.append(row)
    return rows


def by_id(rows: list[Any]) -> dict[str, Any]:
    return {row["trial_id"]: row for row in rows}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("parallel", [1, 3])
def test_neither_timing_nor_interruption_changes_a_suggestion(sampler: str, parallel: int) -> None:
    trials = 5 if sampler == "gp" else 7  # each suggestion of gp fits a Gaussian process
    spec = spec_of(sampler, parallel).model_copy(update={"trials": trials})
    whole = work_through(Agenda(spec), 1, random.Random(0))
    assert len(whole) == 2 * (trials + 2)
    assert by_id(work_through(Agenda(spec), 7, random.Random(1))) == by_id(whole)
    for stop in (4, 11):
        rows = work_through(Agenda(spec), 5, random.Random(stop), limit=stop)
        rows += work_through(Agenda(spec, rows), 3, random.Random(stop))
        assert by_id(rows) == by_id(whole)


def test_a_cell_does_not_depend_on_which_other_cells_there_are() -> None:
    spec = spec_of().model_copy(update={"widths": (4, 8)})
    whole = by_id(work_through(Agenda(spec), 2, random.Random(0)))
    alone = spec.model_copy(update={"widths": (8,), "arms": ("mixco",)})
    rows = by_id(work_through(Agenda(alone), 2, random.Random(0)))
    assert rows.items() <= whole.items()


def test_the_study_seed_changes_what_is_suggested() -> None:
    first, second = (
        by_id(work_through(Agenda(spec_of().model_copy(update={"seed": s})), 1, random.Random(0)))
        for s in (0, 1000)
    )
    name = "digits-moco-resnet18-w4-none-tune-0003"
    assert first[name]["learning_rate"] != second[name]["learning_rate"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_first_trial_of_each_cell_is_the_defaults(sampler: str) -> None:
    for cell in cells(spec_of(sampler)):
        search = CellSearch(cell, Search(sampler=sampler), trials=3, seed=0)  # type: ignore[arg-type]
        number, parameters = search.next() or (None, {})
        assert number == 0
        assert parameters == {name: getattr(cell.config, name) for name in cell.space}


def test_every_arm_gets_the_same_trials_and_the_baseline_all_its_own_parameters() -> None:
    rows = work_through(Agenda(spec_of()), 2, random.Random(0))
    counts = {cell: sum(row["cell"] == cell for row in rows) for cell in {r["cell"] for r in rows}}
    assert set(counts.values()) == {9}
    none, mixco = (cells(spec_of())[index].space for index in (0, 1))
    assert none.items() <= mixco.items()
    assert set(mixco) - set(none) == {"mix_weight", "mix_alpha", "mix_temperature"}
    assert {"temperature", "learning_rate", "weight_decay"} <= set(none)


def test_tpe_finds_better_than_random_where_it_should() -> None:
    """Outcomes reach the sampler: fed with them it concentrates where accuracy is high."""

    def late_accuracy(sampler: str) -> float:
        spec = spec_of(sampler).model_copy(update={"trials": 40})
        cell = cells(spec)[0]
        search = CellSearch(cell, spec.search, 40, seed=3)
        accuracies = []
        while suggestion := search.next():
            number, parameters = suggestion
            config = cell.config.model_copy(update=parameters)
            accuracies.append(SyntheticTrial(config, "validation").accuracy(3))
            search.record(number, Outcome("complete", parameters, accuracies[-1]))
        return sum(accuracies[20:]) / 20

    assert late_accuracy("tpe") > late_accuracy("random") + 3


def test_pruned_trials_reach_optuna_with_their_last_value_and_others_as_failed() -> None:
    from optuna.trial import TrialState

    cell = cells(spec_of())[0]
    search = CellSearch(cell, Search(), trials=4, seed=0)
    endings = [
        ("complete", 50.0, {}),
        ("pruned", None, {2: 20.0, 4: 31.0}),
        ("diverged", None, {}),
    ]
    for status, accuracy, knn_by_epoch in endings:
        number, parameters = search.next() or (0, {})
        search.record(number, Outcome(status, parameters, accuracy, knn_by_epoch))
    search.next()
    trials = search._study.trials
    assert [trial.state for trial in trials] == [
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
        TrialState.RUNNING,
    ]
    assert trials[0].value == 50.0
    assert trials[1].value == 31.0
    assert trials[1].intermediate_values == {2: 20.0, 4: 31.0}


def test_a_cell_without_a_complete_trial_has_no_confirm_trials() -> None:
    agenda = Agenda(spec_of().model_copy(update={"trials": 2}))
    while due := agenda.next():
        agenda.record({**due.identity(), "status": "failed", "accuracy": None})
    assert agenda.finished
    assert agenda.count("failed") == 4


def test_warm_start_hands_the_best_of_the_narrower_width_on() -> None:
    spec = spec_of().model_copy(update={"widths": (4, 8), "warm_start": True})
    rows = by_id(work_through(Agenda(spec), 3, random.Random(0)))
    for arm in ("none", "mixco"):
        tuned = [
            row for row in rows.values() if row["cell"].endswith(f"w4-{arm}") and row["accuracy"]
        ]
        best = max(
            (row for row in tuned if row["phase"] == "tune"), key=lambda row: row["accuracy"]
        )
        second = rows[f"digits-moco-resnet18-w8-{arm}-tune-0001"]
        for name in ("learning_rate", "temperature", "mix_weight"):
            assert second[name] == best[name]
    for limit in (17, 30):
        part = work_through(Agenda(spec), 5, random.Random(1), limit=limit)
        part += work_through(Agenda(spec, part), 2, random.Random(2))
        assert by_id(part) == rows


def test_matched_compute_gives_the_cheaper_arm_more_epochs() -> None:
    from trainables.device.flops import training_flops

    for method in ("moco", "simclr"):
        spec = StudySpec.model_validate(
            {**spec_of().model_dump(), "methods": (method,), "match": "compute"}
            | {"base": {"epochs": 80}}
        )
        none, mixco = (cell.config for cell in cells(spec))
        assert mixco.epochs == 80
        assert none.epochs > 80
        work = [training_flops(config, 8, 1) * config.epochs for config in (none, mixco)]
        assert work[0] == pytest.approx(work[1], rel=0.01)


def joint(sampler: str = "nsgaii") -> StudySpec:
    text = SPEC.replace("SAMPLER", sampler).replace("PARALLEL", "2")
    text = text.replace("widths: [4]", "widths: [4, 8, 16]").replace("trials: 7", "trials: 11")
    return parse_spec(text + "treat_width: joint\n", "test")


@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(s.name, marks=pytest.mark.slow if s.name == "gp" else ())
        for s in SAMPLERS.values()
        if s.two_objectives
    ],
)
def test_width_searched_with_the_rest_survives_interruption(sampler: str) -> None:
    spec = joint(sampler)
    whole = work_through(Agenda(spec), 1, random.Random(0))
    rows = work_through(Agenda(spec), 4, random.Random(1), limit=9)
    rows += work_through(Agenda(spec, rows), 3, random.Random(2))
    assert by_id(rows) == by_id(whole)
    tune = [row for row in whole if row["phase"] == "tune"]
    for arm in ("none", "mixco"):
        first = [row for row in tune if row["arm"] == arm and row["number"] < 3]
        assert sorted(row["width"] for row in first) == [4, 8, 16]
        assert len({row["learning_rate"] for row in first}) == 1
    # Both arms are confirmed at every width, so that every gain has its pair.
    pairs = {(row["arm"], row["width"], row["seed"]) for row in whole if row["phase"] == "confirm"}
    assert pairs == {(a, w, s) for a in ("none", "mixco") for w in (4, 8, 16) for s in (1, 2)}


def test_the_front_is_what_nothing_dominates() -> None:
    agenda = Agenda(joint())
    rows = work_through(agenda, 2, random.Random(0))
    table = fronts(agenda).to_pandas()
    for arm in ("none", "mixco"):
        points = {
            row["trial_id"]: (row["accuracy"], row["encoder_flops"])
            for row in rows
            if row["arm"] == arm and row["phase"] == "tune" and row["status"] == "complete"
        }
        undominated = {
            name
            for name, (accuracy, flops) in points.items()
            if not any(
                (a >= accuracy and f < flops) or (a > accuracy and f <= flops)
                for a, f in points.values()
            )
        }
        found = table[table["arm"] == arm]
        assert set(found["trial_id"]) == undominated
        assert found["encoder_flops"].is_monotonic_increasing


def test_a_suggestion_that_no_trial_accepts_fails_alone_and_stays_failed() -> None:
    """What the check of the file lets through ends its trial, not the study."""
    # Not by `parse_spec`, which refuses odd batch sizes.
    spec = StudySpec.model_validate(
        {**spec_of("random").model_dump(), "space": {"batch_size": {"low": 2, "high": 9}}}
    )
    agenda = Agenda(spec)
    rows: list[dict[str, Any]] = []
    while due := agenda.next():
        row = row_of(due) if due.error is None else {**due.identity(), "accuracy": None}
        assert (due.config.batch_size % 2 == 1) == (due.error is not None)
        rows.append({"status": "failed", **row})
        agenda.record(rows[-1])
    assert agenda.finished
    failed = [row for row in rows if row["status"] == "failed"]
    assert failed
    assert {row["phase"] for row in failed} == {"tune"}
    again = Agenda(spec, rows)
    assert again.next() is None
    assert again.finished


def test_a_confirm_seed_that_no_trial_accepts_fails_alone() -> None:
    spec = spec_of("random").model_copy(update={"seeds": (5, 1 << 31)})
    agenda = Agenda(spec)
    errors = []
    while due := agenda.next():
        errors.append(due.error)
        agenda.record(row_of(due) if due.error is None else {**due.identity(), "status": "failed"})
    assert agenda.finished
    found = [error for error in errors if error]
    assert len(found) == 2  # of each arm
    assert "seed" in found[0]


def test_the_searcher_records_a_wrong_suggestion_and_goes_on(tmp_path: Path) -> None:
    from reports.store.tables import open_store
    from study.display import StudyDisplay
    from study.lock import StudyLock
    from study.on_ray.admission import Admission
    from study.on_ray.carried import Carried
    from study.on_ray.halt import Halt
    from study.on_ray.interruption import Interruption
    from study.on_ray.recorder import Recorder
    from study.on_ray.searcher import AgendaSearcher
    from study.on_ray.seen_images import SeenImages

    spec = StudySpec.model_validate(
        {**spec_of("random").model_dump(), "space": {"batch_size": [256, 255]}}
    )
    store = open_store(tmp_path, create=True)
    agenda = Agenda(spec)
    with StudyLock(store) as lock:
        halt, admission = Halt(lock, Interruption(lambda: None)), Admission(spec, [])
        carried = Carried(store)
        recorder = Recorder(
            agenda, store, admission, halt, StudyDisplay(agenda), carried, SeenImages([])
        )
        searcher = AgendaSearcher(agenda, admission, recorder, halt, carried)
        for number in range(40):
            suggestion = searcher.suggest(str(number))
            if not isinstance(suggestion, dict):
                break
            due = agenda.running[suggestion["assignment"]["trial_id"]]
            recorder._record(due, "complete", {"accuracy": 50.0}, {}, [])
    rows = store.read("trials")
    failed = rows[rows["status"] == "failed"]
    assert len(rows) == 2 * (7 + 2)
    assert 0 < len(failed) < 18
    assert failed["error"].str.contains("batch_size: 255 is odd").all()
    assert set(failed["batch_size"]) == {255}


def test_a_sampler_without_its_package_is_refused_in_one_line() -> None:
    for sampler in SAMPLERS.values():
        sampler.check_installed()  # the tests' environment has them all
    missing = replace(SAMPLERS["cmaes"], package="no_such_package")
    with pytest.raises(InputError, match=r"cmaes needs the package no_such_package.*pip install"):
        missing.check_installed()


def searched(searches: int, **changes: Any) -> StudySpec:
    values = {"searches": searches, "widths": (4, 8), "trials": 5, **changes}
    return StudySpec.model_validate({**spec_of().model_dump(), **values})


def test_each_search_has_suggestions_and_seeds_of_its_own_and_arms_share_them() -> None:
    rows = work_through(Agenda(searched(3)), 4, random.Random(0))
    assert len(by_id(rows)) == len(rows) == 3 * 4 * (5 + 2)
    tune = [row for row in rows if row["phase"] == "tune"]
    assert {(row["search"], row["seed"]) for row in tune} == {(0, 0), (1, 10001), (2, 20002)}
    # Every cell of a replicate is confirmed on the same seeds: each gain has its pair.
    for cell in {row["cell"] for row in rows}:
        own = [row for row in rows if row["cell"] == cell]
        confirmed = {(row["search"], row["seed"]) for row in own if row["phase"] == "confirm"}
        shifts = {0: (1, 2), 1: (10002, 10003), 2: (20003, 20004)}
        assert confirmed == {(r, seed) for r, seeds in shifts.items() for seed in seeds}
        rates = {(row["number"], row["learning_rate"]) for row in own if row["phase"] == "tune"}
        firsts = {rate for number, rate in rates if number == 0}
        assert len(firsts) == 1  # the defaults
        assert len(rates) == 1 + 3 * 4  # every other suggestion is a new one
    assert "digits-moco-resnet18-w8-mixco-r2-tune-0004" in by_id(rows)


def test_the_searches_of_a_study_are_those_that_each_would_have_alone() -> None:
    three = by_id(work_through(Agenda(searched(3)), 4, random.Random(0)))
    one = by_id(work_through(Agenda(searched(1)), 1, random.Random(0)))
    assert one.items() <= three.items()
    assert {row["search"] for name, row in three.items() if name in one} == {0}
    # Suggestions depend on the replicate's seed alone: a study with that seed has the same ones.
    alone = work_through(Agenda(searched(1, seed=20002)), 1, random.Random(0))
    third = [row for row in three.values() if row["search"] == 2]
    what = ("cell", "phase", "number", "seed", "learning_rate", "temperature", "accuracy")

    def facts(rows: list[Any]) -> set[Any]:
        return {tuple(row[name] for name in what) for row in rows}

    assert facts(alone) == facts(third)


def test_rows_of_one_search_without_its_column_grow_to_three_searches() -> None:
    """Rows that were recorded before there were searches are the first search's."""
    before = work_through(Agenda(searched(1)), 2, random.Random(0))
    old = [{name: value for name, value in row.items() if name != "search"} for row in before]
    agenda = Agenda(searched(3), old)
    rows = work_through(agenda, 2, random.Random(0))
    assert agenda.finished
    whole = by_id(work_through(Agenda(searched(3)), 2, random.Random(0)))
    assert by_id(before + rows) == whole
    assert {row["search"] for row in rows} == {1, 2}


@pytest.mark.parametrize("changes", [{}, {"warm_start": True}, {"treat_width": "joint"}])
def test_interrupted_searches_go_on_to_the_same_table(changes: dict[str, Any]) -> None:
    spec = searched(3, **changes)
    whole = by_id(work_through(Agenda(spec), 1, random.Random(0)))
    for stop in (11, 47):
        rows = work_through(Agenda(spec), 5, random.Random(stop), limit=stop)
        rows += work_through(Agenda(spec, rows), 3, random.Random(stop))
        assert by_id(rows) == whole


def test_more_seeds_leave_the_seeds_of_other_searches() -> None:
    few, many = searched(3), searched(3, seeds=4)
    rows = work_through(Agenda(few), 3, random.Random(0))
    more = work_through(Agenda(many, rows), 3, random.Random(0))
    assert {row["phase"] for row in more} == {"confirm"}
    assert len(more) == 3 * 4 * 2
    whole = by_id(work_through(Agenda(many), 3, random.Random(0)))
    assert by_id(rows + more) == whole


def test_an_earlier_replicate_is_whole_before_a_later_one() -> None:
    """With one trial at a time no search of a later replicate starts before an earlier one ends."""
    rows = work_through(Agenda(searched(3)), 1, random.Random(0))
    searches = [row["search"] for row in rows]
    assert searches == sorted(searches)


def test_a_search_without_a_complete_trial_is_named_and_the_others_are_confirmed() -> None:
    agenda = Agenda(searched(2))
    lost = "digits-moco-resnet18-w8-none-r1"
    while due := agenda.next():
        row = row_of(due)
        if due.search_id == lost:
            row |= {"status": "failed", "accuracy": None}
        agenda.record(row)
    assert agenda.unconfirmed == [lost]
    assert agenda.done == agenda.planned == 2 * 4 * (5 + 2) - 2
