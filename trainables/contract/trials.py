"""What must hold for the trials of any configuration."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from trainables.config import TrialConfig
from trainables.contract.points import Point, require
from trainables.contract.steps import Steps, first_steps, small_trial
from trainables.contract.workers import WORKERS, Workers
from trainables.device.flops import training_flops
from trainables.methods.module import ContrastiveMethod

_FLOPS_SHARE = 0.05
"""By how much the counted work may miss that of a step: the products of losses are not counted."""
_CLOSE = 1e-3
"""Largest difference between one worker and two, as a share of a tensor's largest value."""


def points(config: TrialConfig, label: str) -> list[Point]:
    """The points of one configuration; ``label`` tells them from those of others."""
    checks = {
        "losses and gradients are finite, and every trained weight has a gradient": _gradients,
        "the same seed gives the same steps, and another seed others": _determinism,
        "nothing is drawn from torch's global generator in a step": _generators,
        "the work of a step is what FLOPs are counted from": _flops,
        "kept copies of the encoder are declared": _copies,
        "a restored trial goes on bit for bit": _restore,
    }
    return [Point(f"{name} ({label})", partial(check, config)) for name, check in checks.items()]


def worker_points(configs: Mapping[str, TrialConfig]) -> list[Point]:
    """Two workers with half the batch each are one worker with the whole batch.

    These points take longer than the others.

    Args:
        configs: by the label that tells the points of one configuration from those of others.
    """
    workers = Workers(list(configs.values()))
    return [
        Point(
            f"two workers compute what one computes ({label})",
            partial(_workers, config, partial(workers.steps, index)),
        )
        for index, (label, config) in enumerate(configs.items())
    ]


def _gradients(config: TrialConfig) -> None:
    found = first_steps(config)
    require(bool(found.losses.isfinite().all()), f"losses are {found.losses[:, 0].tolist()}")
    for name, gradient in found.gradients.items():
        require(gradient is not None, f"{name} has no gradient: no loss depends on it")
        assert gradient is not None
        require(bool(gradient.isfinite().all()), f"the gradient of {name} is not finite")
    live = [gradient for gradient in found.gradients.values() if gradient is not None]
    require(any(bool(gradient.any()) for gradient in live), "every gradient is zero")


def _determinism(config: TrialConfig) -> None:
    first, again = first_steps(config), first_steps(config)
    _same(again, first, "with the same seed")
    other = first_steps(config.model_copy(update={"seed": config.seed + 1}))
    require(
        not torch.equal(other.losses, first.losses),
        "losses are the same with another seed: nothing random is drawn from the trial's streams",
    )


def _generators(config: TrialConfig) -> None:
    pretraining = small_trial(config).pretraining
    batch = next(iter(pretraining._batches()))
    before = torch.get_rng_state()
    pretraining._step(0, *batch)
    require(
        torch.equal(torch.get_rng_state(), before),
        "a step draws from torch's global generator, which a checkpoint does not keep: draw from "
        "draws.generator (an arm), or draw nothing in a step",
    )


def _flops(config: TrialConfig) -> None:
    trial = small_trial(config)
    pretraining, data = trial.pretraining, trial.data
    batch = next(iter(pretraining._batches()))
    counter = FlopCounterMode(display=False)
    with counter:
        pretraining._step(0, *batch)
    made = counter.get_total_flops() / config.batch_size
    counted = training_flops(config, data.image_size, data.channels)
    require(
        abs(counted - made) <= _FLOPS_SHARE * made,
        f"a step makes {made:.4g} FLOPs for an image, the trial counts {counted:.4g}: "
        "extra_images of the arm or the method's passes_with_gradient and "
        "passes_without_gradient are wrong, or heads beside the encoder are large",
    )


def _copies(config: TrialConfig) -> None:
    method: ContrastiveMethod = small_trial(config).pretraining.method
    embedding = sum(parameter.numel() for parameter in method.embedding.parameters())
    trained = {id(parameter) for parameter in method.trained_parameters()}
    kept = sum(p.numel() for p in method.parameters() if id(p) not in trained)
    copies = method.untrained_copies
    require(
        abs(kept - copies * embedding) <= _FLOPS_SHARE * embedding,
        f"{kept} weights are not trained, untrained_copies = {copies} stands for "
        f"{copies * embedding}: estimates of memory would be wrong",
    )


def _restore(config: TrialConfig) -> None:
    whole = small_trial(config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trial.pt")
        whole.advance()
        whole.save(path)
        whole.advance()
        restored = small_trial(config)
        restored.restore(path)
        restored.advance()
    before, after = (trial.pretraining.method.state_dict() for trial in (whole, restored))
    require(
        restored.loss == whole.loss,
        f"the loss of the next epoch is {restored.loss}, and {whole.loss} without the pause: "
        "something that changes in training is in no parameter and no buffer",
    )
    _same_state(after, before, "after a restored epoch")


def _workers(config: TrialConfig, steps_of_workers: Callable[[], list[Steps]]) -> None:
    one = first_steps(config, exact=True)
    for rank, found in enumerate(steps_of_workers()):
        for name, expected in {"losses": one.losses, **one.state}.items():
            value = found.losses if name == "losses" else found.state[name]
            largest = max(1e-3, float(expected.abs().max()))
            difference = float((value.double() - expected.double()).abs().max())
            require(
                difference <= _CLOSE * largest,
                f"{name} of worker {rank + 1} of {WORKERS} differs from one worker's by "
                f"{difference:.2g} (largest value {largest:.2g}): draw for the whole batch and "
                "take this worker's part (own_part), and gather what is compared across the batch",
            )


def _same(found: Steps, expected: Steps, when: str) -> None:
    require(
        torch.equal(found.losses, expected.losses),
        f"losses differ {when}: {found.losses[:, 0].tolist()}, {expected.losses[:, 0].tolist()}",
    )
    _same_state(found.state, expected.state, when)


def _same_state(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], when: str) -> None:
    for name, value in expected.items():
        require(torch.equal(found[name], value), f"{name} differs {when}")
