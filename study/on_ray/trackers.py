"""A study in the trackers people already use: TensorBoard, Weights & Biases, MLflow.

Ray Tune's own callbacks write. They are shown each trial under its id, with its flat configuration
and its epochs, in a thread of their own: a slow or broken tracker neither holds a study up nor
ends it.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.logger import LoggerCallback

from reports.store.schema import FAILED
from reports.store.tables import Store
from study.spec import StudySpec
from trainables.errors import InputError

_PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}
_MLFLOW_URI = "MLFLOW_TRACKING_URI"
_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")
_WAITING = 10_000
"""Events that may wait for a tracker before the driver does."""
_END_SECONDS = 600.0
"""How long what waits at the end of a run is written."""


@dataclass(eq=False)
class _View:
    """What the callbacks read of a trial."""

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


class Tracker(tune.Callback):
    """One tracker, fed from a thread."""

    def __init__(self, name: str, logger: LoggerCallback, folder: Path, store: Store) -> None:
        self._name = name
        self._logger = logger
        self._folder = folder
        self._store = store
        self._views: dict[str, _View] = {}
        self._events: queue.Queue[Callable[[], None] | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._broken = False

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles callbacks into its experiment folder, which is not read.
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
        self._put(lambda: self._keep(self._folder))
        self._put(None)
        self._thread.join(_END_SECONDS)

    def _view(self, trial: Trial) -> Any:
        job = trial.config["job"]
        trial_id = job["trial_id"]
        if trial_id not in self._views:
            config = {"cell": job["cell"], "phase": job["phase"], **job["config"]}
            # TensorBoard wants a folder for each trial; W&B makes its own in the one it is given.
            folder = self._folder / trial_id if self._name == "tensorboard" else self._folder
            view: Any = _View(trial_id, config, str(folder), self._name)
            self._views[trial_id] = view
            self._put(lambda: self._logger.log_trial_start(view))
        return self._views[trial_id]

    def _end(self, trial: Trial, failed: bool) -> None:
        view: Any = self._views.pop(trial.config["job"]["trial_id"], None)
        if view is None:
            return  # it had no epoch

        def end() -> None:
            self._logger.log_trial_end(view, failed)
            # MLflow's callback keeps what it needs no more.
            getattr(self._logger, "_trial_runs", {}).pop(view, None)
            if self._name == "tensorboard":
                self._keep(Path(view.local_path))

        self._put(end)

    def _keep(self, folder: Path) -> None:
        """Moves what lies in ``folder`` to results that are no folder here."""
        if is_local(self._store):
            return
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(self._folder).as_posix()
            self._store.write_bytes(f"trackers/{self._name}/{name}", path.read_bytes())
        shutil.rmtree(folder, ignore_errors=True)

    def _put(self, event: Callable[[], None] | None) -> None:
        if not self._broken:
            self._events.put(event)

    def _work(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            given = os.environ.get(_MLFLOW_URI)
            self._logger.setup()
            if given is None:  # MLflow sets it; the next study in this process has its own
                os.environ.pop(_MLFLOW_URI, None)
            while event := self._events.get():
                event()
        except Exception as error:
            self._broken = True
            text = " ".join(str(error).split())[:200]
            warnings.warn(f"tracker {self._name} stopped, the study goes on: {text}", stacklevel=1)
            while not self._events.empty():
                self._events.get_nowait()


def is_local(store: Store) -> bool:
    """Whether the results are a folder that other libraries can write to."""
    return bool(store.filesystem.type_name == "local")


def trackers(spec: StudySpec, store: Store) -> list[Tracker]:
    """The study's trackers; what they keep in files lies in ``RESULTS/trackers``.

    Where results are no folder here, the files are written to a temporary one first.
    """
    if not spec.trackers:
        return []
    folder = Path(store.root if is_local(store) else tempfile.mkdtemp()) / "trackers"
    return [
        Tracker(name, _logger(name, folder, spec), folder / name, store) for name in spec.trackers
    ]


def check_usable(spec: StudySpec, store: Store) -> None:
    """That every tracker of the study can be used.

    Raises:
        InputError: a package is missing; W&B has no key and is not offline; MLflow has no place.
    """
    missing = [name for name in spec.trackers if find_spec(_PACKAGES[name]) is None]
    if missing:
        raise InputError(
            f"trackers: {', '.join(missing)} not installed: pip install 'mixco-study[trackers]', "
            "or leave it out of the study's trackers"
        )
    if "wandb" in spec.trackers and not _wandb_has_key():
        raise InputError(
            "trackers: wandb has no key: `wandb login`, or WANDB_API_KEY, or WANDB_MODE=offline"
        )
    if "mlflow" in spec.trackers and not (is_local(store) or os.environ.get(_MLFLOW_URI)):
        raise InputError(
            f"trackers: mlflow keeps no database in {store.name}: set {_MLFLOW_URI} to a server"
        )


def _wandb_has_key() -> bool:
    if os.environ.get("WANDB_MODE") in ("offline", "disabled") or "WANDB_API_KEY" in os.environ:
        return True
    import wandb

    return bool(wandb.login(prompt=False))


def _logger(name: str, folder: Path, spec: StudySpec) -> LoggerCallback:
    if name == "tensorboard":
        from ray.tune.logger import TBXLoggerCallback

        return TBXLoggerCallback()
    if name == "mlflow":
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        uri = os.environ.get(_MLFLOW_URI) or f"sqlite:///{plain_path(folder)}/mlflow.db"
        return MLflowLoggerCallback(uri, experiment_name=spec.name)
    from ray.air.integrations.wandb import WandbLoggerCallback

    folder.joinpath("wandb").mkdir(parents=True, exist_ok=True)
    return WandbLoggerCallback(
        project=os.environ.get("WANDB_PROJECT", "mixco-study"),
        group=spec.name,
        dir=str(folder / "wandb"),
        mode=os.environ.get("WANDB_MODE", "online"),
    )


def plain_path(folder: Path) -> Path:
    """A path to ``folder`` that may stand in a URI as it is: the folder's own, or a link to it.

    MLflow and SQLAlchemy disagree on how ``?``, ``#`` and ``%`` in the path of a database are
    escaped, so one of them would put the database somewhere else.
    """
    if _PLAIN.fullmatch(str(folder)):
        return folder
    link = Path(tempfile.mkdtemp(prefix="mixco-trackers-")) / "results"
    link.symlink_to(folder, target_is_directory=True)
    return link


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
