"""A whole trial on real images: pairing, resuming, endings, and who may see which images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from tests.image_trees import make_image_folder
from trainables.config import TrialConfig, parse_config
from trainables.errors import InputError
from trainables.evaluation import features
from trainables.methods.moco import MoCo
from trainables.pretraining import Pretraining
from trainables.trial import Diverged, Trial

SMALL: dict[str, Any] = {
    "dataset": "digits", "encoder": "resnet10", "width": 4, "batch_size": 64, "epochs": 2,
    "queue_size": 100, "projection_dim": 8, "device": "cpu",
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def make(data_dir: Path, **fields: Any) -> Trial:
    return Trial(TrialConfig(**{**SMALL, **fields}), split="validation", data_dir=data_dir)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def batches(pretraining: Pretraining, steps: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    drawn = []
    for _, (view1, view2, mix) in zip(range(steps), pretraining._batches(), strict=False):
        if mix:
            mix(view1)  # as a step does: it must not disturb the views to come
        drawn.append((view1, view2))
    return drawn


@pytest.mark.parametrize("method", ["moco", "simclr"])
def test_all_arms_with_one_seed_start_alike_and_see_the_same_views(
    method: str, data_dir: Path, device: str
) -> None:
    fields = {"method": method, "device": device}
    base = make(data_dir, arm="none", **fields).pretraining
    other_seed = make(data_dir, arm="none", seed=1, **fields).pretraining
    for arm in ("mixco", "extra-crop", "i-mix", "un-mix"):
        pretraining = make(data_dir, arm=arm, mix_weight=2.0, **fields).pretraining
        assert same(base.method.state_dict(), pretraining.method.state_dict())
        assert same(batches(base, 4), batches(pretraining, 4))
    assert not same(batches(base, 1), batches(other_seed, 1))
    assert not same(base.method.state_dict(), other_seed.method.state_dict())


def test_the_two_views_differ_and_every_image_comes_once_an_epoch(data_dir: Path) -> None:
    pretraining = make(data_dir, crop_scale=1.0, batch_size=2).pretraining
    view1, view2 = batches(make(data_dir).pretraining, 1)[0]
    assert not torch.equal(view1, view2)
    pretraining.epoch = 1
    drawn = batches(pretraining, pretraining.steps_per_epoch)
    assert len(drawn) == len(pretraining.data.train) // 2
    first_epoch = batches(make(data_dir).pretraining, 1)[0][0]
    make_second = make(data_dir).pretraining
    make_second.epoch = 1
    assert not torch.equal(first_epoch, batches(make_second, 1)[0][0])


@pytest.mark.parametrize(("method", "arm"), [("moco", "mixco"), ("simclr", "extra-crop")])
def test_a_resumed_trial_ends_bit_for_bit_like_an_undisturbed_one(
    method: str, arm: str, data_dir: Path, tmp_path: Path, device: str
) -> None:
    fields = {"method": method, "arm": arm, "train_fraction": 0.4, "device": device}
    whole = make(data_dir, **fields)
    rows = [whole.advance() for _ in range(2)]
    result = whole.finish().trial
    first = make(data_dir, **fields)
    first.advance()
    for steps in (0, 1, 5, 8):  # of the second epoch's 8
        if steps:
            paused = first.advance(pause=lambda steps=steps: first.steps_done == steps)
            assert paused is None
        first.save(tmp_path / "state.pt")
        torch.rand(7)  # whatever else happens in between
        resumed = make(data_dir, **fields)
        resumed.restore(tmp_path / "state.pt")
        assert (resumed.epoch, resumed.steps_done, resumed.steps_per_epoch) == (1, steps, 8)
        again = resumed.advance()
        assert same(whole.pretraining.state_dict(), resumed.pretraining.state_dict())
        for name in ("epoch", "loss", "contrastive_loss", "mixing_loss", "knn_accuracy", "images"):
            assert rows[1][name] == again[name]
        assert [row["epoch"] for row in resumed.rows] == [1, 2]
        assert resumed.seconds == pytest.approx(sum(row["seconds"] for row in resumed.rows))
    found = resumed.finish().trial
    for name in ("accuracy", "knn_accuracy", "alignment", "uniformity", "effective_rank"):
        assert found[name] == result[name]


def test_damaged_and_foreign_checkpoints_are_refused(data_dir: Path, tmp_path: Path) -> None:
    trial, path = make(data_dir), tmp_path / "state.pt"
    trial.save(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"not a checkpoint"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"state\.pt"):
            make(data_dir).restore(path)
    flipped = bytearray(whole)
    assert isinstance(trial.pretraining.method, MoCo)
    queue = trial.pretraining.method.queue.numpy().tobytes()
    flipped[whole.index(queue) + 40] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(InputError, match=r"state\.pt"):
        make(data_dir).restore(path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(InputError, match="not a checkpoint of this tool"):
        make(data_dir).restore(path)
    path.write_bytes(whole)
    with pytest.raises(InputError, match="width is 4 in the checkpoint, 8 in this trial"):
        make(data_dir, width=8).restore(path)
    other = make(data_dir)
    other.data = replace(other.data, fingerprint="0123456789")  # the folder's images have changed
    with pytest.raises(InputError, match=r"contents of .* have changed .*now 01234567.; delete it"):
        other.restore(path)
    with pytest.raises(InputError, match="no such checkpoint"):
        make(data_dir).restore(tmp_path / "missing.pt")


def test_tuning_never_reads_test_images_and_a_final_score_reads_them_once(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    extract = features.extract

    def watch(encoder: Any, split: Any, data: Any, runtime: Any) -> Any:
        if split.images.data_ptr() == data.test.images.data_ptr():
            read.append(len(split))
        return extract(encoder, split, data, runtime)

    monkeypatch.setattr(features, "extract", watch)
    tuning = make(data_dir, epochs=1)
    while not tuning.done:
        tuning.advance()
    result = tuning.finish()
    assert read == []
    assert not any("right" in row for row in result.evaluations)
    assert result.trial["split"] == "validation"
    assert result.trial["scored_images"] == len(tuning.data.validation)
    final = Trial(tuning.config, split="test", data_dir=data_dir)
    while not final.done:
        final.advance()
    assert read == []  # the monitor on the way there sees validation images, too
    result = final.finish()
    assert result.trial["scored_images"] == len(final.data.test)
    assert read == [len(final.data.test)]
    (kept,) = [row for row in result.evaluations if "right" in row]
    assert kept["protocol"] == "linear"
    assert kept["class_images"] == final.data.test.labels.bincount().tolist()
    bits = np.unpackbits(np.frombuffer(kept["right"], np.uint8), count=kept["images"])
    assert 100 * bits.mean() == pytest.approx(result.trial["accuracy"])
    # One config, one training: only the images that score it differ.
    assert same(final.pretraining.state_dict(), tuning.pretraining.state_dict())


def test_an_encoder_is_evaluated_on_other_data_sets_at_its_own_image_size(
    data_dir: Path, tmp_path: Path
) -> None:
    grey = f"imagefolder:{make_image_folder(tmp_path / 'grey', mode='L')}"
    trial = make(data_dir, epochs=1, eval_datasets=(f"grey={grey}",))
    trial.advance()
    rows = trial.finish().evaluations
    assert [(row["dataset"], row["protocol"]) for row in rows] == [
        (name, protocol) for name in ("digits", "grey") for protocol in ("knn", "linear")
    ]
    assert {row["images"] for row in rows if row["dataset"] == "grey"} == {2}  # one of ten, a class
    colour = f"imagefolder:{make_image_folder(tmp_path / 'colour')}"
    with pytest.raises(InputError, match=r"eval_datasets: .* has 3 channels, .* trained on 1"):
        make(data_dir, eval_datasets=(colour,))


@pytest.mark.slow
def test_compiled_training_follows_the_plain_one_and_other_trials_reuse_its_code(
    data_dir: Path,
) -> None:
    fields: dict[str, Any] = {"epochs": 1, "precision": "fp32", "train_fraction": 0.2}
    plain = make(data_dir, compile="off", **fields).advance()
    compiled = make(data_dir, compile="on", **fields).advance()
    assert compiled["loss"] == pytest.approx(plain["loss"], rel=1e-3)
    graphs = counters["stats"]["unique_graphs"]
    assert graphs > 0
    for changed in ({"temperature": 0.3}, {"mix_weight": 2.0}, {"learning_rate": 0.1}):
        make(data_dir, compile="on", **{**fields, **changed}).advance()
    assert counters["stats"]["unique_graphs"] == graphs


def test_learning_rate_warms_up_then_follows_half_a_cosine(data_dir: Path) -> None:
    pretraining = make(data_dir, epochs=10, warmup_epochs=2.0, learning_rate=0.8).pretraining
    steps = pretraining.steps_per_epoch
    rates = [pretraining.learning_rate(step) for step in range(10 * steps)]
    assert rates[0] == pytest.approx(0.8 / (2 * steps))
    assert rates[2 * steps - 1] == pytest.approx(0.8)
    assert rates[6 * steps] == pytest.approx(0.4)
    assert rates[2 * steps :] == sorted(rates[2 * steps :], reverse=True)
    assert 0 < rates[-1] < 0.001


def test_a_loss_that_is_not_finite_ends_the_trial_by_name(data_dir: Path, device: str) -> None:
    trial = make(data_dir, device=device)
    with torch.no_grad():
        next(trial.pretraining.method.embedding.parameters()).fill_(torch.nan)
    with pytest.raises(Diverged, match="loss is nan in epoch 1"):
        trial.advance()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 4096}, "batch_size: 4096 exceeds"),
        ({"dataset": "nope"}, "nope"),
        ({"eval_datasets": ("nope",)}, "nope"),
        ({"device": "cuda:7"}, "device: cuda:7"),
    ],
)
def test_what_cannot_run_is_refused_before_training(
    fields: dict[str, Any], message: str, data_dir: Path
) -> None:
    if fields.get("device") and torch.cuda.device_count() > 7:
        pytest.skip("that device is there")
    with pytest.raises(InputError, match=message):
        make(data_dir, **fields)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 8}, "widht: unknown field.*width"),
        ({"width": "8"}, "width: .*integer"),
        ({"width": 0}, "width: 0 is no width of resnet18 .*allowed: 1 to 1024"),
        ({"arm": "cutout"}, "arm: .*'mixco'"),
        ({"learning_rate": float("nan")}, "learning_rate: .*finite"),
        ({"batch_size": 33}, "batch_size: 33 is odd"),
        ({"epochs": 2, "warmup_epochs": 2.0}, "warmup_epochs"),
    ],
)
def test_nonsense_in_a_config_is_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_config(values, "file.yaml")
    assert str(caught.value).startswith("file.yaml: ")
    assert "\n" not in str(caught.value)
