"""Parameters, operations and activations of a trial, counted by torch on the meta device.

A multiplication and an addition count as two operations.
"""

from __future__ import annotations

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from trainables.config import TrialConfig
from trainables.encoders.resnet import Embedding, Projection, ResNet


def encoder_parameters(config: TrialConfig, channels: int = 3) -> int:
    """Capacity: trainable parameters of the encoder, projection head excluded."""
    return _encoder(config.encoder, config.width, config.stem, channels)[0]


def encoder_flops(config: TrialConfig, image_size: int, channels: int = 3) -> int:
    """Forward pass of one image through the encoder."""
    return _forward_backward(config.encoder, config.width, config.stem, channels, image_size, None)[
        0
    ]


def training_flops(config: TrialConfig, image_size: int, channels: int = 3) -> float:
    """Forward and backward work for one training image in one epoch, over all its views.

    The small products of the losses (embeddings against keys) are not counted.
    """
    forward, both = _forward_backward(
        config.encoder, config.width, config.stem, channels, image_size, config.projection_dim
    )
    with_gradient, without = passes(config)
    return with_gradient * both + without * forward


def embedding_parameters(config: TrialConfig, channels: int = 3) -> int:
    """Parameters of the encoder and its projection head."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in _embedding(config, channels).parameters())


def saved_bytes(config: TrialConfig, image_size: int, channels: int = 3) -> float:
    """What a pass with gradient keeps of one image for its backward pass, in single precision."""
    with torch.device("meta"):
        model = _embedding(config, channels)
        images = torch.empty(2, channels, image_size, image_size)
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            saved[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(images)  # held while it is counted: storages are told apart by address
    del output
    return sum(saved.values()) / len(images)


def passes(config: TrialConfig) -> tuple[float, float]:
    """Passes for one training image in one epoch: with gradient, and forward only.

    MoCo's keys need no gradient; SimCLR's two views both have one. MixCo mixes the two halves of
    a batch: half an extra image for MoCo, and for each of SimCLR's views.
    """
    views = 1.0 if config.method == "moco" else 2.0
    keys = 1.0 if config.method == "moco" else 0.0
    extra = {"none": 0.0, "mixco": 0.5, "extra-crop": 0.5, "i-mix": 0.0, "un-mix": 1.0}[config.arm]
    return views * (1 + extra), keys


def _embedding(config: TrialConfig, channels: int) -> Embedding:
    encoder = ResNet(config.encoder, config.width, config.stem, channels)
    return Embedding(encoder, Projection(encoder.features, config.projection_dim))


@cache
def _encoder(encoder: str, width: int, stem: str, channels: int) -> tuple[int]:
    with torch.device("meta"):
        model = ResNet(encoder, width, stem, channels)
    return (sum(parameter.numel() for parameter in model.parameters()),)


@cache
def _forward_backward(
    encoder: str, width: int, stem: str, channels: int, image_size: int, projection_dim: int | None
) -> tuple[int, int]:
    with torch.device("meta"):
        model: torch.nn.Module = ResNet(encoder, width, stem, channels)
        if projection_dim is not None:
            model = Embedding(model, Projection(model.features, projection_dim))  # type: ignore[arg-type]
        # Two images, since batch norm refuses to train on one value a channel.
        images = torch.empty(2, channels, image_size, image_size)
    counter = FlopCounterMode(display=False)
    with counter:
        output = model(images)
        forward = counter.get_total_flops()
        output.sum().backward()
    return forward // 2, counter.get_total_flops() // 2
