"""`mixco trial` on several workers, as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reports.store.tables import open_store
from study import local_trial
from trainables import checkpoint

EXAMPLE = Path(__file__).parent.parent / "examples" / "own_method"
TRIAL = [
    "--method=byol:BYOL", "--dataset=digits", "--encoder=resnet10", "--width=4",
    "--batch-size=64", "--epochs=2", "--projection-dim=16", "--learning-rate=0.01",
    "--device=cpu", "--json",
]  # fmt: skip


def mixco(*arguments: object) -> subprocess.CompletedProcess[str]:
    code = "from study.commands.main import main; main()"
    command = [sys.executable, "-c", code, "trial", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=EXAMPLE)


def test_one_process_is_not_several_workers() -> None:
    done = mixco("--runner", "reused", "--workers", 2)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mixco: --runner: reused is for one worker, not 2 (allowed: train)\n"


@pytest.mark.slow
@pytest.mark.skipif(torch.get_num_threads() < 2, reason="one CPU")
def test_a_trial_of_two_workers_is_recorded_and_goes_on_from_one_workers_checkpoint(
    tmp_path: Path,
) -> None:
    """With a method that is not part of this package, and that the workers must be given."""
    where = ("--results", tmp_path / "results", "--data", tmp_path / "data")
    done = mixco(*TRIAL, "--workers", 2, *where)
    assert done.returncode == 0, done.stderr
    *epochs, row = map(json.loads, done.stdout.splitlines())
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    store = open_store(tmp_path / "results")
    recorded = local_trial.find(store, row["trial_id"])
    assert local_trial.recorded_how(recorded) == ("train", 2)
    assert recorded["accuracy"] == row["accuracy"] > 50
    path = local_trial.checkpoint_path(tmp_path / "results", row["trial_id"])
    state = checkpoint.load(path)
    assert state["pretraining"]["epoch"] == 2
    too_many = mixco(*TRIAL, "--seed", 1, "--workers", 512, *where)
    assert too_many.returncode == 2
    assert "--workers 512: only" in too_many.stderr
    # Trained by two workers to its end, evaluated here: the same accuracy up to rounding.
    (next((tmp_path / "results" / "trials").glob("*.parquet"))).unlink()
    alone = mixco(*TRIAL, *where)
    assert "continuing after epoch 2" in alone.stderr
    assert json.loads(alone.stdout.splitlines()[-1])["accuracy"] == pytest.approx(
        row["accuracy"], abs=1.0
    )
