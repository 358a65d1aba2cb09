"""Un-Mix: the batch mixed with itself in reverse (Shen et al. 2022, arXiv:2003.05438)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.arms.base import Arm, Draws, Mix, MixingValues

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from trainables.arms.mixture import Mixture


class UnMix(Arm):
    """Every image mixed with its counterpart in the reversed batch, one lambda for all."""

    name = "un-mix"
    summary = "Un-Mix: the batch mixed with its reverse, by blend or box (Shen et al. 2022)"
    fields = ("mix_weight", "mix_alpha")
    extra_images = 1.0

    def mixer(self, config: MixingValues, draws: Draws) -> Mix:
        return lambda view: un_mix(view, config.mix_alpha, draws.generator)

    def loss_with_queue(
        self, mixed: Tensor, mixture: Mixture, keys: Tensor, queue: Tensor, config: MixingValues
    ) -> Tensor:
        """The paper's eq. 4: InfoNCE with one key, and with the other, weighted by lambda."""
        from trainables.methods.losses import info_nce

        tau, share = self.temperature(config), mixture.share[0]
        first, second = keys[mixture.first], keys[mixture.second]
        loss = share * info_nce(mixed, first, queue, tau)
        return loss + (1 - share) * info_nce(mixed, second, queue, tau)


def un_mix(view: Tensor, alpha: float, generator: Generator) -> Mixture:
    """The batch with itself in reverse order.

    With equal chances the images are blended whole (Mixup) or by a pasted box (CutMix, whose
    lambda is then the share of the area that stays).
    """
    import torch

    from trainables.arms.mixture import Mixture, blend, draw_lambda

    n, _, height, width = view.shape
    share = draw_lambda(1, alpha, generator)
    cut, row, column = torch.rand(3, generator=generator, device=view.device)
    side = (1 - share).sqrt()
    inside = _interval(row, side, height)[:, None] & _interval(column, side, width)[None, :]
    boxed = torch.where(inside, view.flip(0), view)
    whole = blend(view, view.flip(0), share.expand(n))
    by_box = cut < 0.5
    images = torch.where(by_box, boxed, whole)
    share = torch.where(by_box, 1 - inside.float().mean(), share)
    first = torch.arange(n, device=view.device)
    return Mixture(images, first, n - 1 - first, share.expand(n))


def _interval(centre: Tensor, side: Tensor, size: int) -> Tensor:
    """Which of ``size`` pixels lie in an interval of relative length ``side``, [size], bool."""
    import torch

    start = ((centre - side / 2) * size).round().clamp(min=0)
    stop = ((centre + side / 2) * size).round().clamp(max=size)
    pixels = torch.arange(size, device=centre.device)
    return (pixels >= start) & (pixels < stop)
