"""Which operations a view has, and their parameters, drawn for each image.

Drawing parameters and applying them are separate. Every worker draws the parameters of the whole
batch and applies those of its own images.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Generator, Tensor

CROP_ATTEMPTS = 10
"""Tries to draw a crop that fits. After them the crop is the whole image, as in torchvision."""
CROP_RATIO = (3 / 4, 4 / 3)
# At strength 1, as SimCLR defines it (Chen, Kornblith et al. 2020, appendix A).
JITTER = 0.8  # brightness, contrast and saturation: factors in 1 +- 0.8
HUE = 0.2  # shift in turns, +- 0.2
JITTER_PROBABILITY = 0.8
GREY_PROBABILITY = 0.2
BLUR_PROBABILITY = 0.5
BLUR_SIGMA = (0.1, 2.0)  # pixels
BLUR_FROM = 64  # smallest side, in pixels, of images that are blurred
_ORDERS = torch.tensor(  # of brightness 0, contrast 1, saturation 2
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
)


@cache
def _orders(device: torch.device) -> Tensor:
    """The orders on ``device``. They are copied once, since a copy waits for the device."""
    return _ORDERS.to(device)


class Policy(NamedTuple):
    """Which operations the views of a data set have."""

    crop_scale: float  # smallest share of the area
    flip: bool
    colour: bool
    blur: bool
    colour_strength: float = 0.5  # of the jitter; MoCo v2's, and SimCLR's on CIFAR-10


class Views(NamedTuple):
    """Parameters of one random view of N images."""

    top: Tensor  # [N], pixels
    left: Tensor  # [N]
    height: Tensor  # [N]
    width: Tensor  # [N]
    flipped: Tensor  # [N] bool
    factors: Tensor  # [N, 3]: brightness, contrast, saturation; 1 changes nothing
    order: Tensor  # [N, 3]: the order of those three
    hue: Tensor  # [N], turns; 0 changes nothing
    hue_images: Tensor  # [4, N/4]: within this batch, the images whose hue shifts before step 0..3
    grey: Tensor  # [N] bool
    sigma: Tensor  # [N], pixels; 0 is no blur

    def rows(self, start: int, stop: int) -> Views:
        """The parameters of images ``start`` to ``stop``, both multiples of four."""
        parts = {
            name: part[start:stop] for name, part in self._asdict().items() if name != "hue_images"
        }
        return Views(**parts, hue_images=self.hue_images[:, start // 4 : stop // 4] - start)


def draw_views(n: int, size: int, policy: Policy, generator: Generator) -> Views:
    """Parameters of one view of n square images of ``size`` pixels, drawn for each image.

    The distributions are those of torchvision's RandomResizedCrop, RandomHorizontalFlip,
    ColorJitter (probability 0.8), RandomGrayscale and GaussianBlur (probability 0.5), as MoCo v2
    and SimCLR use them.
    """
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * uniform(*shape)

    area = size * size * between(policy.crop_scale, 1.0, n, CROP_ATTEMPTS)
    ratio = between(math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1]), n, CROP_ATTEMPTS).exp()
    widths, heights = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (widths >= 1) & (widths <= size) & (heights >= 1) & (heights <= size)
    attempt = fits.int().argmax(1, keepdim=True)  # the first that fits
    fitted = fits.any(1)
    width = torch.where(fitted, widths.gather(1, attempt)[:, 0], float(size))
    height = torch.where(fitted, heights.gather(1, attempt)[:, 0], float(size))
    top = (uniform(n) * (size - height + 1)).floor()
    left = (uniform(n) * (size - width + 1)).floor()
    flipped = uniform(n) < (0.5 if policy.flip else 0.0)

    jittered = uniform(n) < JITTER_PROBABILITY
    jitter, hue_shift = JITTER * policy.colour_strength, HUE * policy.colour_strength
    factors = 1 + between(-jitter, jitter, n, 3) * jittered[:, None]
    hue = between(-hue_shift, hue_shift, n) * jittered
    order = _orders(device)[torch.randint(6, (n,), generator=generator, device=device)]
    # Among every four images each of the four places of the hue shift occurs once. The place of one
    # image is still uniform, and the sizes of the groups are known without waiting for the device.
    blocks = -(-n // 4)
    places = uniform(blocks, 4).argsort(1)
    hue_images = (places + 4 * torch.arange(blocks, device=device)[:, None]).T
    grey = uniform(n) < GREY_PROBABILITY
    sigma = between(*BLUR_SIGMA, n) * (uniform(n) < BLUR_PROBABILITY)
    return Views(top, left, height, width, flipped, factors, order, hue, hue_images, grey, sigma)
