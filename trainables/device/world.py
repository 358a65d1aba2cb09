"""The workers that share a batch. A process on its own is one worker, so losses need no branch."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def size() -> int:
    """Number of workers."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This worker's rank, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def part(whole: int) -> slice:
    """This worker's rows of ``whole`` rows that all workers share equally."""
    share = whole // size()
    return slice(rank() * share, (rank() + 1) * share)


def gather(rows: Tensor) -> Tensor:
    """All workers' rows in the order of their ranks, [n, ...] to [n * size, ...], no gradient."""
    if size() == 1:
        return rows.detach()
    # Workers exchange raw memory, so they need one layout: channels-last images would be misread.
    own = rows.detach().contiguous()
    parts = [torch.empty_like(own) for _ in range(size())]
    dist.all_gather(parts, own)
    return torch.cat(parts)


def gather_with_gradient(rows: Tensor) -> Tensor:
    """As ``gather``. Gradients of all workers' losses flow back to the row's worker."""
    if size() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)
    return gathered


class _Gather(torch.autograd.Function):
    """`gather`, with a gradient. torch deprecated its own, and moved it from version to version."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return gather(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        whole = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole[part(len(whole))]


def average_(tensors: list[Tensor]) -> None:
    """Replace each tensor by its mean over the workers."""
    if size() == 1 or not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= size()
    for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))
