"""A disk that fills up, or becomes read-only, while a study runs: no recorded trial is lost."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import ray

from reports.store.files import StoreError
from reports.store.tables import Store, open_store
from study.on_ray.driver import StudyError, run_study
from study.spec import parse_spec
from tests.study_tables import assert_same_tables, table
from tests.synthetic_trial import MakeSynthetic

SPEC = """
name: disk
datasets: [digits]
methods: [moco]
widths: [4]
arms: [none, mixco]
base: {epochs: 3}
trials: 4
searches: 1
seeds: 2
search: {startup_trials: 2}
trackers: []  # their open files would hold off the disk's being sealed
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a disk needs root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def seal(disk: Path) -> None:
    # A disk cannot be remounted while a file on it is open for writing.
    command = ["mount", "-o", "remount,ro", str(disk)]
    deadline = time.monotonic() + 60
    while subprocess.run(command, capture_output=True).returncode:
        assert time.monotonic() < deadline, "the disk was never quiet"


def free(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    (disk / "filler").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The results of the study on a good disk. Ray runs until the module's last test."""
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    store = open_store(tmp_path_factory.mktemp("whole"), create=True)
    assert run_study(parse_spec(SPEC, "test"), store, make_trial=MakeSynthetic())
    yield store
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("trouble", "says"), [(fill, "No space"), (seal, "Read-only")])
def test_a_disk_in_trouble_stops_the_study_and_loses_nothing(
    disk: Path, whole: Store, trouble: Callable[[Path], None], says: str
) -> None:
    spec = parse_spec(SPEC, "test")
    store = open_store(disk / "results", create=True)

    def cause() -> None:
        while len(store.ids()) < 4:
            time.sleep(0.05)
        trouble(disk)

    thread = threading.Thread(target=cause)
    thread.start()
    with pytest.raises((StudyError, StoreError), match=says):
        run_study(spec, store, make_trial=MakeSynthetic(seconds_per_epoch=1.0))
    thread.join()
    before = table(store, "trials")
    assert 4 <= len(before) < 12
    free(disk)
    assert run_study(spec, store, make_trial=MakeSynthetic())
    after = table(store, "trials")
    kept = after[after["trial_id"].isin(before["trial_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before, check_dtype=False)
    assert_same_tables(store, whole)
