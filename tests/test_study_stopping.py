"""One ladder for each cell: small encoders are compared with small encoders."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from study.on_ray.stopping import METRIC, TIME, SearchLadders
from study.spec import Stopping

STOPPING = Stopping(rule="asha", grace_epochs=1, reduction_factor=2.0)
WIDTHS = (4, 16, 64)


def trial(width: int, number: int, phase: str = "tune") -> Any:
    name = f"w{width}-{phase}-{number}"
    assignment = {"trial_id": name, "cell": f"w{width}", "phase": phase, "number": number}
    return SimpleNamespace(trial_id=name, config={"assignment": assignment})


def accuracy(width: int, number: int, epoch: int) -> float:
    """Wide encoders are better at every epoch; within a width, later trials are."""
    return width + number + epoch


def survivors(scheduler: Any, phase: str = "tune", trials: int = 6, epochs: int = 4) -> set[str]:
    """Trials that run to their end, each cell's trials in turn, widest cells first."""
    living = set()
    for number in range(trials):
        for width in reversed(WIDTHS):
            one = trial(width, number, phase)
            scheduler.on_trial_add(None, one)
            for epoch in range(1, epochs):
                row = {TIME: epoch, METRIC: accuracy(width, number, epoch)}
                if scheduler.on_trial_result(None, one, row) == TrialScheduler.STOP:
                    break
            else:
                living.add(one.trial_id)
    return living


def test_a_ladder_shared_over_widths_would_stop_the_small_encoders_that_ours_lets_live() -> None:
    shared = AsyncHyperBandScheduler(
        time_attr=TIME, metric=METRIC, mode="max", max_t=4, grace_period=1, reduction_factor=2.0
    )
    ours = SearchLadders(STOPPING, {f"w{width}": 4 for width in WIDTHS})
    small = {f"w4-tune-{number}" for number in range(6)}
    # Each small trial is the best of its cell so far, and the worst of all widths.
    assert survivors(shared) & small == set()
    assert survivors(ours) & small == small


def test_bad_trials_of_a_cell_are_stopped() -> None:
    ladders = SearchLadders(STOPPING, {"w4": 4})
    endings = []
    for number in reversed(range(1, 7)):
        one = trial(4, number)
        ladders.on_trial_add(None, one)
        row = {TIME: 1, METRIC: accuracy(4, number, 1)}
        endings.append(ladders.on_trial_result(None, one, row))
    assert endings == [TrialScheduler.CONTINUE] + [TrialScheduler.STOP] * 5


def test_the_first_trial_of_a_search_is_never_stopped_and_stands_on_its_rungs() -> None:
    ladders = SearchLadders(STOPPING, {"w4": 8})
    for number in (3, 2, 1, 0):  # the first trial is the worst, and comes last
        one = trial(4, number)
        ladders.on_trial_add(None, one)
        endings = [
            ladders.on_trial_result(None, one, {TIME: epoch, METRIC: accuracy(4, number, epoch)})
            for epoch in range(1, 8)
        ]
    assert endings == [TrialScheduler.CONTINUE] * 7
    rungs = [rung for _, rung in ladders.ladders["w4"]._brackets[0]._rungs]
    used = [rung for rung in rungs if rung]
    assert used
    assert all("w4-tune-0" in rung for rung in used)


def test_searches_of_one_cell_have_ladders_of_their_own() -> None:
    ladders = SearchLadders(STOPPING, {"w4": 4})
    for search, endings in ((0, ["CONTINUE", "STOP"]), (1, ["CONTINUE", "STOP"])):
        for number, ending in zip((2, 1), endings, strict=True):
            one = trial(4, number)
            one.config["assignment"] |= {"search": search, "trial_id": f"r{search}-{number}"}
            ladders.on_trial_add(None, one)
            row = {TIME: 1, METRIC: accuracy(4, number, 1) - 10 * search}
            assert ladders.on_trial_result(None, one, row) == ending


def test_confirm_trials_and_epochs_without_knn_are_never_stopped() -> None:
    ladders = SearchLadders(STOPPING, {f"w{width}": 4 for width in WIDTHS})
    assert len(survivors(ladders, phase="confirm")) == 18
    one = trial(4, 9)
    ladders.on_trial_add(None, one)
    assert ladders.on_trial_result(None, one, {TIME: 2}) == TrialScheduler.CONTINUE


def test_a_replayed_ladder_decides_as_the_one_that_saw_the_trials() -> None:
    seen, replayed = (SearchLadders(STOPPING, {"w4": 8}) for _ in range(2))
    for number, level in enumerate([50.0, 30.0, 40.0, 45.0]):
        one = trial(4, number)
        rows = [{TIME: epoch, METRIC: level + epoch} for epoch in range(1, 6)]
        seen.on_trial_add(None, one)
        shown = []
        for row in rows:
            shown.append(row)
            if seen.on_trial_result(None, one, row) == TrialScheduler.STOP:
                break
        replayed.replay(one.config["assignment"], shown)
    rungs = [ladders.ladders["w4"]._brackets[0]._rungs for ladders in (seen, replayed)]
    assert rungs[0] == rungs[1]
    assert any(recorded for _, recorded in rungs[0])


def test_a_trial_that_tune_begins_again_as_another_stands_once_on_its_ladder() -> None:
    ladders = SearchLadders(STOPPING, {"w4": 8})
    for attempt in range(2):
        one = trial(4, 0)
        one.trial_id = f"tune's own {attempt}"
        ladders.on_trial_add(None, one)
        for epoch in range(1, 3 + attempt):
            ladders.on_trial_result(None, one, {TIME: epoch, METRIC: 50.0 + epoch})
    recorded = [rung for _, rung in ladders.ladders["w4"]._brackets[0]._rungs]
    assert recorded == [{}, {}, {"w4-tune-0": 52.0}, {"w4-tune-0": 51.0}]
