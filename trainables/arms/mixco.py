"""MixCo: mixed images as soft positives (Kim et al. 2020, arXiv:2010.06300)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.arms.base import Arm, Draws, Mix, MixingValues

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from trainables.arms.mixture import Mixture


class MixCo(Arm):
    """Pairs of images mixed, a soft cross-entropy on them beside the contrastive loss."""

    name = "mixco"
    summary = "MixCo: the two halves of a batch mixed, as soft positives (Kim et al. 2020)"
    fields = ("mix_weight", "mix_alpha", "mix_temperature")
    extra_images = 0.5

    def mixer(self, config: MixingValues, draws: Draws) -> Mix:
        return lambda view: mixco(view, config.mix_alpha, draws.generator)


def mixco(view: Tensor, alpha: float, generator: Generator) -> Mixture:
    """Image i of the batch's first half with image i + N/2, one lambda for each pair."""
    import torch

    from trainables.arms.mixture import Mixture, blend, draw_lambda

    half = len(view) // 2
    first = torch.arange(half, device=view.device)
    share = draw_lambda(half, alpha, generator)
    return Mixture(blend(view[:half], view[half:], share), first, first + half, share)
