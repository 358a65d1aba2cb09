"""CutMix as an arm of one's own: a box of one image pasted into another (Yun et al. 2019).

Each image of the batch gets a box of the image that follows it in a random order. What an image
shows is said by the areas: its own share, and the box's. These are soft targets over the keys of
the batch, as MixCo has them.

    mixco check arm cutmix:CutMix
    mixco study run digits.yaml
    mixco report results/cutmix-digits
"""

import torch

from trainables.arms.base import Arm, Draws, Mix, MixingValues
from trainables.arms.mixture import Mixture, draw_lambda
from trainables.own_parameters import Parameter


class CutMix(Arm):
    """Boxes of one image in another, beside the clean images."""

    summary = "CutMix: a box of one image pasted into another (Yun et al. 2019)"
    fields = ("mix_weight", "mix_alpha", "mix_temperature")
    own_parameters = (
        Parameter(
            "cut_chance",
            1.0,
            "share of the images that get a box",
            low=0,
            high=1,
            space={"low": 0.25, "high": 1.0},
        ),
    )
    extra_images = 1.0  # for each image of the batch, one that may have a box

    def mixer(self, config: MixingValues, draws: Draws) -> Mix:
        """Called for each step; all that is random comes from ``draws.generator``."""
        chance = config.own_parameters.number("cut_chance")

        def mix(view: torch.Tensor) -> Mixture:
            n, _, height, width = view.shape
            generator, device = draws.generator, view.device
            first = torch.arange(n, device=device)
            second = torch.randperm(n, generator=generator, device=device)
            share = draw_lambda(n, config.mix_alpha, generator)  # the area that should stay
            centre = torch.rand(n, 2, generator=generator, device=device)
            side = (1 - share).sqrt()
            rows = within(centre[:, 0], side, height)  # [n, height]
            columns = within(centre[:, 1], side, width)  # [n, width]
            cut = torch.rand(n, generator=generator, device=device) < chance
            box = rows[:, :, None] & columns[:, None, :] & cut[:, None, None]
            images = torch.where(box[:, None], view[second], view)
            stays = 1 - box.float().mean((1, 2))  # the border cuts boxes off
            return Mixture(images, first, second, stays)

        return mix


def within(centre: torch.Tensor, side: torch.Tensor, pixels: int) -> torch.Tensor:
    """Whether a pixel lies within ``side / 2`` of the centre, [n, pixels]; lengths from 0 to 1."""
    middles = (torch.arange(pixels, device=centre.device) + 0.5) / pixels
    return (middles - centre[:, None]).abs() < side[:, None] / 2
