"""Checkpoints of trials that were under way when a run ended; the next run goes on from them.

While a run lasts, Tune keeps the checkpoints of each trial in its own folder. Before that folder is
deleted, the latest checkpoint of each trial moves to a folder of the results. There it stays until
the trial is recorded. A run that was killed leaves Tune's folder behind: the next run moves them.
"""

from __future__ import annotations

from contextlib import suppress

from pyarrow.fs import FileSelector

from reports.store.tables import Store
from trainables.on_ray.steps import CHECKPOINT_FILE

_FOLDER = ".unfinished"
RUN = "run"
"""Name of Tune's experiment: its folder below Tune's own. In it, a trial's folder has its id."""


class Carried:
    """The checkpoint of each trial that an earlier run left under way."""

    def __init__(self, store: Store) -> None:
        self._filesystem = store.filesystem
        self._folder = f"{store.root}/{_FOLDER}"
        listed = self._filesystem.get_file_info(FileSelector(self._folder, allow_not_found=True))
        self._paths = {info.base_name: info.path for info in listed}

    def path_of(self, trial_id: str) -> str | None:
        """The checkpoint from which the trial may go on, in the results' file system."""
        return self._paths.get(trial_id)

    def drop(self, trial_id: str) -> None:
        """Deletes the checkpoint of a trial that is recorded."""
        if path := self._paths.pop(trial_id, None):
            with suppress(OSError):
                self._filesystem.delete_file(path)

    def collect(self, scratch: str) -> None:
        """Moves the latest checkpoint of each trial here from Tune's folder ``scratch``."""
        found = FileSelector(f"{scratch}/{RUN}", allow_not_found=True, recursive=True)
        files = [
            info
            for info in self._filesystem.get_file_info(found)
            if info.base_name == CHECKPOINT_FILE
        ]
        for info in sorted(files, key=lambda info: info.mtime_ns or 0):  # the latest one stays
            trial_id = info.path.split("/")[-3]
            self._filesystem.create_dir(self._folder)
            self._paths[trial_id] = f"{self._folder}/{trial_id}"
            self._filesystem.move(info.path, self._paths[trial_id])
