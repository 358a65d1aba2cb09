"""TensorBoard: event files, a folder for each trial."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from study.on_ray.trackers.base import Tracker

if TYPE_CHECKING:
    from ray.tune.logger import LoggerCallback


class TensorBoard(Tracker):
    """Writes with tensorboardX."""

    package = "tensorboardX"
    has_trial_folders = True

    def logger(self, folder: Path, study: str) -> LoggerCallback:
        from ray.tune.logger import TBXLoggerCallback

        return TBXLoggerCallback()
