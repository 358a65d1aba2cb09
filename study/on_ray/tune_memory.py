"""Keep Tune's memory and the time of its steps constant as a run's trials end.

Tune keeps every trial of a run and looks through all of them at each step. `drop_finished` removes
those that have ended. It changes private attributes of Ray 2.60. If another version of Ray stores
trials differently, nothing is changed: a study has the same results, but memory and time grow with
its trials. `tests/test_study_run.py` fails on such a version.
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
"""Sets in which Tune's controller keeps the trials that have ended; it also keeps a list."""


class BoundedMemoryScheduler(FIFOScheduler):
    """Run trials in order. When a trial ends, remove the trials that ended before it."""

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        # Tune passes its controller to this method, and iterates over no trials meanwhile.
        drop_finished(tune_controller)


class SilentProgress(TrialProgressCallback):
    """Print nothing, in place of the printer that Tune would add, which keeps every trial."""

    def log_result(self, *known: Any, **info: Any) -> None: ...
    def on_trial_result(self, *known: Any, **info: Any) -> None: ...
    def on_trial_error(self, *known: Any, **info: Any) -> None: ...
    def on_trial_complete(self, *known: Any, **info: Any) -> None: ...


def drop_finished(tune_controller: Any) -> None:
    """Remove the trials that have ended from Tune's memory; their results are in the store."""
    try:
        trials: list[Trial] = tune_controller.get_trials()
        metadata: dict[str, Any] = tune_controller._trial_metadata
        kept_in: list[set[Trial]] = [getattr(tune_controller, name) for name in _SETS]
        if not isinstance(trials, list) or not all(isinstance(some, set) for some in kept_in):
            raise TypeError("its trials are not held in a list and sets")
    except (AttributeError, TypeError) as error:
        warnings.warn(f"Ray Tune remembers every trial of this run: {error}", stacklevel=2)
        return
    finished = {trial for trial in trials if trial.is_finished()}
    trials[:] = [trial for trial in trials if trial not in finished]
    for some in kept_in:
        some -= finished
    for trial in finished:
        metadata.pop(trial.trial_id, None)
