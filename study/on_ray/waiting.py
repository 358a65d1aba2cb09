"""Says what the trials of a study wait for on a cluster, which may grow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from study.agenda import Agenda
from study.on_ray.admission import misfit_lines

REPEAT_SECONDS = 60.0
_FIRST_SECONDS = 5.0


class WaitingNotice(tune.Callback):
    """Prints a line now and then while trials that have been handed out cannot start."""

    def __init__(self, agenda: Agenda, say: Callable[[str], None]) -> None:
        self._agenda, self._say = agenda, say
        self._next = time.monotonic() + _FIRST_SECONDS

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles callbacks into its experiment folder, which nobody reads.
        return {}

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REPEAT_SECONDS
        configs = [due.config for due in self._agenda.running.values()]
        sizes = {(config.encoder, config.width) for config in configs}
        lines = misfit_lines(self._agenda.spec, sizes)
        if not lines and trials and not any(trial.status == Trial.RUNNING for trial in trials):
            lines = ["no trial can start, other work takes the cluster's resources"]
        for line in lines:
            self._say(f"waiting for room on the cluster: {line}")
