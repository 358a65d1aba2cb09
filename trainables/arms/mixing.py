"""Mixed images and the soft targets that go with them, one small function for each arm.

A mixture is described against the keys of the whole batch: image m shows key ``first[m]`` with
weight ``share[m]`` and key ``second[m]`` with the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor


class Mixture(NamedTuple):
    """M extra images and what they show."""

    images: Tensor  # [M, C, H, W]
    first: Tensor  # [M] int64, rows of the batch
    second: Tensor  # [M] int64
    share: Tensor  # [M], lambda: how much of the image is ``first``

    def targets(self, batch: int) -> Tensor:
        """Soft targets over the keys of the batch, [M, batch]; rows sum to one."""
        rows = torch.arange(len(self.share), device=self.share.device)
        targets = self.share.new_zeros(len(self.share), batch)
        targets.index_put_((rows, self.first), self.share, accumulate=True)
        targets.index_put_((rows, self.second), 1 - self.share, accumulate=True)
        return targets

    def rows(self, start: int, stop: int) -> Mixture:
        """The mixtures from ``start`` to ``stop``, a worker's part of the whole batch's."""
        return Mixture(*(part[start:stop] for part in self))


def unmixed(images: Tensor) -> Mixture:
    """The control: image m shows key m alone, as a mixture with lambda 1."""
    rows = torch.arange(len(images), device=images.device)
    return Mixture(images, rows, rows, images.new_ones(len(images)))


def draw_lambda(n: int, alpha: float, generator: Generator) -> Tensor:
    """n draws from Beta(alpha, alpha), [n], on the generator's device."""
    concentration = torch.full((n, 2), alpha, device=generator.device, dtype=torch.float64)
    # Gamma draws underflow to zero at small alpha; torch's Dirichlet is safe there, and unlike
    # torch.distributions takes a generator.
    return torch._sample_dirichlet(concentration, generator)[:, 0].float()


def blend(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """share * first + (1 - share) * second, with one share for each image."""
    return torch.lerp(second, first, share.to(first.dtype)[:, None, None, None])


def mixco(view: Tensor, alpha: float, generator: Generator) -> Mixture:
    """MixCo (Kim et al. 2020): image i of the batch's first half with image i + N/2."""
    half = len(view) // 2
    first = torch.arange(half, device=view.device)
    share = draw_lambda(half, alpha, generator)
    return Mixture(blend(view[:half], view[half:], share), first, first + half, share)


def i_mix(view: Tensor, alpha: float, generator: Generator) -> Mixture:
    """i-Mix (Lee et al. 2021), input mixing: every image with a random other of the batch.

    As in the authors' code, the larger share is the image's own.
    """
    first = torch.arange(len(view), device=view.device)
    second = torch.randperm(len(view), generator=generator, device=view.device)
    share = draw_lambda(len(view), alpha, generator)
    share = torch.maximum(share, 1 - share)
    return Mixture(blend(view, view[second], share), first, second, share)


def un_mix(view: Tensor, alpha: float, generator: Generator) -> Mixture:
    """Un-Mix (Shen et al. 2022): the batch with itself in reverse order, one lambda for all.

    With equal chances the images are blended whole (Mixup) or by a pasted box (CutMix, whose
    lambda is then the share of the area that stays).
    """
    n, _, height, width = view.shape
    share = draw_lambda(1, alpha, generator)
    cut, row, column = torch.rand(3, generator=generator, device=view.device)
    side = (1 - share).sqrt()
    inside = _box(row, side, height)[:, None] & _box(column, side, width)[None, :]
    boxed = torch.where(inside, view.flip(0), view)
    whole = blend(view, view.flip(0), share.expand(n))
    by_box = cut < 0.5
    images = torch.where(by_box, boxed, whole)
    share = torch.where(by_box, 1 - inside.float().mean(), share)
    first = torch.arange(n, device=view.device)
    return Mixture(images, first, n - 1 - first, share.expand(n))


def _box(centre: Tensor, side: Tensor, size: int) -> Tensor:
    """Which of ``size`` pixels lie in an interval of relative length ``side``."""
    start = ((centre - side / 2) * size).round().clamp(min=0)
    stop = ((centre + side / 2) * size).round().clamp(max=size)
    pixels = torch.arange(size, device=centre.device)
    return (pixels >= start) & (pixels < stop)
