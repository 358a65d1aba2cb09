"""What is known of a family of encoders without torch: its members, its stems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainables.registry import load


@dataclass(frozen=True)
class EncoderFamily:
    """Encoders of one architecture, as the command line sees them.

    The class that ``implementation`` names is an `Encoder` (trainables/encoders/embedding.py),
    built as ``Class(encoder, width, stem, channels)``. It is imported only when an encoder is
    built or measured: the command line must not wait for torch.
    """

    name: str
    summary: str
    """One line: what the family is, and its source."""
    encoders: tuple[str, ...]
    """Values of the field ``encoder``, from the shallowest."""
    stems: tuple[str, ...]
    """Values of the field ``stem``: the first layers, from the least downsampling."""
    implementation: str
    """``package.module:Class``."""

    def load(self) -> Any:
        """The class of the encoders; imports torch."""
        return load(self.implementation)
