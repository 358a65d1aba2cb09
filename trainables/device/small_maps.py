"""Strided convolutions on maps of one position, where oneDNN's gradient is wrong.

In bf16 oneDNN reads memory that was never written when it computes the gradient of the weights of
a convolution with stride 2 on a map of 1 x 1 (torch 2.15 on Intel with AMX). Some weights then get
any gradient, even an infinite one. On such a map every stride gives the same result, and with
stride 1 the gradient is right.
"""

from __future__ import annotations

from typing import TypeGuard

from torch import Tensor, nn

from trainables.device import norms


class StridedConv(nn.Conv2d):
    """A convolution that takes stride 1 on a map of one position, under the same names of weights.

    Args:
        conv: whose weights and settings it has. With stride 1 its maps must keep their size.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(
            conv.in_channels, conv.out_channels, 1, groups=conv.groups, bias=False, device="meta"
        )  # on the meta device no random number is drawn
        self.weight, self.bias = conv.weight, conv.bias
        self.kernel_size, self.stride, self.padding = conv.kernel_size, conv.stride, conv.padding

    def forward(self, input: Tensor) -> Tensor:
        stride = (1, 1) if input.shape[-2:] == (1, 1) else self.stride
        return nn.functional.conv2d(
            input, self.weight, self.bias, stride, self.padding, groups=self.groups
        )


def guard(module: nn.Module) -> None:
    """Replaces strided convolutions inside ``module`` by `StridedConv` where that is the same."""
    norms.replace(module, lambda m: StridedConv(m) if _keeps_one_position(m) else None)


def _keeps_one_position(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether it is a strided convolution whose maps would keep their size with stride 1."""
    return (
        type(module) is nn.Conv2d
        and module.stride != (1, 1)
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and isinstance(module.padding, tuple)
        and all(2 * p == k - 1 for p, k in zip(module.padding, module.kernel_size, strict=True))
    )
