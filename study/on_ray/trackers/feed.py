"""Passes trials on to a tracker, in a thread of its own.

Ray Tune's logger callbacks do the writing. They get each trial under its id in the study, with its
flat configuration and its epochs. A slow or broken tracker neither delays a study nor ends it.
"""

from __future__ import annotations

import os
import queue
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from reports.store.schema import FAILED
from reports.store.tables import Store
from study.on_ray.trackers import tracker_called
from study.on_ray.trackers.base import Tracker, is_local
from study.on_ray.trackers.mlflow import URI_VARIABLE
from trainables.on_ray.steps import Assignment

_WAITING = 10_000
"""How many events may wait for a tracker. With more, the driver waits."""
_END_SECONDS = 600.0
"""How long a tracker may take at the end of a run to write what is waiting."""


def feeds(names: Iterable[str], study: str, store: Store) -> list[TrackerFeed]:
    """A callback for each tracker of ``names``, whose files lie in ``RESULTS/trackers``.

    If the results lie on an object store, a tracker writes to a temporary folder first.
    """
    names = tuple(names)
    if not names:
        return []
    folder = Path(store.root if is_local(store) else tempfile.mkdtemp()) / "trackers"
    return [TrackerFeed(tracker_called(name), folder, study, store) for name in names]


@dataclass(eq=False)
class _TrialView:
    """What a logger callback reads of a trial, under Ray Tune's names."""

    trial_id: str
    config: dict[str, Any]
    local_path: str
    experiment_dir_name: str
    evaluated_params: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.evaluated_params = self.config

    def __str__(self) -> str:
        return self.trial_id

    def init_local_path(self) -> None:
        Path(self.local_path).mkdir(parents=True, exist_ok=True)


class TrackerFeed(tune.Callback):
    """Passes the events of a run on to one tracker."""

    def __init__(self, tracker: Tracker, folder: Path, study: str, store: Store) -> None:
        self._tracker = tracker
        self._logger = tracker.logger(folder, study)
        self._folder = folder / tracker.name
        self._store = store
        self._views: dict[str, _TrialView] = {}
        self._events: queue.Queue[Callable[[], None] | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._broken = False

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles callbacks into its experiment folder, which nobody reads.
        return {}

    def setup(self, *arguments: Any, **info: Any) -> None:
        self._thread.start()

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        if not result.get("row"):
            return
        view = self._view(trial)
        metrics = _numbers({**result["row"], **result.get("trial", {})})
        metrics["training_iteration"] = result["row"]["epoch"]
        self._put(lambda: self._logger.log_trial_result(iteration, view, metrics))

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._end(trial, (trial.last_result or {}).get("status") == FAILED)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._end(trial, True)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        self._put(lambda: self._logger.on_experiment_end(trials))
        self._put(lambda: self._move_to_results(self._folder))
        self._put(None)
        self._thread.join(_END_SECONDS)

    def _view(self, trial: Trial) -> Any:
        assignment: Assignment = trial.config["assignment"]
        trial_id = assignment["trial_id"]
        if trial_id not in self._views:
            config = {
                "cell": assignment["cell"],
                "search": assignment["search"],
                "phase": assignment["phase"],
                **assignment["config"],
            }
            own = self._folder / trial_id if self._tracker.has_trial_folders else self._folder
            view: Any = _TrialView(trial_id, config, str(own), self._tracker.name)
            self._views[trial_id] = view
            self._put(lambda: self._logger.log_trial_start(view))
        return self._views[trial_id]

    def _end(self, trial: Trial, failed: bool) -> None:
        view: Any = self._views.pop(trial.config["assignment"]["trial_id"], None)
        if view is None:
            return  # the trial has no epoch

        def end() -> None:
            self._logger.log_trial_end(view, failed)
            # MLflow's callback would keep each trial in this attribute for ever.
            getattr(self._logger, "_trial_runs", {}).pop(view, None)
            if self._tracker.has_trial_folders:
                self._move_to_results(Path(view.local_path))

        self._put(end)

    def _move_to_results(self, folder: Path) -> None:
        """Moves the files of ``folder`` to the results if these lie on an object store."""
        if is_local(self._store):
            return
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(self._folder).as_posix()
            self._store.write_bytes(f"trackers/{self._tracker.name}/{name}", path.read_bytes())
        shutil.rmtree(folder, ignore_errors=True)

    def _put(self, event: Callable[[], None] | None) -> None:
        if not self._broken:
            self._events.put(event)

    def _work(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            given = os.environ.get(URI_VARIABLE)
            self._logger.setup()
            if given is None:
                # MLflow's callback sets the variable; the next study in this process has its own.
                os.environ.pop(URI_VARIABLE, None)
            while event := self._events.get():
                event()
        except Exception as error:
            self._broken = True
            text = " ".join(str(error).split())[:200]
            name = self._tracker.name
            warnings.warn(f"tracker {name} stopped, the study goes on: {text}", stacklevel=1)
            while not self._events.empty():
                self._events.get_nowait()


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
