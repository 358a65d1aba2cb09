"""A study's trial is saved within a long epoch, and goes on from there in another process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ray.tune.result import DONE, SHOULD_CHECKPOINT

from trainables.config import TrialConfig
from trainables.on_ray import tune
from trainables.on_ray.steps import Assignment, local_trial
from trainables.trial import Trial

CONFIG = TrialConfig(
    dataset="digits", encoder="resnet10", width=2, batch_size=256, epochs=1, queue_size=64,
    projection_dim=8, device="cpu", train_fraction=0.6,
)  # fmt: skip


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def process(data_dir: Path) -> tune.TrialTrainable:
    """As Tune makes it in a process of its own."""
    assignment: Assignment = {
        "trial_id": "t", "cell": "c", "search": 0, "phase": "tune", "number": 0,
        "split": "validation", "config": CONFIG.model_dump(mode="json"), "runner": "reused",
        "workers": 1, "cpus": 1.0, "gpus": 0.0, "checkpoint": None,
    }  # fmt: skip
    made = tune.TrialTrainable.__new__(tune.TrialTrainable)
    made.setup({"assignment": assignment}, make_trial=local_trial, data_dir=data_dir)
    return made


def test_a_trial_that_is_saved_after_every_step_ends_as_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "CHECKPOINT_SECONDS", 0.0)
    reports: list[dict[str, Any]] = []
    while not reports or not reports[-1].get(DONE):
        here = process(tmp_path)
        if reports:
            here.load_checkpoint(str(tmp_path))
        reports.append(here.step())
        here.save_checkpoint(str(tmp_path))
    *pauses, last = reports
    whole = Trial(CONFIG, split="validation", data_dir=tmp_path)
    assert len(pauses) == whole.steps_per_epoch > 2
    for report in pauses:
        assert report[SHOULD_CHECKPOINT]
        assert report["summary"]["epochs_done"] == 0
        assert not report.keys() & {"epoch", "row", "knn_accuracy", "status"}
    row = whole.advance()
    assert row is not None
    assert last["row"]["loss"] == row["loss"]
    assert last["trial"]["accuracy"] == whole.finish().trial["accuracy"]
