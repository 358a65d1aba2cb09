"""Batch norm whose statistics are those of all workers' images.

On a GPU this is torch's `SyncBatchNorm`, which has no CPU kernels. On a CPU this module does the
same in plain operations. Weights and running averages keep their names, so a checkpoint fits any
number of workers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainables.device import norms, world

_OVER = (0, 2, 3)  # a channel's values: images, rows, columns


def synchronise(module: nn.Module, on_cpu: bool) -> None:
    """Replace every BatchNorm2d inside ``module`` by one over all workers' images."""

    def synced(child: nn.Module) -> nn.Module | None:
        if not isinstance(child, nn.BatchNorm2d):
            return None
        own: nn.Module = (
            SyncedBatchNorm2d.like(child)
            if on_cpu
            else nn.SyncBatchNorm.convert_sync_batchnorm(child)
        )
        return norms.with_activation_of(child, own)

    norms.replace(module, synced)


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d over the images of all workers. Every worker has the same number of images.

    Equal to BatchNorm2d on the workers' images in one batch: outputs, gradients, running averages.
    """

    @classmethod
    def like(cls, norm: nn.BatchNorm2d) -> SyncedBatchNorm2d:
        """A synchronised batch norm that shares the weights and running averages of ``norm``."""
        synced = cls(norm.num_features, norm.eps, norm.momentum)
        norms.share(synced, norm)
        return synced.train(norm.training)

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world.size() == 1:
            return super().forward(input)
        output, mean, var = _Normalise.apply(input, self.weight, self.bias, self.eps)
        count = world.size() * input.numel() // input.shape[1]
        norms.move_averages(self, mean, var * (count / (count - 1)))
        return output


class _Normalise(torch.autograd.Function):
    """(x - mean) / deviation * weight + bias, mean and deviation over all workers."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        own_var, own_mean = torch.var_mean(_at_least_single(x), _OVER, correction=0)
        means, variances = world.gather(torch.stack([own_mean, own_var])[None]).unbind(1)
        mean = means.mean(0)
        # Variance within workers plus variance between them avoids a difference of large squares.
        var = (variances + (means - mean).square()).mean(0)
        ctx.save_for_backward(x, weight, mean, (var + eps).rsqrt())
        ctx.mark_non_differentiable(mean, var)
        return torch.batch_norm(x, weight, bias, mean, var, False, 0.0, eps, False), mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, scale = ctx.saved_tensors

        def spread(channel: Tensor) -> Tensor:
            return channel[:, None, None]

        g = _at_least_single(gradient)
        normal = (_at_least_single(x) - spread(mean)) * spread(scale)
        bias_gradient, weight_gradient = g.sum(_OVER), (g * normal).sum(_OVER)
        means = torch.stack([bias_gradient, weight_gradient]) / (x.numel() / x.shape[1])
        world.average_([means])
        back = g - spread(means[0]) - normal * spread(means[1])
        return (
            (back * spread(weight * scale)).to(x.dtype),
            weight_gradient,
            bias_gradient,
            None,
        )


def _at_least_single(x: Tensor) -> Tensor:
    """``x`` in single precision; unchanged if its own precision is higher."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
