"""Two workers with half the batch each compute what one worker with the whole batch computes.

Real processes with a process group; all that they compute is computed in one start of them.
"""

from __future__ import annotations

import hashlib
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.two_workers import run_workers
from trainables.arms import ARMS
from trainables.config import TrialConfig
from trainables.device import world
from trainables.device.synced_norm import SyncedBatchNorm2d, synchronise
from trainables.encoders.embedding import Embedding
from trainables.errors import InputError
from trainables.methods.moco import MoCo
from trainables.pretraining import Pretraining
from trainables.trial import Trial

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
CASES = list(product(("moco", "simclr"), ARMS))
SHARED = ("simclr", "mixco", "shared")  # the statistics that are not this method's default
OWN = {"arm": "mixco", "sync_batch_norm": False}  # statistics of each worker
STEPS = 3
SMALL: dict[str, Any] = {
    "dataset": "digits", "encoder": "resnet10", "width": 4, "batch_size": 64, "epochs": 2,
    "train_fraction": 0.4,
    "queue_size": 100, "projection_dim": 8, "precision": "fp32", "compile": "off", "device": "cpu",
    # Longest first step: what differs by rounding grows apart slowly at this rate.
    "learning_rate": 0.01,
}  # fmt: skip
# Losses and measures of the end of an epoch, at most 16 steps on; kNN may flip a few of 143 images.
CLOSE = {"rel": 2e-3, "abs": 1e-3}


def make(data_dir: Path, **fields: Any) -> Trial:
    """A trial whose encoders compute in double precision.

    In single precision, rounding changes the sign of a few activations, on some processors only. A
    ReLU then changes a gradient by percents.
    """
    trial = Trial(TrialConfig(**{**SMALL, **fields}), split="validation", data_dir=data_dir)
    for module in trial.pretraining.method.modules():
        if isinstance(module, Embedding):
            module.double()
            module.encoder.register_forward_pre_hook(lambda _, images: (images[0].double(),))
    return trial


def first_steps(data_dir: Path, method: str, arm: str, **fields: Any) -> dict[str, Any]:
    """Losses and gradients of the first step, and the state after a few steps."""
    pretraining = make(data_dir, method=method, arm=arm, **fields).pretraining
    pretraining.method.train()
    losses, gradients = [], {}
    for step, batch in zip(range(STEPS), pretraining._batches(), strict=False):
        parts = pretraining._step(step, *batch)
        world.average_([parts])
        losses.append(parts)
        if step == 0:
            parameters = pretraining.method.embedding.named_parameters()
            gradients = {name: p.grad.clone() for name, p in parameters if p.grad is not None}
    state = {name: value.clone() for name, value in pretraining.method.state_dict().items()}
    return {"losses": torch.stack(losses), "gradients": gradients, "state": state}


def normalised(norm: nn.Module, part: slice) -> dict[str, Tensor]:
    """Output, gradients and running averages of a batch norm on this worker's images."""
    generator = torch.Generator().manual_seed(4)
    images = 3 + 2 * torch.randn(16, 5, 6, 6, generator=generator)
    upstream = torch.randn(16, 5, 6, 6, generator=generator)[part]
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, 5))
        norm.bias.copy_(torch.linspace(-1, 1, 5))
    x = images[part].contiguous(memory_format=torch.channels_last).requires_grad_()
    for _ in range(2):  # the averages move twice
        norm.zero_grad()
        x.grad = None
        output = norm(x)
        (output * upstream).sum().backward()
    found = {"output": output, "input": x.grad, **dict(norm.named_buffers())}
    found |= {name: parameter.grad for name, parameter in norm.named_parameters()}
    return {name: value.detach().clone() for name, value in found.items()}


def whole_trial(data_dir: Path, checkpoint: Path, **fields: Any) -> dict[str, Any]:
    """Rows of all epochs, the result, the last state; saved after the first and last epoch."""
    trial = make(data_dir, **fields)
    trial.advance()
    if world.rank() == 0:
        trial.save(checkpoint)
    return to_the_end(trial, checkpoint.with_suffix(".end.pt"))


def to_the_end(trial: Trial, checkpoint: Path | None = None) -> dict[str, Any]:
    while not trial.done:
        trial.advance()
    if checkpoint and world.rank() == 0:
        trial.save(checkpoint)
    result = trial.finish()
    state = trial.pretraining.method.state_dict()
    return {"rows": trial.rows, "trial": result.trial, "evaluations": result.evaluations,
            "state": {name: value.clone() for name, value in state.items()}}  # fmt: skip


def own_statistics(data_dir: Path) -> dict[str, Any]:
    """A first step with statistics of each worker, then an epoch."""
    pretraining = make(data_dir, method="moco", arm="none", sync_batch_norm=False).pretraining
    assert isinstance(pretraining.method, MoCo)
    pretraining.method.train()
    _, (view1, view2, _) = next(enumerate(pretraining._batches()))
    shuffle = pretraining._shuffle(0)
    with torch.no_grad():
        losses = pretraining.method(view1, view2, None, shuffle)
    keys = pretraining.method.fresh_keys.clone()
    fresh = make(data_dir, method="moco", arm="none", sync_batch_norm=False).pretraining
    fresh.advance()
    return {"shuffle": shuffle, "keys": keys, "loss": losses.total, "digest": digest(fresh)}


def digest(pretraining: Pretraining) -> str:
    """A digest of all weights, averages, queues and the optimizer's state."""
    found = hashlib.sha256()
    for value in pretraining.method.state_dict().values():
        found.update(value.contiguous().numpy().tobytes())
    for state in pretraining.optimizer.state_dict()["state"].values():
        found.update(state["momentum_buffer"].numpy().tobytes())
    return found.hexdigest()


def colours() -> Tensor:
    """Images as a wide encoder takes them: channels last in memory."""
    images = torch.arange(8 * 3 * 5 * 5.0).view(8, 3, 5, 5)
    return images.contiguous(memory_format=torch.channels_last)


def in_each_worker(data_dir: Path, folder: Path) -> dict[str, Any]:
    """Everything that the tests below compare."""
    found: dict[str, Any] = {"steps": {}}
    for method, arm in CASES:
        found["steps"][method, arm] = first_steps(data_dir, method, arm)
    method, arm, mode = SHARED
    found["steps"][SHARED] = first_steps(data_dir, method, arm, mix_batch_norm=mode)
    for method in ("moco", "simclr"):
        found["steps"]["own", method] = first_steps(data_dir, method, **OWN)
        found["steps"]["four", method] = first_steps(data_dir, method, "mixco", batch_norm_groups=4)
    synced = nn.Sequential(nn.BatchNorm2d(5))
    synchronise(synced, on_cpu=True)
    assert isinstance(synced[0], SyncedBatchNorm2d)
    found["norm"] = normalised(synced[0], world.part(16))
    found["gathered"] = world.gather(colours()[world.part(8)])
    found["whole"] = whole_trial(data_dir, folder / "two.pt", arm="mixco")
    continued = make(data_dir, arm="mixco")
    continued.restore(folder / "one.pt")
    found["continued"] = to_the_end(continued)
    found["own"] = own_statistics(data_dir)
    for fields in ({"batch_size": 60}, {"compile": "on"}):
        try:
            make(data_dir, **fields)
        except InputError as error:
            found[next(iter(fields))] = str(error)
    return found


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def one(data_dir: Path, folder: Path) -> dict[str, Any]:
    """A trial of one worker; its checkpoint after the first epoch is ``one.pt``."""
    return whole_trial(data_dir, folder / "one.pt", arm="mixco")


@pytest.fixture(scope="module")
def two(data_dir: Path, folder: Path, one: dict[str, Any]) -> list[dict[str, Any]]:
    """The findings of each of two workers."""
    return run_workers(in_each_worker, folder, data_dir, folder)


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], share: float) -> None:
    """Asserts that each tensor agrees within ``share`` of its own largest value."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        tolerance = share * max(1e-3, value.abs().max().item())
        torch.testing.assert_close(
            found[name], value, rtol=0, atol=tolerance, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parametrize("case", [*CASES, SHARED], ids="-".join)
def test_losses_and_gradients_are_those_of_the_whole_batch(
    case: tuple[str, ...], two: list[dict[str, Any]], data_dir: Path
) -> None:
    method, arm, *mode = case
    one = first_steps(data_dir, method, arm, **({"mix_batch_norm": mode[0]} if mode else {}))
    for rank in range(2):
        found = two[rank]["steps"][case]
        torch.testing.assert_close(found["losses"][0], one["losses"][0], rtol=1e-5, atol=1e-6)
        assert_close(found["gradients"], one["gradients"], 1e-3)
        # A few steps on: later losses, weights, running averages and the queue with its pointer.
        torch.testing.assert_close(found["losses"], one["losses"], rtol=1e-4, atol=1e-5)
        assert_close(found["state"], one["state"], 2e-3)


@pytest.mark.parametrize(("kind", "groups"), [("own", 2), ("four", 4)])
@pytest.mark.parametrize("method", ["moco", "simclr"])
def test_groups_of_one_workers_batch_are_what_several_workers_have(
    kind: str, groups: int, method: str, two: list[dict[str, Any]], data_dir: Path
) -> None:
    one = first_steps(data_dir, method, "mixco", batch_norm_groups=groups)
    found = [two[rank]["steps"][kind, method] for rank in range(2)]
    torch.testing.assert_close(found[0]["losses"], one["losses"], rtol=1e-4, atol=1e-5)
    assert_close(found[0]["gradients"], one["gradients"], 1e-3)
    # Until the end of an epoch each worker has running averages of its own.
    for name, value in found[0]["state"].items():
        if ".running_" in name:
            value.add_(found[1]["state"][name]).div_(2)
    assert_close(found[0]["state"], one["state"], 2e-3)


def test_synchronised_batch_norm_is_batch_norm_of_all_images(two: list[dict[str, Any]]) -> None:
    whole = normalised(nn.BatchNorm2d(5), slice(0, 16))
    own = normalised(nn.BatchNorm2d(5), slice(0, 8))
    assert not torch.allclose(own["output"], whole["output"][:8], atol=1e-2)
    joined = {
        name: torch.cat([two[rank]["norm"][name] for rank in range(2)])
        for name in ("output", "input")
    }
    for name in ("weight", "bias"):  # each worker's loss is a sum: so is the whole batch's
        joined[name] = two[0]["norm"][name] + two[1]["norm"][name]
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(two[0]["norm"][name], two[1]["norm"][name])
        joined[name] = two[0]["norm"][name]
    assert_close(joined, whole, 1e-5)


def test_images_arrive_as_they_were_whatever_their_layout(two: list[dict[str, Any]]) -> None:
    for rank in range(2):
        assert torch.equal(two[rank]["gathered"], colours())


def test_every_worker_gives_the_same_rows_and_results(two: list[dict[str, Any]]) -> None:
    measured = ("seconds", "images_per_second", "started_at", "finished_at", "cpu_hours")

    def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{key: row[key] for key in row if key not in measured} for row in rows]

    for name in ("rows", "evaluations"):
        assert plain(two[0]["whole"][name]) == plain(two[1]["whole"][name])
    assert plain([two[0]["whole"]["trial"]]) == plain([two[1]["whole"]["trial"]])


def assert_same_trial(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for row, other in zip(found["rows"], expected["rows"], strict=True):
        assert row["epoch"] == other["epoch"]
        for name in ("loss", "contrastive_loss", "mixing_loss"):
            assert row[name] == pytest.approx(other[name], **CLOSE)
        assert row["knn_accuracy"] == pytest.approx(other["knn_accuracy"], abs=3.0)
    for name in ("images", "flops", "epochs_done", "scored_images", "parameters"):
        assert found["trial"][name] == expected["trial"][name]
    for name in ("alignment", "uniformity", "effective_rank"):
        assert found["trial"][name] == pytest.approx(expected["trial"][name], rel=0.05)
    # Not the probe's accuracy: of so few images, rounding decides which penalty it chooses.
    # It is compared where the weights are the same, and the weights are compared here.
    assert torch.equal(found["state"]["pointer"], expected["state"]["pointer"])
    assert_close(found["state"], expected["state"], 2e-2)


def test_a_trial_of_two_workers_has_the_rows_of_one(
    two: list[dict[str, Any]], one: dict[str, Any]
) -> None:
    assert_same_trial(two[0]["whole"], one)
    assert two[0]["whole"]["trial"]["workers"] == 2
    assert one["trial"]["workers"] == 1
    trial = two[0]["whole"]["trial"]
    assert trial["cpu_hours"] == pytest.approx(2 * trial["seconds"] / 3600)
    assert trial["gpu_hours"] == 0


def test_two_workers_score_an_encoder_as_one_does(
    two: list[dict[str, Any]], data_dir: Path, folder: Path
) -> None:
    alone = make(data_dir, arm="mixco")
    alone.restore(folder / "two.end.pt")
    assert alone.done
    found, expected = alone.finish(), two[0]["whole"]
    for row, other in zip(found.evaluations, expected["evaluations"], strict=True):
        for name in ("dataset", "split", "protocol", "images", "top1", "top5"):
            assert row[name] == other[name]
    for name in ("accuracy", "top5_accuracy", "knn_accuracy", "scored_images"):
        assert found.trial[name] == expected["trial"][name]
    for name in ("alignment", "uniformity", "effective_rank"):
        assert found.trial[name] == pytest.approx(expected["trial"][name], rel=1e-4)


def test_checkpoints_move_between_world_sizes(
    two: list[dict[str, Any]], one: dict[str, Any], data_dir: Path, folder: Path
) -> None:
    from_two = make(data_dir, arm="mixco")
    from_two.restore(folder / "two.pt")
    assert from_two.epoch == 1
    assert_same_trial(to_the_end(from_two), two[0]["whole"])
    assert_same_trial(two[0]["continued"], one)
    # On one worker, going on from the checkpoint is the same bit for bit.
    again = make(data_dir, arm="mixco")
    again.restore(folder / "one.pt")
    state = to_the_end(again)["state"]
    assert all(torch.equal(state[name], value) for name, value in one["state"].items())


def test_without_synchronisation_keys_are_normalised_on_other_workers(
    two: list[dict[str, Any]], data_dir: Path
) -> None:
    pretraining = make(data_dir, method="moco", arm="none").pretraining
    assert isinstance(pretraining.method, MoCo)
    pretraining.method.train()
    view1, view2, _ = next(pretraining._batches())
    shuffle = two[0]["own"]["shuffle"]
    assert sorted(shuffle.tolist()) == list(range(64))
    assert shuffle.tolist() != list(range(64))
    with torch.no_grad():
        keys = torch.empty(64, 8)
        for images in shuffle.chunk(2):  # each half by statistics of its own, in its old place
            keys[images] = pretraining.method.key_embedding(view2[images])
        together = pretraining.method.key_embedding(view2)
        queries = torch.cat([pretraining.method.embedding(view) for view in view1.chunk(2)])
        queue = pretraining.method.queue
        logits = torch.cat([(queries * keys).sum(1, keepdim=True), queries @ queue.T], 1) / 0.2
        loss = -logits.log_softmax(1)[:, 0].mean()
    for rank in range(2):
        torch.testing.assert_close(two[rank]["own"]["keys"], keys, rtol=1e-4, atol=1e-5)
        assert torch.equal(two[rank]["own"]["shuffle"], shuffle)
    assert not torch.allclose(keys, together, atol=1e-3)
    both = (two[0]["own"]["loss"] + two[1]["own"]["loss"]) / 2
    assert both.item() == pytest.approx(loss.item(), rel=1e-5)
    # At the end of an epoch every worker holds the same state all the same.
    assert two[0]["own"]["digest"] == two[1]["own"]["digest"]


def test_what_several_workers_cannot_do_is_said(two: list[dict[str, Any]]) -> None:
    assert "batch_size: 60 must be a multiple of 8" in two[0]["batch_size"]
    assert "compile: on is for one worker, not 2" in two[0]["compile"]
