"""The control of MixCo: as many extra images, each a further crop of one image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.arms.base import Arm, Draws, Mix, MixingValues

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.arms.mixture import Mixture


class ExtraCrop(Arm):
    """MixCo's work and loss with nothing mixed: what remains of its gain is not mixing's."""

    name = "extra-crop"
    summary = "control: a further crop of half the images in place of MixCo's mixed images"
    fields = ("mix_weight", "mix_temperature")
    extra_images = 0.5
    is_control = True

    def mixer(self, config: MixingValues, draws: Draws) -> Mix:
        return lambda view: unmixed(draws.new_view(len(view) // 2))


def unmixed(images: Tensor) -> Mixture:
    """Image m shows image m of the batch alone: a mixture with lambda 1."""
    import torch

    from trainables.arms.mixture import Mixture

    rows = torch.arange(len(images), device=images.device)
    return Mixture(images, rows, rows, images.new_ones(len(images)))
