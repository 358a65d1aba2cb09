"""Why no further trial of a run may start."""

from __future__ import annotations

from typing import Any

from ray import tune

from study.lock import StudyLock
from study.on_ray.interruption import Interruption


class StudyError(RuntimeError):
    """The study cannot go on. Finished trials are recorded."""


class Halt:
    """Whether a run must end. The searcher, the recorder and Tune's stopper ask before they go on.

    Attributes:
        error: why the study cannot go on, if it cannot.
    """

    def __init__(self, lock: StudyLock, interruption: Interruption) -> None:
        self.error: StudyError | None = None
        self._lock, self._interruption = lock, interruption

    @property
    def over(self) -> bool:
        """Whether no further trial may start, and none may be recorded."""
        return self._interruption.requested or self.error is not None or self._lock.lost

    def stop(self, reason: str) -> None:
        """Ends the run with an error. Of several reasons, the first is kept."""
        self.error = self.error or StudyError(reason)

    def check(self, results: str) -> None:
        """Raises the reason of an early end. Call it once the run has ended.

        Raises:
            StudyError: the run ended early, and no signal interrupted it.
        """
        if self._lock.lost:
            raise StudyError(f"{results}: another driver took this study over")
        if self.error is not None:
            raise self.error


class HaltStopper(tune.Stopper):
    """Ends Tune's run as soon as the study is over."""

    def __init__(self, halt: Halt) -> None:
        self._halt = halt

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles the stopper into its experiment folder, which nobody reads.
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._halt.over
