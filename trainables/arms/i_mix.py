"""i-Mix: mixed images in place of the clean ones (Lee et al. 2021, arXiv:2010.08887)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.arms.base import Arm, Draws, Mix, MixingValues

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from trainables.arms.mixture import Mixture


class IMix(Arm):
    """Every image of the first view mixed; the mixed loss stands in place of the clean one.

    On MoCo this is the paper's eq. 5, on SimCLR eq. 3 and 5, the N-pair form of the loss.
    """

    name = "i-mix"
    summary = "i-Mix: every image mixed with a random other, no clean loss (Lee et al. 2021)"
    fields = ("mix_alpha",)
    extra_images = 0.0
    replaces_contrastive = True

    def mixer(self, config: MixingValues, draws: Draws) -> Mix:
        return lambda view: i_mix(view, config.mix_alpha, draws.generator)


def i_mix(view: Tensor, alpha: float, generator: Generator) -> Mixture:
    """Input mixing: every image with a random other of the batch.

    As in the authors' code, the larger share is the image's own.
    """
    import torch

    from trainables.arms.mixture import Mixture, blend, draw_lambda

    first = torch.arange(len(view), device=view.device)
    second = torch.randperm(len(view), generator=generator, device=view.device)
    share = draw_lambda(len(view), alpha, generator)
    share = torch.maximum(share, 1 - share)
    return Mixture(blend(view, view[second], share), first, second, share)
