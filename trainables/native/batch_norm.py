"""Batch norm, residual addition and ReLU in one pass each way, for training on a CPU.

Torch's training batch norm takes a third of a small encoder's step on a CPU. This one is C++
(`batch_norm.cpp`). Without a compiler, on other devices, in evaluation and under `torch.compile`,
torch's batch norm is used.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from trainables.native import build
from trainables.native.build import at

_TYPES = (torch.float32, torch.bfloat16)


def normalise(norm: nn.Module, x: Tensor, residual: Tensor | None = None) -> Tensor:
    """relu(norm(x) + residual); without a residual relu(norm(x)).

    Args:
        norm: batch norm over the channels of x.
        x, residual: [N, C, H, W].
    """
    y = fused(norm, x, residual) if type(norm) is nn.BatchNorm2d else None
    if y is None:
        y = norm(x)
        return nn.functional.relu(y if residual is None else y + residual, inplace=True)
    return y


def fused(
    norm: nn.BatchNorm2d, x: Tensor, residual: Tensor | None = None, relu: bool = True
) -> Tensor | None:
    """`normalise` in its compiled form, with or without ReLU; None where that cannot be used."""
    if not _is_fused(norm, x, residual):
        return None
    y, mean, variance = _Fused.apply(x, norm.weight, norm.bias, residual, norm.eps, relu)
    if norm.track_running_stats:
        _follow(norm, mean, variance, x.numel() // x.shape[1])
    result: Tensor = y
    return result


def is_available() -> bool:
    """Whether the compiled form can be used on this machine's CPU. Compiles it the first time."""
    return _library() is not None


def _is_fused(norm: nn.BatchNorm2d, x: Tensor, residual: Tensor | None) -> bool:
    return (
        norm.training
        and norm.affine
        and norm.momentum is not None
        and x.device.type == "cpu"
        and x.dtype in _TYPES
        and x.is_contiguous(memory_format=torch.channels_last)
        and (residual is None or (residual.dtype == x.dtype and residual.shape == x.shape))
        and not torch.compiler.is_compiling()
        and is_available()
    )


@torch.no_grad()
def _follow(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Move the running averages as torch does. The variance moves by its unbiased estimate."""
    assert norm.num_batches_tracked is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.momentum is not None
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance * (count / max(1, count - 1)), norm.momentum)


class _Fused(torch.autograd.Function):
    """The compiled form: from x and residual to y, and to the mean and biased variance of x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None,
        epsilon: float, relu: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        library, channels = _library(), x.shape[1]
        assert library is not None
        x = x.detach()
        if residual is not None:
            residual = residual.detach().contiguous(memory_format=torch.channels_last)
        y = torch.empty_like(x)
        mean, variance, inverse = torch.empty(3, channels).unbind()
        library.batch_norm_forward(
            x.dtype is torch.bfloat16, at(x), at(residual), at(y), at(weight), at(bias),
            at(mean), at(variance), at(inverse), x.numel() // channels, channels, epsilon, relu,
            torch.get_num_threads(),
        )  # fmt: skip
        # Only ReLU's backward pass reads y. Another activation may overwrite it.
        ctx.save_for_backward(x, y if relu else x, weight, mean, inverse)
        ctx.relu = relu
        ctx.has_residual = residual is not None and ctx.needs_input_grad[3]
        ctx.mark_non_differentiable(mean, variance)
        ctx.set_materialize_grads(False)
        return y, mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, gradient: Tensor, *_: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None, None, None]:
        x, y, weight, mean, inverse = ctx.saved_tensors
        library, channels = _library(), x.shape[1]
        assert library is not None
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        of_x = torch.empty_like(x)
        of_residual = torch.empty_like(x) if ctx.has_residual else None
        of_weight, of_bias = torch.empty_like(mean), torch.empty_like(mean)
        library.batch_norm_backward(
            x.dtype is torch.bfloat16, at(gradient), at(x), at(y), at(of_x), at(of_residual),
            at(weight), at(mean), at(inverse), at(of_weight), at(of_bias),
            x.numel() // channels, channels, ctx.relu, torch.get_num_threads(),
        )  # fmt: skip
        return of_x, of_weight, of_bias, of_residual, None, None


@cache
def _library() -> ctypes.CDLL | None:
    library = build.library("batch_norm")
    if library is not None:
        flag, long, pointer = build.FLAG, build.LONG, build.POINTER
        library.batch_norm_forward.argtypes = [
            flag, *[pointer] * 8, long, long, build.DOUBLE, flag, flag,
        ]  # fmt: skip
        library.batch_norm_backward.argtypes = [flag, *[pointer] * 10, long, long, flag, flag]
        library.batch_norm_forward.restype = library.batch_norm_backward.restype = None
    return library
