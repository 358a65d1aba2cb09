"""Early stopping: one Tune scheduler over many ASHA ladders, one for each cell.

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
from study.spec import Stopping
from trainables.on_ray.steps import Assignment

METRIC = "knn_accuracy"
TIME = "epoch"


class CellLadders(BoundedMemoryScheduler):
    """ASHA (Li et al. 2020, arXiv:1810.05934) within each cell; confirm trials run to their end."""

    def __init__(self, stopping: Stopping, epochs: Mapping[str, int]) -> None:
        """``epochs``: the full length of a trial, by cell."""
        super().__init__()
        self.ladders = {
            cell: AsyncHyperBandScheduler(
                time_attr=TIME,
                metric=METRIC,
                mode="max",
                max_t=length,
                grace_period=stopping.grace_epochs,
                reduction_factor=stopping.reduction_factor,
            )
            for cell, length in epochs.items()
        }

    def replay(self, cell: str, trial_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Report an earlier run's trial to its cell's ladder; ``rows`` are its epochs in order."""
        trial = _named(trial_id)
        controller: Any = None
        ladder = self.ladders[cell]
        ladder.on_trial_add(controller, trial)
        for row in rows:
            ladder.on_trial_result(controller, trial, dict(row))

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        if ladder := self._ladder(trial):
            ladder.on_trial_add(tune_controller, _own(trial))

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        ladder = self._ladder(trial)
        if ladder is None:
            return TrialScheduler.CONTINUE
        return ladder.on_trial_result(tune_controller, _own(trial), result)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        super().on_trial_complete(tune_controller, trial, result)
        if ladder := self._ladder(trial):
            ladder.on_trial_complete(tune_controller, _own(trial), result)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        if ladder := self._ladder(trial):
            ladder.on_trial_remove(tune_controller, _own(trial))

    def _ladder(self, trial: Trial) -> AsyncHyperBandScheduler | None:
        assignment: Assignment = trial.config["assignment"]
        return self.ladders[assignment["cell"]] if assignment["phase"] == TUNE else None


def _own(trial: Trial) -> Any:
    """``trial`` under the study's id, which stays when Tune restarts the trial under another."""
    return _named(trial.config["assignment"]["trial_id"])


def _named(trial_id: str) -> Any:
    return SimpleNamespace(trial_id=trial_id)  # a ladder reads nothing else of a trial
