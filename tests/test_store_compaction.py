"""Compaction while a study runs: readers miss nothing, and a kill at any moment loses nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from reports.store import compaction, tables
from reports.store.files import StoreError
from reports.store.reading import is_single
from reports.store.tables import Store, open_store
from tests.trial_rows import trial_row

EPOCHS = [{"epoch": epoch, "loss": 1.0 / epoch} for epoch in (1, 2)]


def fill(store: Store, numbers: range, accuracy: float = 50.0) -> None:
    for number in numbers:
        row = trial_row(f"t{number:04}", number=number, accuracy=accuracy + number)
        store.append(row, EPOCHS)


def singles(store: Store, table: str = "trials") -> int:
    return sum(is_single(file.path) for file in store._reader.found(table))


def test_trials_are_merged_once_there_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_MANY", 10)
    store = open_store(tmp_path, create=True)
    for number in range(35):
        fill(store, range(number, number + 1))
        store.compact_if_many()
    assert singles(store) == 5
    assert len(store._reader.found("trials")) == 5 + 3
    rows = open_store(tmp_path).read("trials")
    assert rows["accuracy"].tolist() == [50.0 + number for number in range(35)]
    assert len(open_store(tmp_path).read("epochs")) == 70
    store.compact()
    assert len(store._reader.found("trials")) == 1
    pd.testing.assert_frame_equal(open_store(tmp_path).read("trials"), rows)


def test_of_a_trial_in_two_compacted_files_the_newer_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_MANY", 3)
    store = open_store(tmp_path, create=True)
    for accuracy in (10.0, 30.0, 20.0):  # the order of the digests in the names is any
        fill(store, range(3), accuracy)
        store.compact_if_many()
        assert singles(store) == 0
        found = open_store(tmp_path).read("trials")["accuracy"].tolist()
        assert found == [accuracy, accuracy + 1, accuracy + 2]


def test_a_study_that_was_killed_with_many_single_files_is_merged_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_MANY", 10)
    fill(open_store(tmp_path, create=True), range(12))
    store = open_store(tmp_path)
    store.compact_leftovers()
    assert singles(store) == 0
    assert len(store.ids()) == 12


def test_a_reader_loses_no_trial_to_a_compaction_under_its_eyes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(open_store(tmp_path, create=True), range(5))
    reader = open_store(tmp_path)
    listed = type(reader).list_files

    def list_then_compact(self: Store, folder: str) -> list[object]:
        found = listed(self, folder)
        monkeypatch.setattr(Store, "list_files", listed)
        open_store(tmp_path).compact()
        return found

    for read in (lambda: len(reader.ids()), lambda: len(reader.read("trials"))):
        monkeypatch.setattr(Store, "list_files", list_then_compact)
        assert read() == 5
        fill(open_store(tmp_path), range(5))


def test_readers_always_see_every_committed_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_MANY", 5)
    store = open_store(tmp_path, create=True)
    committed, done = 0, threading.Event()
    short: list[tuple[int, int]] = []

    def look() -> None:
        reader = open_store(tmp_path)
        while not done.is_set():
            least = committed
            found = len(reader.read("trials", ["trial_id"]))
            epochs = len(reader.read("epochs", ["trial_id"]))
            if found < least or epochs < 2 * least:
                short.append((least, found))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(30):
        fill(store, range(number, number + 1))
        committed = number + 1
        store.compact_if_many()
    done.set()
    for thread in threads:
        thread.join()
    assert not short


_WRITER = """
import sys
from reports.store import tables
from tests.test_store_compaction import fill
tables._MANY = 4
store = tables.open_store(sys.argv[1], create=True)
print("ready", flush=True)
for number in range(10_000):
    fill(store, range(number, number + 1))
    print(number, flush=True)
    store.compact_if_many()
"""


def test_a_kill_at_any_moment_loses_no_recorded_trial(tmp_path: Path) -> None:
    for attempt in range(2):
        root = tmp_path / str(attempt)
        command = [sys.executable, "-c", _WRITER, str(root)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(0.4 + 0.57 * attempt)
        writer.send_signal(signal.SIGKILL)
        recorded = [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        store = open_store(root)
        found = store.read("trials")["number"].tolist()
        assert found[: len(recorded)] == recorded
        assert len(store.read("epochs")) == 2 * len(found)
        store.compact()
        assert store.read("trials")["number"].tolist() == found
        assert len(list(root.rglob("*"))) == 2 + 2  # two folders with a file each


def test_a_failed_merge_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_MANY", 3)
    store = open_store(tmp_path, create=True)
    fill(store, range(3))

    def refuse(*arguments: object) -> None:
        raise StoreError("full")

    with monkeypatch.context() as broken:
        broken.setattr(compaction, "_write", refuse)
        with pytest.warns(UserWarning, match="full"):
            store.compact_if_many()
    assert singles(store) == 3
    store.compact_if_many()
    assert singles(store) == 0
    assert len(store.ids()) == 3
