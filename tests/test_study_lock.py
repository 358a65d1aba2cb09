"""One driver for one study."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from study import lock
from study.lock import StudyLock, read_owner, running
from study.store import open_store
from trainables.config import InputError


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
        "import sys, time; from study.lock import StudyLock; from study.store import open_store\n"
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


def owner_elsewhere(tmp_path: Path, age: float) -> None:
    owner = {"token": "t", "host": "elsewhere", "pid": 1, "since": "then", "process_started": 0.0}
    text = json.dumps({**owner, "heartbeat": time.time() - age})
    (tmp_path / "driver.lock").write_text(text)


def test_an_owner_on_another_host_is_alive_while_its_heart_beats(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    owner_elsewhere(tmp_path, age=lock.STALE_SECONDS / 2)
    with pytest.raises(InputError, match="on elsewhere"), StudyLock(store):
        pass
    owner_elsewhere(tmp_path, age=lock.STALE_SECONDS + 1)
    with StudyLock(store):
        pass


def test_a_driver_that_lost_its_lock_notices_and_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.05)
    store = open_store(tmp_path, create=True)
    with StudyLock(store) as held:
        owner_elsewhere(tmp_path, age=0)
        deadline = time.monotonic() + 5
        while not held.lost and time.monotonic() < deadline:
            time.sleep(0.01)
        assert held.lost
    assert (tmp_path / "driver.lock").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_lock_holds_nobody_up(tmp_path: Path, content: str) -> None:
    (tmp_path / "driver.lock").write_text(content)
    with StudyLock(open_store(tmp_path)):
        pass
