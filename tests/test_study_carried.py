"""A trial that was under way when a run ended goes on in the next run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pyarrow.fs import LocalFileSystem

from reports.store.tables import open_store
from study.on_ray.carried import Carried
from tests.synthetic_trial import MakeSynthetic
from trainables.config import TrialConfig
from trainables.on_ray import tune
from trainables.on_ray.tune import TrialTrainable

CONFIG = TrialConfig(dataset="digits", epochs=4)


def saved_after(epochs: int, path: Path, config: TrialConfig = CONFIG) -> str:
    trial = MakeSynthetic()(config, "validation", None, 1.0)
    for _ in range(epochs):
        trial.advance()
    path.parent.mkdir(parents=True, exist_ok=True)
    trial.save(path)
    return str(path)


def reports(checkpoint: str | None, trained: list[int]) -> list[dict[str, Any]]:
    """What the process of a trial reports, and which epochs it trains."""
    make_trial = MakeSynthetic(trouble=lambda config, epoch: trained.append(epoch))
    process = TrialTrainable.__new__(TrialTrainable)  # without Tune's own constructor
    assignment = {
        "trial_id": "one",
        "config": CONFIG.model_dump(mode="json"),
        "split": "validation",
        "runner": "reused",
        "cpus": 1.0,
        "checkpoint": checkpoint,
    }
    process.setup({"assignment": assignment}, make_trial, filesystem=LocalFileSystem())
    steps = [process.step()]
    while not steps[-1].get("done"):
        steps.append(process.step())
    return steps


def test_a_trial_reports_its_earlier_epochs_and_trains_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "this_node_leaves", lambda: False)  # Ray does not run here
    whole = [step["row"] for step in reports(None, [])]
    for epochs in (2, 4):
        trained: list[int] = []
        steps = reports(saved_after(epochs, tmp_path / "trial.pt"), trained)
        assert [step["row"] for step in steps] == whole
        assert trained == [3, 4][epochs - 2 :]
        assert steps[-1]["status"] == "complete"


@pytest.mark.parametrize("kind", ["of another trial", "gone"])
def test_without_a_checkpoint_of_its_own_a_trial_starts_over(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "this_node_leaves", lambda: False)
    path = saved_after(2, tmp_path / "trial.pt", CONFIG.model_copy(update={"seed": 1}))
    if kind == "gone":
        Path(path).unlink()
    trained: list[int] = []
    reports(path, trained)
    assert trained == [1, 2, 3, 4]


def test_the_latest_checkpoint_of_each_trial_stays_until_it_is_recorded(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    scratch = tmp_path / ".tune"
    for trial, number, age in (("a", 0, 100), ("a", 1, 0), ("b", 7, 50)):
        path = scratch / "run" / trial / f"checkpoint_{number:06}" / "trial.pt"
        saved_after(number % 4, path)
        os.utime(path, (1e9 - age, 1e9 - age))
    latest = (scratch / "run" / "a" / "checkpoint_000001" / "trial.pt").read_bytes()
    Carried(store).collect(str(scratch))

    carried = Carried(store)  # of the next run
    path = carried.path_of("a")
    assert path is not None and Path(path).read_bytes() == latest
    assert carried.path_of("b") and carried.path_of("c") is None
    carried.drop("a")
    assert not Path(path).exists()
    assert Carried(store).path_of("a") is None
    assert Carried(store).path_of("b")
