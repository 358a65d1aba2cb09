"""What the batch norms of this tool share: they stand in the place of torch's or timm's own.

Weights and running averages keep their names, so a checkpoint fits with and without them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def replace(module: nn.Module, replacement: Callable[[nn.Module], nn.Module | None]) -> None:
    """Replaces modules inside ``module``, at any depth.

    Args:
        module: whose parts are replaced.
        replacement: the module that stands in another's place; None: that one and its own parts
            are kept or replaced one by one.
    """
    for name, child in module.named_children():
        new = replacement(child)
        if new is None:
            replace(child, replacement)
        else:
            setattr(module, name, new)


def share(norm: nn.BatchNorm2d, other: nn.BatchNorm2d) -> None:
    """Gives ``norm`` the weights and running averages of ``other``: the same tensors."""
    norm.weight, norm.bias = other.weight, other.bias
    for name, buffer in other.named_buffers():
        setattr(norm, name, buffer)


@torch.no_grad()
def move_averages(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Moves the running averages of ``norm`` towards a batch's, each [channels], as torch does."""
    assert norm.momentum is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance, norm.momentum)
    norm.num_batches_tracked.add_(1)


def with_activation_of(norm: nn.Module, other: nn.Module) -> nn.Module:
    """``other`` with the activation of ``norm``: a norm of timm applies its own."""
    if hasattr(norm, "act"):
        other.act = norm.act
        other.register_forward_hook(lambda module, _, output: module.act(output))
    return other
