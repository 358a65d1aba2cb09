"""One driver for one study: a lock file with an owner and a heartbeat.

It survives `kill -9`: on the owner's own machine its process is looked for, elsewhere a heartbeat
that does not change for `STALE_SECONDS` gives the lock up. Two machines' clocks are not compared:
they may differ.
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
"""No two clocks are so far apart: a heartbeat of so long ago needs no watching."""
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
        self.lost = False
        """Whether another driver took the lock over (this one was thought dead)."""

    def __enter__(self) -> Self:
        """Takes the lock.

        Raises:
            InputError: another driver holds it, or nothing can be written there.
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
        # Where nothing keeps two drivers from writing at the same moment, the later one has it; the
        # other may take as long as this one took to look and to write.
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
        self._stop.set()
        self._beat.join()
        _held.discard(self._token)
        with suppress(OSError):  # a file left behind holds nobody up
            if not self.lost:
                self._store.filesystem.delete_file(self._path)

    def _refusal(self, owner: dict[str, Any]) -> InputError:
        return InputError(
            f"{self._store.name}: another driver runs this study (process {owner['pid']} on "
            f"{owner['host']}, since {owner['since']}); stop it first"
        )

    def _lives(self, owner: dict[str, Any]) -> bool:
        """Whether the owner is alive; one on another machine is watched until it shows."""
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
                continue  # a full disk is the results' trouble first

    def _write(self) -> None:
        process = psutil.Process()
        owner = {
            "token": self._token,
            "host": socket.gethostname(),
            "boot": _boot(),
            "pid": os.getpid(),
            "process_started": process.create_time(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(process.create_time())),
            "heartbeat": time.time(),
        }
        self._store.write_bytes(_FILE, json.dumps(owner).encode())

    def _read(self) -> dict[str, Any] | None:
        return read_owner(self._store)


def read_owner(store: Store) -> dict[str, Any] | None:
    """What the lock file says of its owner; None where there is none, or it is damaged.

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
    """Whether a driver seems to run on this study; of one elsewhere its clock is believed."""
    owner = read_owner(store)
    if owner is None:
        return False
    if _is_here(owner):
        return _process_lives(owner)
    return abs(time.time() - owner["heartbeat"]) < STALE_SECONDS


def _is_here(owner: dict[str, Any]) -> bool:
    # Two machines may have one name.
    return bool(owner["host"] == socket.gethostname() and owner.get("boot") == _boot())


def _process_lives(owner: dict[str, Any]) -> bool:
    if owner["pid"] == os.getpid():
        return owner["token"] in _held
    try:
        started = psutil.Process(owner["pid"]).create_time()
        return abs(started - owner["process_started"]) < 1
    except psutil.Error:
        return False


def _boot() -> str | None:
    """Tells this start of this machine from all others; None where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Keeps other processes of this machine from taking the lock meanwhile."""
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
