"""Random streams of a trial, each apart from the others.

A stream is named by the trial's seed, its purpose and the epoch, so nothing drawn for one purpose
moves another: a baseline and a mixing arm with one seed see the same images in the same order and
the same views, and a resumed epoch draws what it would have drawn.
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
