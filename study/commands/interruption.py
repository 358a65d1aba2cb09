"""What Ctrl-C and the signals of batch systems leave of a trial run by hand."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class _View(Protocol):
    def note(self, text: str) -> None: ...
    def epoch(self, row: dict[str, Any]) -> None: ...


class Kept:
    """Tells the user what is kept when Ctrl-C, SIGTERM or SIGHUP ends the trial within.

    The signals end the process as Ctrl-C does, so that no half-written file stays behind.

    Attributes:
        epoch: the last epoch that the checkpoint holds.
    """

    def __init__(self, checkpoint: Path, view: _View) -> None:
        self.epoch = 0
        self._checkpoint, self._view = checkpoint, view
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def shown(self, row: dict[str, Any]) -> None:
        """Show an epoch's row; its checkpoint is written."""
        self.epoch = row["epoch"]
        self._view.epoch(row)

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` ignores SIGHUP
                self._before[number] = signal.signal(number, _exit)
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

    def _line(self) -> str:
        if not self.epoch and self._checkpoint.exists():
            return f"interrupted; the same command goes on from {self._checkpoint}"
        if not self.epoch:
            return "interrupted before the end of the first epoch: nothing is kept"
        return (
            f"interrupted after epoch {self.epoch}, which is kept in {self._checkpoint}; "
            "the same command goes on from there"
        )


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
