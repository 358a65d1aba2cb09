"""Mixed images and their soft targets, and what several arms need to make them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor


class Mixture(NamedTuple):
    """M extra images and what they show.

    Image m shows image ``first[m]`` of the whole batch with weight ``share[m]``, and image
    ``second[m]`` with weight ``1 - share[m]``.
    """

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
        """The mixtures from ``start`` to ``stop``: one worker's part of the whole batch."""
        return Mixture(*(part[start:stop] for part in self))


def draw_lambda(n: int, alpha: float, generator: Generator) -> Tensor:
    """n draws from Beta(alpha, alpha), [n], on the generator's device."""
    concentration = torch.full((n, 2), alpha, device=generator.device, dtype=torch.float64)
    # Gamma draws underflow to zero at small alpha. torch's Dirichlet does not, and unlike
    # torch.distributions it takes a generator.
    return torch._sample_dirichlet(concentration, generator)[:, 0].float()


def blend(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """share * first + (1 - share) * second, with one share for each image."""
    return torch.lerp(second, first, share.to(first.dtype)[:, None, None, None])
