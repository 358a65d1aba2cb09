"""Random views of a whole batch at once, with parameters drawn for each image.

Cropping, resizing, flipping and blurring are linear along rows and columns, so each is one small
matrix for every image. Brightness, contrast and saturation are blends with a reference image, in an
order that is drawn for each image. All of it is exact and batched, without gathers, grids or
branches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.views import colour
from trainables.views.parameters import Policy, Views


def apply_views(images: Tensor, views: Views, policy: Policy) -> Tensor:
    """One view of each image.

    Args:
        images: [N, C, S, S], uint8.
        views: parameters of the N images.

    Returns:
        [N, C, S, S], float, 0 to 1, not normalised.
    """
    x = crop(images.float(), views.top, views.left, views.height, views.width, views.flipped, 255)
    if policy.colour:
        x = colour.jitter(x, views)
    if policy.blur:
        x = blur(x, views.sigma)
    return x


def crop(
    x: Tensor,
    top: Tensor,
    left: Tensor,
    height: Tensor,
    width: Tensor,
    flipped: Tensor,
    white: float = 1,
) -> Tensor:
    """Each image's box, resized bilinearly to the image's size; mirrored where ``flipped``.

    A box is never larger than the result, so antialiasing is not needed. ``x`` is [N, C, S, S] with
    values from 0 to ``white``; the result has values from 0 to 1.
    """
    size = x.shape[-1]
    rows = _interpolation(top, height, size).div_(white)  # far fewer values than the images'
    columns = _interpolation(left, width, size, flipped)
    return _separable(x, rows, columns)


def blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with one sigma for each image, [N], in pixels; sigma 0 changes nothing.

    The kernel spans a tenth of the image (23 pixels of 224), the border is reflected.
    """
    size = x.shape[-1]
    radius = max(1, int(0.1 * size / 2))
    offsets = torch.arange(-radius, radius + 1, device=x.device)
    weights = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-6)[:, None]) ** 2)
    weights = weights / weights.sum(1, keepdim=True)
    pixels = torch.arange(size, device=x.device)
    source = (pixels[:, None] + offsets).abs()
    source = torch.where(source >= size, 2 * (size - 1) - source, source)
    matrix = x.new_zeros(len(x), size, size)
    matrix.scatter_add_(
        2, source.expand(len(x), -1, -1), weights[:, None, :].expand(-1, size, -1).contiguous()
    )
    return _separable(x, matrix, matrix)


def _interpolation(
    start: Tensor, length: Tensor, size: int, backwards: Tensor | None = None
) -> Tensor:
    """[N, size, size] matrices that resize ``length`` pixels from ``start`` to ``size``."""
    pixels = torch.arange(size, device=start.device)
    scale = (length / size)[:, None]
    centre = ((pixels + 0.5) * scale - 0.5).clamp(min=0)  # within the box
    centre = torch.minimum(centre, (length - 1)[:, None]) + start[:, None]
    if backwards is not None:
        centre = torch.where(backwards[:, None], centre.flip(1), centre)
    return (centre[:, :, None] - pixels).abs_().neg_().add_(1).clamp_(min=0)


def _separable(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """rows @ image @ columns^T for each image and channel, in batched products.

    The result's memory holds one channel of the batch after the other. The colour operators that
    follow then take half the time.
    """
    n, channels, size, _ = x.shape
    x = (x.reshape(n, channels * size, size) @ columns.mT).view(n, channels, size, size)
    planes = x.new_empty(channels, n, size, size)
    for channel, plane in enumerate(planes):
        torch.bmm(rows, x[:, channel], out=plane)
    return planes.transpose(0, 1)
