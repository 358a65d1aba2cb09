"""Independent random streams of a trial.

The trial's seed, a purpose and an epoch name a stream. Drawing from one stream does not change what
another stream gives. So a baseline and a mixing arm with one seed see the same images in the same
order with the same views, and a resumed epoch draws the same numbers as an uninterrupted one.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Generator


def stream(
    seed: int, purpose: str, epoch: int = 0, device: torch.device | str = "cpu"
) -> Generator:
    """A generator on ``device`` for one purpose of one epoch."""
    key = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return Generator(device).manual_seed(int.from_bytes(key[:8], "little") >> 1)
