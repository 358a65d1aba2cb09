"""Frozen features of an encoder, and what a probe is given. Accuracies are percentages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainables.config import TrialConfig
from trainables.data.dataset import Dataset, Split
from trainables.device import world
from trainables.device.runtime import Runtime
from trainables.encoders.embedding import Encoder

CHUNK = 512  # images or queries at once


class Accuracy(NamedTuple):
    """Share of images whose class is the first guess, and among the first five."""

    top1: float
    top5: float
    right: Tensor | None = None
    """Whether each image's first guess is its class, [N] bool; None where a probe does not say."""


class Features(NamedTuple):
    """Frozen features of one split."""

    values: Tensor  # [N, D], float32
    labels: Tensor  # [N], int64


@torch.no_grad()
def extract(encoder: nn.Module, split: Split, data: Dataset, runtime: Runtime) -> Features:
    """Features of every image as it is, without augmentation; the encoder in evaluation mode.

    Each worker computes a share of the images. All workers get all features.
    """
    training = encoder.training
    encoder.eval()
    mean = torch.tensor(data.mean, device=runtime.device)[:, None, None]
    std = torch.tensor(data.std, device=runtime.device)[:, None, None]
    parts = []
    share = -(-len(split) // world.size())  # the last shares may pass the end; cut off below
    own = torch.arange(world.rank() * share, (world.rank() + 1) * share).clamp(max=len(split) - 1)
    mine = split.images if world.size() == 1 else split.images[own]
    for images in mine.split(CHUNK):
        x = (images.to(runtime.device).float() / 255 - mean) / std
        with runtime.autocast():
            parts.append(encoder(x.contiguous(memory_format=runtime.memory_format)).float())
    encoder.train(training)
    values = world.gather(torch.cat(parts))[: len(split)]
    return Features(values, split.labels.to(runtime.device))


@dataclass(frozen=True)
class Subject:
    """What a probe scores: an encoder on the images of one split of a data set.

    Features are computed when a probe first asks for them, and then kept.
    """

    config: TrialConfig
    encoder: Encoder
    data: Dataset
    scored: Split
    runtime: Runtime

    @property
    def classes(self) -> int:
        """Number of classes of the data set."""
        return len(self.data.classes)

    @cached_property
    def train(self) -> Features:
        """Features of the training images."""
        return extract(self.encoder, self.data.train, self.data, self.runtime)

    @cached_property
    def queries(self) -> Features:
        """Features of the images that are scored."""
        return extract(self.encoder, self.scored, self.data, self.runtime)


def accuracy(scores: Tensor, labels: Tensor) -> Accuracy:
    """Accuracies of [N, classes] scores; with fewer than five classes top-5 is 100."""
    guesses = scores.topk(min(5, scores.shape[1]), dim=1).indices
    hits = guesses == labels[:, None]
    top1 = 100 * hits[:, 0].float().mean().item()
    return Accuracy(top1, 100 * hits.any(1).float().mean().item(), hits[:, 0])
