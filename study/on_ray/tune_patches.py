"""Tune remembers every trial of a run, and looks through them all at each step: here it forgets.

What `forget_finished` touches is Tune's own business, seen in Ray 2.60. Where a Ray has it another
way, nothing is touched: a study then ends the same, with memory and time that grow with its trials.
`tests/test_study_run.py` fails on such a Ray.
"""

from __future__ import annotations

import warnings
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

try:
    from ray.tune.progress_reporter import TrialProgressCallback
except ImportError:
    TrialProgressCallback = tune.Callback  # type: ignore[assignment, misc]

_SETS = ("_live_trials", "_stopped_trials", "_failed_trials", "_trials_to_cache")
"""Where a controller of Tune holds trials that have ended, besides its list of all."""


class ForgettingScheduler(FIFOScheduler):
    """Runs trials in their order; as one ends, Tune forgets those that ended before."""

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        # This is the moment when Tune hands out its controller and is looking at no other trial.
        forget_finished(tune_controller)


class NoProgress(TrialProgressCallback):
    """Stands in for the printer that Tune adds otherwise: silent too, it keeps every trial."""

    def log_result(self, *known: Any, **info: Any) -> None: ...
    def on_trial_result(self, *known: Any, **info: Any) -> None: ...
    def on_trial_error(self, *known: Any, **info: Any) -> None: ...
    def on_trial_complete(self, *known: Any, **info: Any) -> None: ...


def forget_finished(tune_controller: Any) -> None:
    """Takes the trials that have ended out of Tune's memory; they are stored by then."""
    try:
        trials: list[Trial] = tune_controller.get_trials()
        metadata: dict[str, Any] = tune_controller._trial_metadata
        held: list[set[Trial]] = [getattr(tune_controller, name) for name in _SETS]
        if not isinstance(trials, list) or not all(isinstance(some, set) for some in held):
            raise TypeError("its trials are not held in a list and sets")
    except (AttributeError, TypeError) as error:
        warnings.warn(f"Ray Tune remembers every trial of this run: {error}", stacklevel=2)
        return
    finished = {trial for trial in trials if trial.is_finished()}
    trials[:] = [trial for trial in trials if trial not in finished]
    for some in held:
        some -= finished
    for trial in finished:
        metadata.pop(trial.trial_id, None)
