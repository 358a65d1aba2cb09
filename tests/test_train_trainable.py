"""Trials of several workers on a real local Ray: same numbers, recovery, nothing left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from pyarrow.fs import LocalFileSystem
from ray.util import placement_group_table

from tests.synthetic_trial import MakeSynthetic
from trainables.config import TrialConfig
from trainables.endings import GaveUpError, WrongInputError
from trainables.on_ray.steps import TrialSetup, local_trial, remove_group
from trainables.on_ray.train import TrainTrial
from trainables.trial import Trial

SMALL: dict[str, Any] = {
    "dataset": "digits", "encoder": "resnet10", "width": 4, "batch_size": 64, "epochs": 2,
    "queue_size": 100, "projection_dim": 8, "learning_rate": 0.01, "device": "cpu",
}  # fmt: skip
MEASURED = ("seconds", "images_per_second", "cpu_hours", "peak_memory", "started_at", "finished_at")


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def setup(tmp_path: Path, **changes: Any) -> TrialSetup:
    fields = {
        "name": "trial", "config": TrialConfig(**SMALL), "split": "validation", "data_dir": None,
        "workers": 1, "cpus": 1, "gpus": 0, "storage": str(tmp_path / "storage"),
        "make_trial": local_trial, "checkpoint_seconds": 0,
    }  # fmt: skip
    return TrialSetup(**{**fields, **changes})


def left_behind(but: str | None = None) -> tuple[list[str], list[str]]:
    """Placement groups, and actors of a Train run but those of one class, that are there now."""
    groups = [g["placement_group_id"] for g in placement_group_table().values()
              if g["state"] != "REMOVED"]  # fmt: skip
    alive = [a["ActorClassName"] for a in ray._private.state.actors().values()
             if a["State"] != "DEAD"]  # fmt: skip
    names = ("Conductor", "TrainController", "RayTrainWorker", "Synchronization", "Cleaner")
    left = [name for name in alive if any(part in name for part in names)]
    return groups, [name for name in left if but is None or but not in name]


def assert_nothing_is_left(seconds: float = 10.0, but: str | None = None) -> None:
    end = time.monotonic() + seconds
    while (left := left_behind(but)) != ([], []) and time.monotonic() < end:
        time.sleep(0.2)
    assert left == ([], [])


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in MEASURED}


@pytest.mark.slow
def test_one_worker_gives_the_numbers_of_the_same_trial_here_bit_for_bit(
    tmp_path: Path, data_dir: Path
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    here = Trial(TrialConfig(**SMALL), "validation", data_dir)
    rows = [here.advance() for _ in range(2)]
    expected = here.finish()
    torch.set_num_threads(threads)
    trial = TrainTrial(setup(tmp_path, data_dir=data_dir))
    try:
        assert [plain(trial.advance()) for _ in range(2)] == [plain(row) for row in rows]
        assert trial.done
        found = trial.finish()
        trial.save(tmp_path / "trial.pt")
    finally:
        trial.close()
    assert plain(found.trial) == plain(expected.trial)
    assert [plain(e) for e in found.evaluations] == [plain(e) for e in expected.evaluations]
    again = Trial(TrialConfig(**SMALL), "validation", data_dir)
    again.restore(tmp_path / "trial.pt")
    state, same = again.pretraining.state_dict(), here.pretraining.state_dict()
    for name, value in same["method"].items():
        assert torch.equal(state["method"][name], value)
    assert_nothing_is_left()
    assert not list((tmp_path / "storage").glob("trial*"))


def worker_pids() -> list[int]:
    return [a["Pid"] for a in ray._private.state.actors().values()
            if a["State"] == "ALIVE" and "RayTrainWorker" in a["ActorClassName"]]  # fmt: skip


@pytest.mark.slow
def test_two_workers_go_on_after_one_was_killed(tmp_path: Path, data_dir: Path) -> None:
    config = TrialConfig(**{**SMALL, "epochs": 3, "precision": "fp32"})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    here = Trial(config, "validation", data_dir)
    expected = [here.advance() for _ in range(3)]
    torch.set_num_threads(threads)
    # As a study does: a folder in the file system of its results.
    place = {"data_dir": data_dir, "filesystem": LocalFileSystem()}
    trial = TrainTrial(setup(tmp_path, config=config, workers=2, **place))
    try:
        rows = [trial.advance()]
        pids = worker_pids()
        assert len(pids) == 2
        os.kill(pids[1], signal.SIGKILL)
        rows += [trial.advance(), trial.advance()]
        assert set(worker_pids()).isdisjoint(pids)
        found = trial.finish().trial
    finally:
        trial.close()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    for row, other in zip(rows, expected, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=5e-3)
    assert found["workers"] == 2
    assert found["epochs_done"] == 3
    assert found["accuracy"] == pytest.approx(here.finish().trial["accuracy"], abs=3.0)
    assert_nothing_is_left()


@pytest.mark.slow
def test_wrong_input_is_no_matter_of_attempts(tmp_path: Path) -> None:
    config = TrialConfig(**{**SMALL, "dataset": f"imagefolder:{tmp_path}/nowhere"})
    before = set(ray._private.state.actors())
    trial = TrainTrial(setup(tmp_path, config=config, workers=2))
    try:
        with pytest.raises(WrongInputError, match="nowhere"):
            trial.advance()
    finally:
        trial.close()
    assert_nothing_is_left()
    started = [actor["ActorClassName"] for name, actor in ray._private.state.actors().items()
               if name not in before]  # fmt: skip
    assert sum("RayTrainWorker" in name for name in started) == 2


def fail(config: TrialConfig, epoch: int) -> None:
    raise ArithmeticError(f"no epoch {epoch} today")


@pytest.mark.slow
def test_an_error_of_the_trial_is_its_ending_after_a_few_attempts(tmp_path: Path) -> None:
    started = tmp_path / "started"
    synthetic = MakeSynthetic(trouble=fail, started=started)
    trial = TrainTrial(setup(tmp_path, make_trial=synthetic, attempts=1))
    try:
        with pytest.raises(GaveUpError, match=r"ArithmeticError: no epoch 1 today \(test_train"):
            trial.advance()
    finally:
        trial.close()
    assert len(started.read_text().splitlines()) == 2
    assert_nothing_is_left()


@pytest.mark.slow
def test_a_driver_that_is_killed_leaves_no_workers_behind(tmp_path: Path) -> None:
    """Workers in the middle of an epoch, and nobody to close them.

    Train's own cleaner stays, an idle process: it asks the dashboard, which is not here, whether
    the controller lives.
    """

    @ray.remote(num_cpus=0)
    class Driver:
        def start(self) -> str | None:
            self.trial = TrainTrial(setup(tmp_path, make_trial=MakeSynthetic(0.5)))
            self.trial.advance()
            return self.trial.group

    driver = Driver.remote()
    group = ray.get(driver.start.remote())
    ray.kill(driver)
    remove_group(group)  # as a study does when Tune tells it of the process's end
    assert_nothing_is_left(but="PlacementGroupCleaner")
