"""A few steps of a small trial on digits, and all that they changed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainables.config import TrialConfig, parse_config
from trainables.data_dir import default_data_dir
from trainables.device import world
from trainables.encoders.embedding import Embedding
from trainables.trial import Trial

STEPS = 3
SMALL: dict[str, Any] = {
    "dataset": "digits", "train_fraction": 0.25, "encoder": "resnet10", "width": 4,
    "batch_size": 64, "epochs": 2, "queue_size": 100, "projection_dim": 8, "knn_every": 0,
    "precision": "fp32", "compile": "off", "device": "cpu",
    # Longest first step: what differs by rounding grows apart slowly at this rate.
    "learning_rate": 0.01,
}  # fmt: skip


class Steps(NamedTuple):
    """What the first `STEPS` steps computed."""

    losses: Tensor
    """Total, contrastive and mixing loss of each step, [STEPS, 3]; mean of the workers."""
    gradients: dict[str, Tensor | None]
    """Of the last step, by the name of the parameter."""
    state: dict[str, Tensor]
    """All weights and buffers of the method afterwards."""


def small(**fields: Any) -> TrialConfig:
    """A configuration whose trials take seconds."""
    return parse_config({**SMALL, **fields}, "contract")


def small_trial(config: TrialConfig, data_dir: Path | None = None) -> Trial:
    """A trial of the config, on the validation split."""
    return Trial(config, split="validation", data_dir=data_dir or default_data_dir())


def first_steps(config: TrialConfig, exact: bool = False) -> Steps:
    """The first steps of a trial.

    Args:
        config: the trial.
        exact: whether encoders compute in double precision. In single precision a few activations
            lie within rounding of zero, and a ReLU that falls on the other side changes a gradient
            by percents; so workers are compared in double precision.
    """
    pretraining = small_trial(config).pretraining
    for module in pretraining.method.modules():
        if exact and isinstance(module, Embedding):
            module.double()
            module.encoder.register_forward_pre_hook(lambda _, images: (images[0].double(),))
    pretraining.method.train()
    losses = []
    for step, batch in enumerate(islice(pretraining._batches(), STEPS)):
        parts = pretraining._step(step, *batch)
        world.average_([parts])
        losses.append(parts)
    trained = {id(parameter) for parameter in pretraining.method.trained_parameters()}
    gradients = {
        name: None if parameter.grad is None else parameter.grad.clone()
        for name, parameter in pretraining.method.named_parameters()
        if id(parameter) in trained
    }
    state = {name: value.clone() for name, value in pretraining.method.state_dict().items()}
    return Steps(torch.stack(losses), gradients, state)
