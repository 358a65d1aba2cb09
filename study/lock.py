"""One driver for one study: a lock file with an owner and a heartbeat.

A driver that was killed no longer holds its lock. How a second driver finds out:

- Both run in one process-id namespace, on one machine, since the same boot: the second driver looks
  for the owner's process.
- Otherwise the second driver watches the heartbeat. If the heartbeat does not change for
  `STALE_SECONDS`, the owner is dead. The clocks of two machines are not compared, since they may
  differ.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil  # type: ignore[import-untyped]

from reports.store.files import StoreError
from reports.store.tables import Store
from trainables.errors import InputError

HEARTBEAT_SECONDS = 15.0
STALE_SECONDS = 120.0
_ANCIENT_SECONDS = 86_400.0
"""No two clocks differ by so much, so the owner of an older heartbeat is dead for certain."""
_SETTLE_SECONDS = 0.3
_POLL_SECONDS = 1.0
_FILE = "driver.lock"
_FIELDS = {"token", "host", "pid", "process_started", "since", "heartbeat"}
_held: set[str] = set()
"""Tokens of the locks that this process holds."""


class StudyLock:
    """Held while a driver runs: ``with StudyLock(store): ...``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = f"{store.root}/{_FILE}"
        self._token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._beat = threading.Thread(target=self._keep, daemon=True)
        self._started = _start_time(os.getpid())
        self._since = time.strftime(
            "%Y-%m-%d %H:%M:%S", time.localtime(self._started or time.time())
        )
        self.lost = False
        """Whether another driver took this driver for dead, and has the lock now."""

    def __enter__(self) -> Self:
        """Takes the lock.

        Raises:
            InputError: another driver holds the lock, or the results cannot be written.
        """
        try:
            self._take()
        except StoreError as error:
            raise InputError(str(error)) from None
        self._beat.start()
        return self

    def _take(self) -> None:
        owner = self._read()
        if owner and self._lives(owner):
            raise self._refusal(owner)
        started = time.monotonic()
        with _alone(self._store):
            now = self._read()
            if now and now["token"] != (owner or {}).get("token"):
                raise self._refusal(now)
            self._write()
        # An object store lets two drivers write at the same moment, and the later one then has the
        # lock. So wait before the check, longer than another driver needs to look and to write.
        time.sleep(max(_SETTLE_SECONDS, 2 * (time.monotonic() - started)))
        now = self._read()
        if now and now["token"] != self._token:
            raise self._refusal(now)
        _held.add(self._token)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Gives the lock back. A second call does nothing."""
        self._stop.set()
        if self._beat.is_alive():
            self._beat.join()
        if self._token not in _held:
            return
        _held.discard(self._token)
        with suppress(OSError):  # A file left behind stops no driver: its owner is dead.
            if not self.lost:
                self._store.filesystem.delete_file(self._path)

    def _refusal(self, owner: dict[str, Any]) -> InputError:
        return InputError(
            f"{self._store.name}: another driver runs this study (process {owner['pid']} on "
            f"{owner['host']}, since {owner['since']}); stop it first"
        )

    def _lives(self, owner: dict[str, Any]) -> bool:
        """Whether the owner is alive. Watches the heartbeat if the process runs elsewhere."""
        if _is_here(owner):
            return _process_lives(owner)
        if time.time() - owner["heartbeat"] > _ANCIENT_SECONDS:
            return False
        sys.stderr.write(
            f"{self._store.name}: a driver on {owner['host']} held this study; watching for up to "
            f"{STALE_SECONDS:.0f} s whether it still does\n"
        )
        end = time.monotonic() + STALE_SECONDS
        while time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
            now = self._read()
            if now is None:
                return False
            if (now["token"], now["heartbeat"]) != (owner["token"], owner["heartbeat"]):
                return True
        return False

    def _keep(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            try:
                owner = self._read()
                if owner and owner["token"] != self._token:
                    self.lost = True
                    return
                self._write()
            except StoreError:
                continue  # The recorder cannot write either, and ends the study with the reason.

    def _write(self) -> None:
        owner = {
            "token": self._token,
            "host": socket.gethostname(),
            "boot": _boot(),
            "pid_namespace": _pid_namespace(),
            "pid": os.getpid(),
            "process_started": self._started,
            "since": self._since,
            "heartbeat": time.time(),
        }
        self._store.write_bytes(_FILE, json.dumps(owner).encode())

    def _read(self) -> dict[str, Any] | None:
        return read_owner(self._store)


def read_owner(store: Store) -> dict[str, Any] | None:
    """The fields of the lock file; None if the file is missing or damaged.

    Raises:
        StoreError: the results are out of reach.
    """
    try:
        with store.open_file(f"{store.root}/{_FILE}") as file:
            owner = json.loads(file.read())
        return owner if isinstance(owner, dict) and set(owner) >= _FIELDS else None
    except StoreError:
        raise
    except (OSError, ValueError):
        return None


def running(store: Store) -> bool:
    """Whether a driver seems to run this study. Trusts the clock of a driver elsewhere."""
    owner = read_owner(store)
    if owner is None:
        return False
    if _is_here(owner):
        return _process_lives(owner)
    return abs(time.time() - owner["heartbeat"]) < STALE_SECONDS


def _is_here(owner: dict[str, Any]) -> bool:
    """Whether the owner's process id names the same process for this process.

    The host name does not tell: two machines, or the containers of one machine, may share it.
    """
    return bool(
        owner["host"] == socket.gethostname()
        and owner.get("boot") == _boot()
        and owner.get("pid_namespace") == _pid_namespace()
    )


def _process_lives(owner: dict[str, Any]) -> bool:
    if owner["pid"] == os.getpid():
        return owner["token"] in _held
    started, recorded = _start_time(owner["pid"]), owner["process_started"]
    return started is not None and recorded is not None and abs(started - recorded) < 1


def _start_time(pid: int) -> float | None:
    """When a process started, by this machine's clock; None if there is no such process."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _boot() -> str | None:
    """An id of this machine's latest boot; None where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _pid_namespace() -> int | None:
    """An id of the namespace in which process ids are counted; None where the system has none."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return None


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Keeps other processes of this machine from taking the lock at the same time."""
    if store.filesystem.type_name != "local":
        yield
        return
    try:
        Path(store.root).mkdir(parents=True, exist_ok=True)
        folder = os.open(store.root, os.O_RDONLY)
    except OSError as error:
        raise StoreError(f"{store.root}: cannot write results: {error}") from error
    try:
        with suppress(OSError):  # not every file system locks folders
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
