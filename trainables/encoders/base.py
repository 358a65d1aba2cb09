"""What is known of a family of encoders without torch: its members, its stems, its widths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainables.own_parameters import Parameter
from trainables.registry import load


@dataclass(frozen=True)
class EncoderFamily:
    """Encoders of one architecture, as the command line sees them.

    The class that ``implementation`` names is an `Encoder` (trainables/encoders/embedding.py); its
    ``build`` makes the encoder of a config. The class is imported only when an encoder is built or
    measured: the command line must not wait for torch.
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
    has_widths: bool = True
    """Whether an encoder comes in any width. Where not, the field ``width`` is 0."""
    fuses_batch_norm: bool = True
    """Whether its batch norms run in the compiled form (trainables/native) where there is one."""
    own_parameters: tuple[Parameter, ...] = ()
    """Parameters of this family's own; ``build`` takes their values from the config."""

    def load(self) -> Any:
        """The class of the encoders; imports torch."""
        return load(self.implementation)
