"""Early stopping: one Tune scheduler over many ASHA ladders, one for each search of a cell.

A ladder shared by all widths would stop the small encoders, which are the point of the study.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from reports.store.schema import TUNE
from study.on_ray.tune_memory import BoundedMemoryScheduler
from study.plan import search_of
from study.spec import Stopping
from trainables.on_ray.steps import Assignment

METRIC = "knn_accuracy"
TIME = "epoch"


class SearchLadders(BoundedMemoryScheduler):
    """ASHA (Li et al. 2020, arXiv:1810.05934) within each search of a cell.

    Confirm trials run to their end, and so does the first trial of each search: it is the default
    configuration, which a report compares over all cells. It stands on its rungs like the others.
    """

    def __init__(self, stopping: Stopping, epochs: Mapping[str, int]) -> None:
        """``epochs``: the full length of a trial, by cell."""
        super().__init__()
        self._stopping, self._epochs = stopping, epochs
        self.ladders: dict[str, AsyncHyperBandScheduler] = {}
        """By the id of the search, of every search that had a trial."""

    def replay(self, trial: Mapping[str, Any], epochs: Iterable[Mapping[str, Any]]) -> None:
        """Report an earlier run's trial to its search's ladder.

        Args:
            trial: its row of ``trials``.
            epochs: its rows of ``epochs``, in order.
        """
        controller: Any = None
        ladder, named = self._ladder_of(trial), _named(trial["trial_id"])
        ladder.on_trial_add(controller, named)
        for row in epochs:
            ladder.on_trial_result(controller, named, dict(row))

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        if ladder := self._ladder(trial):
            ladder.on_trial_add(tune_controller, _own(trial))

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        ladder = self._ladder(trial)
        if ladder is None:
            return TrialScheduler.CONTINUE
        decision = ladder.on_trial_result(tune_controller, _own(trial), result)
        return TrialScheduler.CONTINUE if _is_first(trial) else decision

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        super().on_trial_complete(tune_controller, trial, result)
        if ladder := self._ladder(trial):
            ladder.on_trial_complete(tune_controller, _own(trial), result)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        if ladder := self._ladder(trial):
            ladder.on_trial_remove(tune_controller, _own(trial))

    def _ladder(self, trial: Trial) -> AsyncHyperBandScheduler | None:
        assignment: Assignment = trial.config["assignment"]
        return self._ladder_of(assignment) if assignment["phase"] == TUNE else None

    def _ladder_of(self, trial: Mapping[str, Any]) -> AsyncHyperBandScheduler:
        search = search_of(trial)
        if search not in self.ladders:
            self.ladders[search] = AsyncHyperBandScheduler(
                time_attr=TIME,
                metric=METRIC,
                mode="max",
                max_t=self._epochs[trial["cell"]],
                grace_period=self._stopping.grace_epochs,
                reduction_factor=self._stopping.reduction_factor,
            )
        return self.ladders[search]


def _is_first(trial: Trial) -> bool:
    assignment: Assignment = trial.config["assignment"]
    return assignment["number"] == 0


def _own(trial: Trial) -> Any:
    """``trial`` under the study's id, which stays when Tune restarts the trial under another."""
    return _named(trial.config["assignment"]["trial_id"])


def _named(trial_id: str) -> Any:
    return SimpleNamespace(trial_id=trial_id)  # a ladder reads nothing else of a trial
