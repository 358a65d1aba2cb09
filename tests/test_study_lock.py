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

import pytest

from reports.store.tables import open_store
from study import lock
from study.lock import StudyLock, read_owner, running
from trainables.errors import InputError


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
    code = (
        "import sys, time; from study.lock import StudyLock\n"
        "from reports.store.tables import open_store\n"
        "with StudyLock(open_store(sys.argv[1], create=True)): print('held', flush=True);"
        " time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
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


def test_of_drivers_started_at_the_same_moment_one_runs(tmp_path: Path) -> None:
    code = (
        "import sys, time; from study.lock import StudyLock\n"
        "from reports.store.tables import open_store\n"
        "from trainables.errors import InputError\n"
        "store = open_store(sys.argv[1], create=True)\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "try:\n"
        "    with StudyLock(store): time.sleep(3)\n"
        "    print('ran')\n"
        "except InputError as error: print(error)"
    )
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        for _ in range(6)
    ]
    for driver in drivers:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "ready\n"
    for driver in drivers:
        assert driver.stdin is not None
        driver.stdin.write("\n")
        driver.stdin.flush()
    said = [driver.communicate(timeout=150)[0].strip() for driver in drivers]
    assert said.count("ran") == 1
    assert sum("another driver runs this study" in line for line in said) == 5


def owner_elsewhere(tmp_path: Path, clock: float) -> None:
    """A heartbeat of another machine, whose clock is so many seconds ahead of ours."""
    owner = {"token": "t", "host": "elsewhere", "pid": 1, "since": "then", "process_started": 0.0}
    text = json.dumps({**owner, "heartbeat": time.time() + clock})
    (tmp_path / ".new").write_text(text)
    (tmp_path / ".new").rename(tmp_path / "driver.lock")


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
        text = json.dumps({**owner, "heartbeat": time.time()})
        (tmp_path / ".new").write_text(text)
        (tmp_path / ".new").rename(tmp_path / "driver.lock")

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
    code = (
        "import sys, time; from study import lock\n"
        "from reports.store.tables import open_store\n"
        "lock.HEARTBEAT_SECONDS = 0.2\n"
        "with lock.StudyLock(open_store(sys.argv[1], create=True)): print('held', flush=True);"
        " time.sleep(60)"
    )
    driver = subprocess.Popen(
        [*inside, sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    monkeypatch.setattr(lock, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(lock, "STALE_SECONDS", 10.0)
    try:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "held\n"
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
