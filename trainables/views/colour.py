"""Colour jitter and greyscale of a batch, each image with parameters and an order of its own.

By torch's operators; on a CPU with a compiler, by C++ (`trainables.native.colour`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.native import colour as native
from trainables.views.parameters import Views

_GREY = (0.2989, 0.587, 0.114)  # ITU-R 601-2 luma, torchvision's rounding


def jitter(x: Tensor, views: Views) -> Tensor:
    """Brightness, contrast, saturation and hue shift in each image's own order, then greyscale.

    Args:
        x: [N, 3, S, S], 0 to 1. Its memory may be overwritten.
        views: parameters of the N images.
    """
    if x.device.type != "cpu" or x.dtype is not torch.float32 or not native.is_available():
        return by_operators(x, views)
    planes = x.transpose(0, 1).contiguous()
    native.jitter_(planes, views.factors, views.order, views.hue, views.hue_images, views.grey)
    return planes.transpose(0, 1)


def luma(x: Tensor) -> Tensor:
    """Brightness of RGB images, [N, 3, S, S] to [N, 1, S, S]."""
    red, green, blue = _GREY
    return (red * x[:, 0:1]).add_(x[:, 1:2], alpha=green).add_(x[:, 2:3], alpha=blue)


def shift_hue(x: Tensor, turns: Tensor) -> Tensor:
    """RGB images with their hue turned, [N, 3, S, S]; saturation and value stay (HSV)."""
    red, green, blue = x.unbind(1)
    low = torch.minimum(red, green).minimum(blue)[:, None]  # faster than a reduction
    chroma = torch.maximum(red, green).maximum(blue)[:, None] - low
    colour = (x - low).div_(chroma.clamp(min=1e-8))  # the largest channel is 1, the smallest 0
    red, green, blue = colour.unbind(1)
    # The hue in sixths of a turn depends on which channel is largest. The masks are numbers, since
    # floor and lerp are several times as fast as comparisons and where.
    is_red, is_green = colour[:, :2].floor().unbind(1)
    hue = torch.lerp((red - green).add_(4), (blue - red).add_(2), is_green)
    hue = torch.lerp(hue, green - blue, is_red).add_(6 * turns[:, None, None])
    hue -= 6 * (hue / 6).floor_()
    # HSV to RGB: each channel is a trapezoid over the hue, a third of a turn after the one before.
    torch.sub(hue, 3, out=red).abs_().sub_(1)
    torch.sub(hue, 2, out=green).abs_().neg_().add_(2)
    torch.sub(hue, 4, out=blue).abs_().neg_().add_(2)
    return torch.addcmul(low, colour.clamp_(0, 1), chroma, out=colour)


def by_operators(x: Tensor, views: Views) -> Tensor:
    """The same as `jitter`, with the same arguments, by torch's operators on any device."""
    n, padded = len(x), views.hue_images.numel()
    planes = x.transpose(0, 1)
    if padded > n:  # n is no multiple of four
        planes = torch.cat([planes, planes.new_zeros(3, padded - n, *x.shape[2:])], dim=1)
    hue = torch.cat([views.hue, views.hue.new_zeros(padded - n)])
    x = planes.transpose(0, 1)[:n]
    for step, images in enumerate(views.hue_images):
        shifted = shift_hue(planes.index_select(1, images).transpose(0, 1), hue[images])
        planes.index_copy_(1, images, shifted.transpose(0, 1))
        if step < 3:
            _blend_(x, views.order[:, step], views.factors)
    return x.lerp_(luma(x), views.grey.to(x.dtype)[:, None, None, None])


def _blend_(x: Tensor, operation: Tensor, factors: Tensor) -> None:
    """Brightness (0), contrast (1) or saturation (2), in place: a blend with a reference image.

    The references are black, the mean luma and each pixel's luma.
    """
    factor = factors.gather(1, operation[:, None])[:, :, None, None]
    rest, kind = 1 - factor, operation[:, None, None, None]
    reference = luma(x)
    mean = reference.mean((2, 3), keepdim=True)
    reference.mul_(rest * (kind == 2)).add_(mean * (rest * (kind == 1)))
    torch.addcmul(reference, x, factor, out=x).clamp_(0, 1)
