"""Ctrl-C and the signals of batch systems end a run: in order, or at once where Ray blocks it.

Ray's own processes may get the same signal: `timeout` signals the process group, Slurm every
process of a step. Without its control store (GCS), a call into Ray blocks for a minute and then
ends the process without a message. So a separate thread receives the signals, through Python's
wakeup file descriptor, even while the main thread is blocked. This thread ends the process if the
cluster is gone, if the time is up, or if Ctrl-C comes a second time.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

EXIT_CODE = 130
"""Exit code of an interrupted run; shells use the same code for Ctrl-C."""
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE_SECONDS = 10.0
"""How long a run may take to end after a batch system's signal. Batch systems kill it after 30 s
or so."""
_FAREWELL_SECONDS = 5.0
_POLL_SECONDS = 0.25


def interrupted_line(results: str) -> str:
    """The last line of an interrupted run."""
    return f"interrupted; finished trials are in {results}; the same command goes on"


class Interruption:
    """Receives SIGINT, SIGTERM and SIGHUP inside a ``with`` block of the main thread.

    In another thread, which Python does not let handle signals, it does nothing.

    Attributes:
        requested: whether a signal has come, so that the run must end.
    """

    def __init__(
        self, farewell: Callable[[], None], cluster_answers: Callable[[], bool] = lambda: True
    ) -> None:
        """Args:
        farewell: prints the last line and releases the lock; called before the process ends
            without the main thread.
        cluster_answers: whether Ray's control store still answers.
        """
        self.requested = False
        self.cluster_answers = cluster_answers
        self.farewell = farewell
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._receiver.settimeout(_POLL_SECONDS)
        self._fd_before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self.listen()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def listen(self) -> None:
        """Sets the signals' handlers. Call it again after `ray.init`, which replaces SIGTERM's."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _ENDING_SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # `nohup` ignores this signal on purpose.
            before = signal.signal(number, _wake)
            self._before.setdefault(number, before)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._before:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._sender.close()  # ends the thread

    def _watch(self) -> None:
        deadline = float("inf")
        while True:
            try:
                numbers = self._receiver.recv(64)
            except TimeoutError:
                if self.requested and (time.monotonic() > deadline or not self.cluster_answers()):
                    self._leave()
                continue
            if not numbers:
                self._receiver.close()
                return
            for number in numbers:
                if number not in _ENDING_SIGNALS:
                    continue
                if self.requested and number == signal.SIGINT:
                    self._leave()
                self.requested = True
                if number != signal.SIGINT:
                    deadline = min(deadline, time.monotonic() + _GRACE_SECONDS)

    def _leave(self) -> None:
        """Ends the process, whatever the main thread is doing."""
        last = threading.Thread(target=self.farewell, daemon=True)
        last.start()
        last.join(_FAREWELL_SECONDS)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(EXIT_CODE)


def _wake(number: int, frame: Any) -> None:
    """Does nothing: Python writes a signal to the wakeup descriptor only if it has a handler."""


@contextmanager
def like_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `KeyboardInterrupt` in the main thread, as Ctrl-C does."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
