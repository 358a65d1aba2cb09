"""What a trial on Ray is, whoever runs it: its steps, its attempts, its errors."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import ray
from ray.util.placement_group import PlacementGroup, remove_placement_group

from trainables.config import TrialConfig
from trainables.errors import InputError

ATTEMPTS = 3
"""How often a trial is started before its error is recorded."""
CHECKPOINT_SECONDS = 60.0
"""Work that a dying node may cost a trial."""


class GaveUpError(RuntimeError):
    """The trial has used up attempts of its own; the message is its error."""


class WrongInputError(GaveUpError, InputError):
    """No attempt can succeed: the input is wrong."""


class Steps(Protocol):
    """What `trainables.trial.Trial` offers here."""

    @property
    def epoch(self) -> int: ...
    @property
    def done(self) -> bool: ...
    def advance(self) -> Mapping[str, Any]: ...
    def finish(self) -> Any: ...
    def summary(self) -> Mapping[str, Any]: ...
    def save(self, path: Path) -> None: ...
    def restore(self, path: Path) -> None: ...


MakeTrial = Callable[[TrialConfig, str, Path | None, float], Steps]
"""(config, split, data folder, CPUs) -> trial."""


def local_trial(config: TrialConfig, split: str, data_dir: Path | None, cpus: float) -> Steps:
    """A trial in this process, with as many torch threads as it was given CPUs."""
    import torch

    from trainables.trial import Trial

    torch.set_num_threads(max(1, int(cpus)))
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()  # what the process's last trial kept; others may share the GPU
    return Trial(config, split=split, data_dir=data_dir)  # type: ignore[arg-type]


def remove_group(group: str) -> None:
    """Removes a worker group's placement group, if it is still there (``group``: its id)."""
    remove_placement_group(PlacementGroup(ray.PlacementGroupID(bytes.fromhex(group))))


def describe(error: Exception) -> str:
    """The error and the place it came from, in one line."""
    if isinstance(error, GaveUpError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {text} ({Path(frame.filename).name}:{frame.lineno})"
