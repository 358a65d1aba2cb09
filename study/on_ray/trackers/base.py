"""What a tracker is: an object that makes one of Ray Tune's logger callbacks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from reports.store.tables import Store

if TYPE_CHECKING:
    from ray.tune.logger import LoggerCallback


class Tracker(ABC):
    """A tracker that a study may name.

    Attributes:
        name: in a study's ``trackers``; the name of its folder.
        package: the module that must be installed.
        has_trial_folders: whether the callback writes into a folder for each trial, which is
            complete once the trial has ended.
    """

    package: ClassVar[str]
    has_trial_folders: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def is_installed(self) -> bool:
        """Whether its package can be imported."""
        return find_spec(self.package) is not None

    def check(self, store: Store) -> None:  # noqa: B027  # most trackers need no check
        """Checks before a run that the tracker can be used for the results ``store``.

        Raises:
            InputError: the tracker cannot be used; the line says what to do.
        """

    @abstractmethod
    def logger(self, folder: Path, study: str) -> LoggerCallback:
        """Tune's callback, which keeps its files in ``folder``; ``study`` is the study's name."""


def is_local(store: Store) -> bool:
    """Whether the results are a folder that other libraries can write to."""
    return bool(store.filesystem.type_name == "local")
