"""What the driver of a study, a trial's process and the workers of a trial say to each other.

- The driver hands an `Assignment` to a process, as Ray Tune's configuration of a trial.
- The process answers with a `StepReport` after each epoch, as Ray Tune's result.
- A trial of several workers has a conductor (`trainables.on_ray.conductor`) between its process and
  its workers. The workers tell it a `WorkerMessage`; it tells the process a `ConductorAnswer`, and
  the workers a `NextStep`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

import ray
from ray.util.placement_group import PlacementGroup, remove_placement_group

from trainables.checkpoint_clock import CHECKPOINT_SECONDS
from trainables.config import TrialConfig
from trainables.endings import Ending

if TYPE_CHECKING:
    from ray.train import Checkpoint

ATTEMPTS = 3
"""How many attempts a trial has. The error of the last one is recorded."""
CHECKPOINT_FILE = "trial.pt"

Row = dict[str, Any]
"""Columns of one of the tables ``trials``, ``epochs`` or ``evaluations``."""


class Steps(Protocol):
    """The part of `trainables.trial.Trial` that Ray's processes use."""

    @property
    def epoch(self) -> int: ...
    @property
    def done(self) -> bool: ...
    @property
    def rows(self) -> Sequence[Mapping[str, Any]]: ...  # of the epochs so far
    def advance(self, *, pause: Callable[[], bool] | None = None) -> Mapping[str, Any] | None: ...
    def finish(self) -> Any: ...
    def summary(self) -> Mapping[str, Any]: ...
    def save(self, path: Path) -> None: ...
    def restore(self, path: Path) -> None: ...


MakeTrial = Callable[[TrialConfig, str, Path | None, float], Steps]
"""(config, split, data folder, CPUs) -> trial."""


class Assignment(TypedDict):
    """One trial that a process is to run, and what it may use. All values are plain: Tune stores
    them as JSON."""

    trial_id: str
    cell: str
    search: int
    """The replicate, from 0."""
    phase: str
    number: int | None
    """Of a tune trial, its place in the search, from 0."""
    split: str
    config: dict[str, Any]
    """A `TrialConfig`, dumped."""
    runner: Literal["reused", "train"]
    workers: int
    cpus: float
    """CPUs of each worker."""
    gpus: float
    checkpoint: str | None
    """Where an earlier run has saved the trial, in the results' file system."""


class StepReport(TypedDict, total=False):
    """What a process reports after each epoch, and after a pause in which the trial is saved.

    Only its last report has a ``status``. After a pause the report has no ``epoch`` and no ``row``.
    """

    epoch: int
    row: Row
    """A row of the table ``epochs``, without ``trial_id``."""
    summary: Row
    """Columns of the table ``trials`` that are known before the trial ends."""
    knn_accuracy: float
    """kNN accuracy, in epochs that measure it; early stopping compares it."""
    group: str
    """Id of the placement group of the trial's workers, if the trial has several."""
    status: str
    trial: Row
    """Columns of ``trials`` that only a complete trial has."""
    evaluations: list[Row]
    error: str


@dataclass(frozen=True)
class Started:
    """The workers have made or restored the trial."""

    epoch: int
    rows: list[Row]
    """Rows of the epochs that the trial had trained before."""
    summary: Row
    group: str | None


@dataclass(frozen=True)
class Trained:
    """The workers have trained an epoch."""

    row: Row
    summary: Row
    checkpoint: Checkpoint | None = None
    """Where the workers have just saved the trial."""
    group: str | None = None
    """Id of the workers' placement group; the conductor adds it."""


@dataclass(frozen=True)
class Finished:
    """The workers have evaluated the trained trial."""

    trial: Row
    evaluations: list[Row]


@dataclass(frozen=True)
class Ended:
    """The trial, or one attempt of it, has ended early."""

    ending: Ending
    summary: Row | None = None


WorkerMessage = Started | Trained | Finished | Ended
ConductorAnswer = WorkerMessage
NextStep = Literal["advance", "finish", "end"]


@dataclass(frozen=True)
class TrialSetup:
    """What the workers of a trial run, and the resources that they get.

    Args:
        name: of the run; one run of that name is under way at a time.
        config, split, data_dir: as `trainables.trial.Trial` takes them.
        workers: processes that share each batch.
        cpus, gpus: of each worker.
        storage: folder that all workers reach, for checkpoints while the trial runs.
        filesystem: pyarrow's, in which that folder is; default: this machine's.
        make_trial: makes the trial in each worker.
        attempts: how often the workers start again after one of them died or raised an error.
        checkpoint_seconds: seconds of work that a trial may lose when a worker dies; 0: the
            workers save the trial after every epoch.
    """

    name: str
    config: TrialConfig
    split: str
    data_dir: Path | None
    workers: int
    cpus: float
    gpus: float
    storage: str
    make_trial: MakeTrial
    filesystem: Any = None
    attempts: int = ATTEMPTS
    checkpoint_seconds: float = CHECKPOINT_SECONDS


def local_trial(config: TrialConfig, split: str, data_dir: Path | None, cpus: float) -> Steps:
    """A trial in this process, with as many torch threads as it was given CPUs."""
    import torch

    from trainables.trial import Trial

    torch.set_num_threads(max(1, int(cpus)))
    if torch.cuda.is_initialized():
        # Give back what the last trial of this process kept: other trials may share the GPU.
        torch.cuda.empty_cache()
    return Trial(config, split=split, data_dir=data_dir)  # type: ignore[arg-type]


def remove_group(group: str) -> None:
    """Removes a placement group of workers if Ray still has it (``group``: its id)."""
    remove_placement_group(PlacementGroup(ray.PlacementGroupID(bytes.fromhex(group))))
