"""A study's trackers, read back with their own readers; offline."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.store.tables import Store, open_store
from study.on_ray.driver import run_study
from study.on_ray.trackers import base
from study.spec import StudySpec, parse_spec
from tests.synthetic_trial import MakeSynthetic
from trainables.errors import InputError

SPEC = """
name: tracked
datasets: [digits]
methods: [moco]
widths: [4]
arms: [none]
base: {epochs: 3}
trials: 1
searches: 1
seeds: 1
search: {startup_trials: 2}
"""


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def spec_with(*names: str) -> StudySpec:
    return StudySpec.model_validate({**parse_spec(SPEC, "test").model_dump(), "trackers": names})


def run(folder: Path, *names: str) -> Store:
    store = open_store(folder / "results", create=True)
    assert run_study(spec_with(*names), store, make_trial=MakeSynthetic())
    return store


def epochs_of(store: Store, trial_id: str) -> list[float]:
    epochs = store.read("epochs", ["trial_id", "epoch", "knn_accuracy"], trial_ids=[trial_id])
    return list(epochs.sort_values("epoch")["knn_accuracy"])


@pytest.fixture(scope="module")
def tracked(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The results of a study with all trackers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("WANDB_MODE", "offline")
        return run(tmp_path_factory.mktemp("tracked"), "tensorboard", "mlflow", "wandb")


@pytest.mark.slow
def test_tensorboard_and_mlflow_hold_each_trial_under_its_id(tracked: Store) -> None:
    from mlflow import MlflowClient
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trials = tracked.read("trials").set_index("trial_id")
    folder = Path(tracked.root, "trackers")
    assert {path.name for path in (folder / "tensorboard").iterdir()} == set(trials.index)
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("tracked")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == set(trials.index)
    for trial_id, row in trials.iterrows():
        events = EventAccumulator(str(folder / "tensorboard" / str(trial_id))).Reload()
        knn = events.Scalars("ray/tune/knn_accuracy")
        assert [event.step for event in knn] == [1, 2, 3]
        assert [event.value for event in knn] == pytest.approx(epochs_of(tracked, str(trial_id)))
        assert events.Scalars("ray/tune/accuracy")[-1].value == pytest.approx(row["accuracy"])
        hparams = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        assert b"learning_rate" in hparams
        run_of = runs[trial_id]
        assert run_of.info.status == "FINISHED"
        assert float(run_of.data.params["learning_rate"]) == pytest.approx(row["learning_rate"])
        assert run_of.data.params["arm"] == row["arm"]
        assert run_of.data.metrics["accuracy"] == pytest.approx(row["accuracy"])
        history = client.get_metric_history(run_of.info.run_id, "knn_accuracy")
        assert [(point.step, point.value) for point in history] == [
            (epoch, pytest.approx(value))
            for epoch, value in enumerate(epochs_of(tracked, str(trial_id)), 1)
        ]


def leveldb_records(content: bytes) -> Iterator[bytes]:
    """The records of W&B's offline file: a LevelDB log (blocks of 32 KiB) after 7 bytes."""
    assert content.startswith(b":W&B")
    block, at, parts = 32768, 7, b""
    while at + 7 <= len(content):
        if block - at % block < 7:  # no room for a header: the rest of the block is empty
            at += block - at % block
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


@pytest.mark.slow
def test_wandb_offline_holds_each_trial(tracked: Store) -> None:
    from wandb.proto import wandb_internal_pb2

    trials = tracked.read("trials").set_index("trial_id")
    seen: dict[str, dict[str, Any]] = {}
    for path in Path(tracked.root, "trackers/wandb").glob("wandb/offline-run-*/run-*.wandb"):
        name, config, history = "", {}, []
        for data in leveldb_records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.HasField("run"):
                name = record.run.run_id
                config |= {item.key: item.value_json for item in record.run.config.update}
            if record.HasField("history"):
                items = record.history.item
                history.append({i.key or i.nested_key[0]: i.value_json for i in items})
        seen[name] = {"config": config, "history": history}
    assert set(seen) == set(trials.index)
    for trial_id, row in trials.iterrows():
        found = seen[str(trial_id)]
        assert float(found["config"]["learning_rate"]) == pytest.approx(row["learning_rate"])
        knn = [float(point["knn_accuracy"]) for point in found["history"]]
        assert knn == pytest.approx(epochs_of(tracked, str(trial_id)))
        assert float(found["history"][-1]["accuracy"]) == pytest.approx(row["accuracy"])


@pytest.mark.slow
def test_a_broken_tracker_does_not_end_the_study(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////dev/null/all.db")
    with pytest.warns(UserWarning, match="tracker mlflow stopped, the study goes on"):
        store = run(tmp_path, "mlflow")
    assert set(store.read("trials")["status"]) == {"complete"}


def test_what_is_not_installed_is_named_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        base, "find_spec", lambda name: None if name in ("wandb", "mlflow") else found(name)
    )
    store = open_store(tmp_path / "results", create=True)
    with pytest.raises(InputError, match=r"wandb, mlflow not installed: pip install 'mixco-study"):
        run_study(spec_with("wandb", "mlflow", "tensorboard"), store, make_trial=MakeSynthetic())
    assert not (tmp_path / "results").exists()
    with pytest.raises(InputError, match="names something twice"):
        parse_spec(SPEC + "trackers: [wandb, wandb]", "test")
