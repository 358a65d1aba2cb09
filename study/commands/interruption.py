"""What Ctrl-C and the signals of batch systems leave of a trial run by hand."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from trainables.checkpoint_clock import CheckpointClock

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class _View(Protocol):
    def note(self, text: str) -> None: ...
    def step(self, step: int, steps: int) -> None: ...
    def epoch(self, row: dict[str, Any]) -> None: ...


class _Trial(Protocol):
    @property
    def epoch(self) -> int: ...
    @property
    def steps_done(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int: ...


class Kept:
    """Saves the trial where Ctrl-C, SIGTERM or SIGHUP ends it, and tells the user what is kept.

    A signal that comes during the steps of an epoch ends the process after the present step: the
    trial cannot be saved in the middle of one. A second signal does not wait. At other times a
    signal ends the process at once, as Ctrl-C does, so that no half-written file stays behind.
    """

    def __init__(self, checkpoint: Path, view: _View, clock: CheckpointClock | None = None) -> None:
        self._checkpoint, self._view = checkpoint, view
        self._clock = clock or CheckpointClock()
        self._trial: _Trial | None = None
        self._reached = ""  # what the checkpoint holds, in words
        self._within_epoch = False
        self._signal: int | None = None  # to end with after this step
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def follow(self, trial: _Trial) -> None:
        """From here on, tell of this trial; if it was restored, its checkpoint is what is kept."""
        self._trial = trial
        self._note()

    def step(self, step: int, steps: int) -> None:
        """A step of the trial is done."""
        self._within_epoch = step < steps
        self._view.step(step, steps)

    def pause(self) -> bool:
        """Whether the trial is to pause after this step, so that it is saved."""
        return self._signal is not None or self._clock.is_due()

    def saved(self, row: dict[str, Any] | None) -> None:
        """The checkpoint is written; ``row`` is that of an epoch that has ended.

        Raises:
            KeyboardInterrupt, SystemExit: a signal has come in the meantime.
        """
        self._clock.restart()
        self._note()
        if row is not None:
            self._view.epoch(row)
        if self._signal is not None:
            _end(self._signal)

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if signal.getsignal(number) in _DEFAULTS:  # `nohup` ignores SIGHUP
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self._view.note(self._line())
            if isinstance(error, KeyboardInterrupt):
                raise SystemExit(128 + signal.SIGINT) from None

    def _take(self, number: int, frame: FrameType | None) -> None:
        if not self._within_epoch or self._signal is not None:
            _end(number)
        self._signal = number

    def _note(self) -> None:
        assert self._trial is not None
        started = self._trial.epoch or self._trial.steps_done
        self._reached = reached(self._trial) if started else ""

    def _line(self) -> str:
        if self._reached:
            return (
                f"interrupted; the trial up to {self._reached} is kept in {self._checkpoint}; "
                "the same command goes on from there"
            )
        if self._checkpoint.exists():
            return f"interrupted; the same command goes on from {self._checkpoint}"
        return "interrupted before the first checkpoint: nothing is kept"


def reached(trial: _Trial) -> str:
    """How far a trial has come, in words."""
    if not trial.steps_done:
        return f"epoch {trial.epoch}"
    return f"step {trial.steps_done} of {trial.steps_per_epoch} in epoch {trial.epoch + 1}"


def _end(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
