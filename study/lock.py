"""One driver for one study: a lock file with an owner and a heartbeat.

It survives `kill -9`: on the owner's own machine its process is looked for, elsewhere a heartbeat
that has not changed for `STALE_SECONDS` gives the lock up.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from types import TracebackType
from typing import Any, Self

import psutil  # type: ignore[import-untyped]

from study.store import Store, StoreError
from trainables.config import InputError

HEARTBEAT_SECONDS = 15.0
STALE_SECONDS = 120.0
_SETTLE_SECONDS = 0.3
_FILE = "driver.lock"


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
        started = time.monotonic()
        owner = self._read()
        if owner and _alive(owner):
            raise InputError(
                f"{self._store.name}: another driver runs this study (process {owner['pid']} on "
                f"{owner['host']}, since {owner['since']}); stop it first"
            )
        self._write()
        # Of two drivers that found no owner at the same moment, the one that wrote last has it;
        # the other may take as long as this one took to look and to write.
        time.sleep(max(_SETTLE_SECONDS, 2 * (time.monotonic() - started)))
        if (self._read() or {}).get("token") != self._token:
            raise InputError(f"{self._store.name}: another driver has just started on this study")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._beat.join()
        try:
            if not self.lost:
                self._store.filesystem.delete_file(self._path)
        except OSError:
            pass  # the process's end frees the lock as well

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
        return owner if isinstance(owner, dict) and "token" in owner else None
    except StoreError:
        raise
    except (OSError, ValueError):
        return None


def running(store: Store) -> bool:
    """Whether a driver runs on this study now."""
    owner = read_owner(store)
    return owner is not None and _alive(owner)


def _alive(owner: dict[str, Any]) -> bool:
    if owner["host"] != socket.gethostname():
        return time.time() - owner["heartbeat"] < STALE_SECONDS
    try:
        started = psutil.Process(owner["pid"]).create_time()
        return abs(started - owner["process_started"]) < 1
    except psutil.Error:
        return False
