"""Parameters, operations and activations of a trial, counted by torch on the meta device.

A multiplication and an addition count as two operations.
"""

from __future__ import annotations

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from trainables.arms import ARMS
from trainables.config import TrialConfig
from trainables.encoders import ENCODERS
from trainables.encoders.embedding import build_embedding, build_encoder
from trainables.methods.module import method_class


def encoder_parameters(config: TrialConfig, image_size: int, channels: int = 3) -> int:
    """Capacity: trainable parameters of the encoder, projection head excluded.

    The images' size counts where the encoder has a parameter for each position (ViT).
    """
    return _encoder_parameters(_shape(config, image_size), channels)


def encoder_flops(config: TrialConfig, image_size: int, channels: int = 3) -> int:
    """Forward pass of one image through the encoder."""
    return _encoder_flops(_shape(config, image_size), channels)[0]


def training_flops(config: TrialConfig, image_size: int, channels: int = 3) -> float:
    """Forward and backward work for one training image in one epoch, over all its views.

    The small products of the losses (embeddings against keys) are not counted.
    """
    forward, both = _embedding_flops(_shape(config, image_size), channels)
    with_gradient, without = passes(config)
    return with_gradient * both + without * forward


def embedding_parameters(config: TrialConfig, image_size: int, channels: int = 3) -> int:
    """Parameters of the encoder and its projection head."""
    with torch.device("meta"):
        embedding = build_embedding(_shape(config, image_size), channels)
    return sum(parameter.numel() for parameter in embedding.parameters())


def saved_bytes(config: TrialConfig, image_size: int, channels: int = 3) -> float:
    """Bytes that a pass with gradient keeps of one image for its backward pass, in fp32."""
    with torch.device("meta"):
        model = build_embedding(_shape(config, image_size), channels)
        images = torch.empty(2, channels, image_size, image_size)
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            saved[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        # Keep the output alive while its graph is counted, since addresses tell storages apart.
        output = model(images)
    del output
    return sum(saved.values()) / len(images)


def passes(config: TrialConfig) -> tuple[float, float]:
    """Passes for one training image in one epoch: with gradient, and forward only.

    The method says how many passes the baseline makes, and how many views an arm mixes.
    """
    method, arm = method_class(config.method), ARMS.find(config.arm)
    return (
        method.passes_with_gradient + method.mixed_views * arm.extra_images,
        method.passes_without_gradient,
    )


def _shape(config: TrialConfig, image_size: int) -> TrialConfig:
    """One config that stands for all trials with the same encoder, head and image size.

    It is the key of the caches below. The trials of a study share few encoders.
    """
    names = ("encoder", "width", "stem", "projection_dim")
    own = {parameter.name for parameter in ENCODERS.find(config.encoder).own_parameters}
    same = {name: config.value(name) for name in (*names, *own)}
    return TrialConfig(**same, image_size=image_size)


@cache
def _encoder_parameters(shape: TrialConfig, channels: int) -> int:
    with torch.device("meta"):
        encoder = build_encoder(shape, channels)
    return sum(parameter.numel() for parameter in encoder.parameters())


@cache
def _encoder_flops(shape: TrialConfig, channels: int) -> tuple[int, int]:
    with torch.device("meta"):
        encoder = build_encoder(shape, channels)
    return _forward_backward(encoder, channels, shape.image_size)


@cache
def _embedding_flops(shape: TrialConfig, channels: int) -> tuple[int, int]:
    with torch.device("meta"):
        embedding = build_embedding(shape, channels)
    return _forward_backward(embedding, channels, shape.image_size)


def _forward_backward(
    model: torch.nn.Module, channels: int, image_size: int | None
) -> tuple[int, int]:
    """Operations for one image: forward, and forward with backward."""
    assert image_size is not None
    # Two images, since batch norm refuses to train on one value in a channel.
    images = torch.empty(2, channels, image_size, image_size, device="meta")
    counter = FlopCounterMode(display=False)
    with counter:
        output = model(images)
        forward = counter.get_total_flops()
        output.sum().backward()
    return forward // 2, counter.get_total_flops() // 2
