"""The contract of a contrastive method: two views in, losses out, and what surrounds a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, NamedTuple, assert_never, cast

import torch
from torch import Tensor, nn

from trainables.arms import ARMS
from trainables.arms.base import Mix
from trainables.arms.mixture import Mixture
from trainables.config import TrialConfig
from trainables.device import grouped_norm, world
from trainables.encoders.embedding import build_embedding
from trainables.methods import METHODS
from trainables.methods.base import BatchNormMode, Method
from trainables.own_parameters import Parameter
from trainables.registry import summary_of


class Losses(NamedTuple):
    """What a step minimises, and its parts (0-dimensional tensors)."""

    total: Tensor
    contrastive: Tensor | None  # None where the arm's loss stands in its place
    mixing: Tensor | None  # before its weight; None without extra images


class ContrastiveMethod(nn.Module, ABC):
    """A contrastive method with its weights.

    A step is ``before_step``, ``forward``, the update of ``trained_parameters`` by the gradient of
    ``Losses.total``, and ``after_step``.

    Args:
        config: the trial.
        channels: of the images.

    Initial weights are drawn from torch's global generator.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    """As of `Method`; read from the class where a user names it as ``package.module:Class``."""
    mix_batch_norm: ClassVar[BatchNormMode] = "shared"
    """As ``fields``."""
    own_parameters: ClassVar[tuple[Parameter, ...]] = ()
    """As ``fields``."""
    passes_with_gradient: ClassVar[float]
    """Passes forward and backward through the encoder for one training image, without an arm."""
    mixed_views: ClassVar[int] = 1
    """Of how many views an arm makes extra images; their passes have a gradient, too."""
    passes_without_gradient: ClassVar[float] = 0.0
    """Further passes forward only."""
    untrained_copies: ClassVar[int] = 0
    """Copies of the encoder and its head that are kept without gradients."""
    shuffles_keys: ClassVar[bool] = False
    """Whether the images of keys change places where parts of a batch have own statistics."""

    def __init__(self, config: TrialConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.arm = ARMS.find(config.arm)
        self.embedding = build_embedding(config, channels)

    @classmethod
    def describe(cls) -> Method:
        """What the command line and the search spaces see of this class.

        Methods that ship with the tool are described in `METHODS`, which needs no torch.
        """
        return Method(
            cls.__name__,
            summary_of(cls),
            f"{cls.__module__}:{cls.__qualname__}",
            mix_batch_norm=cls.mix_batch_norm,
            fields=cls.fields,
            own_parameters=cls.own_parameters,
        )

    @abstractmethod
    def forward(
        self, view1: Tensor, view2: Tensor, mix: Mix | None, shuffle: Tensor | None = None
    ) -> Losses:
        """The losses of one step.

        Args:
            view1, view2: this worker's views of its n images, [n, C, H, W], normalised.
            mix: makes the arm's extra images; None for the baseline.
            shuffle: where ``shuffles_keys``: a permutation of the whole batch, [N].
        """

    def trained_parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimizer updates."""
        return list(self.embedding.parameters())

    def before_step(self) -> None:
        """What changes before a step's forward pass; nothing by default."""

    def after_step(self) -> None:
        """What changes after the update of the weights; nothing by default."""

    @classmethod
    def other_values(cls, config: TrialConfig, images: int) -> dict[str, int]:
        """Numbers that a step on ``images`` images keeps besides weights and activations.

        Keys say what the numbers are, for messages about memory.
        """
        return {}

    def joined(self, contrastive: Tensor, mixing: Tensor) -> Losses:
        """The contrastive loss plus the weighted loss of the arm's extra images."""
        total = contrastive + self.arm.weight(self.config) * mixing
        return Losses(total, contrastive, mixing)


def method_class(name: str) -> type[ContrastiveMethod]:
    """The class of the method ``name``.

    Raises:
        InputError: there is no such method.
    """
    return cast(type[ContrastiveMethod], METHODS.find(name).load())


def build_method(config: TrialConfig, channels: int) -> ContrastiveMethod:
    """The config's method; its weights are drawn from torch's global generator."""
    return method_class(config.method)(config, channels)


def own_part(mixture: Mixture) -> Mixture:
    """This worker's part of the whole batch's extra images."""
    part = world.part(len(mixture.images))
    return mixture.rows(part.start, part.stop)


def embed(embedding: nn.Module, images: Sequence[Tensor], config: TrialConfig) -> list[Tensor]:
    """Embeddings of several kinds of images that pass through the encoder as one batch.

    Where batch norm takes the statistics of groups, each group gets an equal part of every kind, as
    each of several workers would.

    Args:
        embedding: images to unit vectors.
        images: of each kind, [n, C, H, W]; n is a multiple of this worker's groups.
        config: says how many groups there are.
    """
    groups = grouped_norm.own_groups(config)
    by_group = zip(*(kind.chunk(groups) for kind in images), strict=True)
    z = embedding(torch.cat([part for group in by_group for part in group]))
    parts = z.split([len(kind) // groups for kind in images] * groups)
    return [torch.cat(parts[place :: len(images)]) for place in range(len(images))]


def embed_both(
    embedding: nn.Module, clean: Sequence[Tensor], mixed: Sequence[Tensor], config: TrialConfig
) -> tuple[list[Tensor], list[Tensor]]:
    """Embeddings of clean and of mixed images, with the batch-norm statistics that a config names.

    Args:
        embedding, config: as for `embed`.
        clean, mixed: images of each kind, [n, C, H, W].
    """
    mode = config.mix_statistics
    match mode:
        case "shared":
            z = embed(embedding, [*clean, *mixed], config)
            return z[: len(clean)], z[len(clean) :]
        case "separate":
            z = embed(embedding, clean, config)
            with _running_averages_kept(embedding):
                return z, embed(embedding, mixed, config)
        case "separate-both":
            return embed(embedding, clean, config), embed(embedding, mixed, config)
        case _:
            assert_never(mode)


@contextmanager
def _running_averages_kept(module: nn.Module) -> Iterator[None]:
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
