"""The contract of an arm: how it makes extra images, and how their loss joins the contrastive one.

This module and the arms import torch only inside the functions that compute. The command line and
the search spaces read the names and the fields of arms, and must not wait for torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from trainables.own_parameters import Parameter, Values

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from trainables.arms.mixture import Mixture

Mix = Callable[["Tensor"], "Mixture"]
"""Makes extra images from one view of the whole batch, [N, C, H, W], normalised."""


class MixingValues(Protocol):
    """The fields of `TrialConfig` that an arm may read."""

    @property
    def temperature(self) -> float: ...
    @property
    def mix_weight(self) -> float: ...
    @property
    def mix_alpha(self) -> float: ...
    @property
    def mix_temperature(self) -> float: ...
    @property
    def own_parameters(self) -> Values: ...


class Draws(NamedTuple):
    """Where an arm gets what is random in its images."""

    generator: Generator
    """The trial's random stream for mixing; nothing but the arm draws from it."""
    new_view: Callable[[int], Tensor]
    """n -> a new view of the first n images of the whole batch, [n, C, H, W], normalised."""


class Arm(ABC):
    """One way to make extra images, or none.

    An arm holds no state. The methods (MoCo, SimCLR) call it and never ask for its name.
    """

    name: ClassVar[str]
    """The value of the field ``arm``."""
    summary: ClassVar[str]
    """One line: what the arm does, and its source."""
    fields: ClassVar[tuple[str, ...]] = ()
    """The mixing fields of `TrialConfig` that this arm reads; the others change nothing."""
    own_parameters: ClassVar[tuple[Parameter, ...]] = ()
    """Parameters of this arm's own; read as ``config.own_parameters["name"]``."""
    makes_images: ClassVar[bool] = True
    """Whether there are extra images; false for the baseline alone."""
    extra_images: ClassVar[float]
    """Images that pass through the encoder beyond those of the baseline, for each image of a view.

    FLOPs and memory are estimated from this number.
    """
    is_control: ClassVar[bool] = False
    """Whether the arm does a mixing arm's work without mixing."""
    replaces_contrastive: ClassVar[bool] = False
    """Whether the loss of the extra images stands in place of the contrastive loss.

    The clean images of the mixed view are then not embedded, and SimCLR mixes its first view only.
    """

    @abstractmethod
    def mixer(self, config: MixingValues, draws: Draws) -> Mix | None:
        """What makes one step's extra images; None where ``makes_images`` is false."""

    def temperature(self, config: MixingValues) -> float:
        """Temperature of the extra images' loss: the arm's own field, or the contrastive loss's."""
        own = "mix_temperature" in self.fields
        return config.mix_temperature if own else config.temperature

    def weight(self, config: MixingValues) -> float:
        """Weight of the extra images' loss beside the contrastive one."""
        return config.mix_weight if "mix_weight" in self.fields else 1.0

    def loss_with_queue(
        self, mixed: Tensor, mixture: Mixture, keys: Tensor, queue: Tensor, config: MixingValues
    ) -> Tensor:
        """The loss on an asymmetric method (MoCo): extra images against keys and a queue.

        Soft cross-entropy over the N keys and the queue, whose target is zero.

        Args:
            mixed: embeddings of this worker's extra images, [M, D], unit vectors.
            mixture: what these images show.
            keys: embeddings of the whole batch's other view, [N, D].
            queue: negatives, [K, D].
            config: temperatures.
        """
        import torch

        candidates = torch.cat([keys, queue])
        return _soft_loss(mixed, mixture, candidates, len(keys), self.temperature(config))

    def loss_in_batch(
        self, mixed: Tensor, mixture: Mixture, keys: Tensor, config: MixingValues
    ) -> Tensor:
        """The loss on a symmetric method (SimCLR): extra images of one view against the other view.

        Soft cross-entropy over the N embeddings of the other view.

        Args:
            mixed, mixture, config: as for ``loss_with_queue``.
            keys: embeddings of the whole batch's other view, [N, D].
        """
        return _soft_loss(mixed, mixture, keys, len(keys), self.temperature(config))


def _soft_loss(
    mixed: Tensor, mixture: Mixture, candidates: Tensor, batch: int, temperature: float
) -> Tensor:
    from trainables.methods.losses import soft_cross_entropy

    return soft_cross_entropy(mixed @ candidates.T / temperature, mixture.targets(batch))
