"""One driver for one study."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from reports.store.tables import open_store
from study import lock
from study.lock import StudyLock, read_owner, running
from trainables.errors import InputError

ROOT = Path(__file__).parent.parent


def python(code: str, results: Path, *before: str) -> subprocess.Popen[str]:
    """A process that runs Python code on a results folder, perhaps below another command."""
    return subprocess.Popen(
        [*before, sys.executable, "-c", code, str(results)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that the process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


_HOLDS = """
import sys
from reports.store.tables import open_store
from study import lock
lock.HEARTBEAT_SECONDS = 0.2
with lock.StudyLock(open_store(sys.argv[1], create=True)):
    print("held", flush=True)
    sys.stdin.read()  # until the test ends this process
"""


def test_a_second_driver_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    with StudyLock(store):
        assert running(store)
        with pytest.raises(InputError, match="another driver runs this study"), StudyLock(store):
            pass
    assert not running(store)
    with StudyLock(store):
        pass


def test_a_killed_driver_does_not_hold_the_lock(tmp_path: Path) -> None:
    process = python(_HOLDS, tmp_path)
    assert line_of(process) == "held"
    store = open_store(tmp_path)
    assert running(store)
    process.kill()
    process.wait()
    assert read_owner(store)
    assert not running(store)
    with StudyLock(store):
        pass


def test_a_lock_that_could_not_be_deleted_holds_nobody_up(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    with StudyLock(store):
        left = (tmp_path / "driver.lock").read_text()
    (tmp_path / "driver.lock").write_text(left)  # as if the disk could not delete it
    with StudyLock(store):
        pass


_SIX = """
import os, sys
from reports.store.tables import open_store
from study.lock import StudyLock
store = open_store(sys.argv[1], create=True)
started, start = os.pipe()
for _ in range(6):
    if os.fork() == 0:
        os.close(start)
        os.read(started, 1)  # returns once every process has closed `start`
        try:
            with StudyLock(store):
                os.write(1, b"holds\\n")
                sys.stdin.read()  # until all six have had their answer
        except Exception as error:
            os.write(1, f"{error}\\n".encode())  # in one piece: six processes share this pipe
        os._exit(0)
os.close(start)
for _ in range(6):
    os.wait()
"""


def test_of_drivers_started_at_the_same_moment_one_runs(tmp_path: Path) -> None:
    drivers = python(_SIX, tmp_path)
    said = [line_of(drivers) for _ in range(6)]
    drivers.communicate()
    assert said.count("holds") == 1
    assert sum("another driver runs this study" in line for line in said) == 5


def write_owner(results: Path, owner: dict[str, Any]) -> None:
    """The lock file of another driver, in one piece as a driver writes it."""
    (results / ".new").write_text(json.dumps(owner))
    (results / ".new").rename(results / "driver.lock")


def owner_elsewhere(tmp_path: Path, clock: float) -> None:
    """A heartbeat of another machine, whose clock is so many seconds ahead of ours."""
    owner = {"token": "t", "host": "elsewhere", "pid": 1, "since": "then", "process_started": 0.0}
    write_owner(tmp_path, {**owner, "heartbeat": time.time() + clock})


@pytest.mark.parametrize("clock", [-3600, 0, 3600])
def test_an_owner_on_another_host_is_alive_while_its_heart_beats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: float
) -> None:
    monkeypatch.setattr(lock, "STALE_SECONDS", 5.0)
    monkeypatch.setattr(lock, "_POLL_SECONDS", 0.05)
    store = open_store(tmp_path, create=True)
    owner_elsewhere(tmp_path, clock)
    beat = threading.Timer(0.5, owner_elsewhere, (tmp_path, clock))
    beat.start()
    with pytest.raises(InputError, match="on elsewhere"), StudyLock(store):
        pass
    beat.join()
    monkeypatch.setattr(lock, "STALE_SECONDS", 0.3)
    with StudyLock(store):
        pass


def test_a_host_of_the_same_name_is_another_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_POLL_SECONDS", 0.05)
    store = open_store(tmp_path, create=True)
    owner_elsewhere(tmp_path, 0)
    text = (tmp_path / "driver.lock").read_text()
    (tmp_path / "driver.lock").write_text(text.replace("elsewhere", socket.gethostname()))
    assert running(store)
    beat = threading.Timer(0.5, owner_elsewhere, (tmp_path, 1))
    beat.start()
    with pytest.raises(InputError, match="another driver"), StudyLock(store):
        pass
    beat.join()


def test_a_process_id_of_another_namespace_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in two containers that share a host name: the owner's process is out of sight here."""
    monkeypatch.setattr(lock, "STALE_SECONDS", 5.0)
    monkeypatch.setattr(lock, "_POLL_SECONDS", 0.05)
    store = open_store(tmp_path, create=True)
    with StudyLock(store):
        owner = json.loads((tmp_path / "driver.lock").read_text())
    owner |= {"pid": 2**22 + 1, "token": "t", "pid_namespace": owner["pid_namespace"] + 1}

    def beat() -> None:
        write_owner(tmp_path, {**owner, "heartbeat": time.time()})

    beat()
    assert running(store)
    later = threading.Timer(0.5, beat)
    later.start()
    with pytest.raises(InputError, match="another driver runs this study"), StudyLock(store):
        pass
    later.join()


def test_a_live_driver_in_another_process_namespace_keeps_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container with this host's name: its process has another id here."""
    inside = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"]).returncode:
        pytest.skip("unshare is missing, or not permitted here")
    driver = python(_HOLDS, tmp_path, *inside)
    monkeypatch.setattr(lock, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(lock, "STALE_SECONDS", 10.0)
    try:
        assert line_of(driver) == "held"
        store = open_store(tmp_path)
        assert running(store)
        with pytest.raises(InputError, match="another driver runs this study"), StudyLock(store):
            pass
    finally:
        driver.kill()
        driver.wait()
    monkeypatch.setattr(lock, "STALE_SECONDS", 1.0)
    with StudyLock(store):
        pass


def test_a_driver_that_lost_its_lock_notices_and_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.05)
    store = open_store(tmp_path, create=True)
    with StudyLock(store) as held:
        owner_elsewhere(tmp_path, 0)
        deadline = time.monotonic() + 5
        while not held.lost and time.monotonic() < deadline:
            time.sleep(0.01)
        assert held.lost
    assert (tmp_path / "driver.lock").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"token": 1}'])
def test_a_damaged_lock_holds_nobody_up(tmp_path: Path, content: str) -> None:
    (tmp_path / "driver.lock").write_text(content)
    with StudyLock(open_store(tmp_path)):
        pass
