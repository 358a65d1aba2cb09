"""Colour jitter and greyscale in C++ (`colour.cpp`), an image at a time in the first-level cache.

Torch's operators (`trainables.views.colour`) take a sixteenth of a small encoder's step on a CPU.
"""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from torch import Tensor

from trainables.native import build
from trainables.native.build import at


def is_available() -> bool:
    """Whether the compiled form can be used on this machine's CPU. Compiles it the first time."""
    return _library() is not None


def jitter_(
    planes: Tensor, factors: Tensor, order: Tensor, hue: Tensor, hue_images: Tensor, grey: Tensor
) -> None:
    """Change the colours of N images in place.

    Args:
        planes: [3, N, S, S], float32, contiguous, on a CPU: one channel after the other, 0 to 1.
        factors, order, hue, hue_images, grey: as in `trainables.views.parameters.Views`.
    """
    library = _library()
    assert library is not None
    _, images, *sides = planes.shape
    # The C++ reads these copies until it returns, so each needs a name.
    factors, order, hue = factors.contiguous(), order.contiguous(), hue.contiguous()
    hue_images, grey = hue_images.contiguous(), grey.contiguous()
    library.colour_jitter(
        at(planes), images, sides[0] * sides[1], at(factors), at(order), at(hue), at(hue_images),
        hue_images.shape[1], at(grey), torch.get_num_threads(),
    )  # fmt: skip


@cache
def _library() -> ctypes.CDLL | None:
    library = build.library("colour")
    if library is not None:
        long, pointer = build.LONG, build.POINTER
        library.colour_jitter.argtypes = [
            pointer, long, long, *[pointer] * 4, long, pointer, build.FLAG,
        ]  # fmt: skip
        library.colour_jitter.restype = None
    return library
