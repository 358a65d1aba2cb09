"""What the command line and the store know of a probe; they need no torch for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainables.registry import load


@dataclass(frozen=True)
class Probe:
    """A classifier on frozen features. Its accuracy is the accuracy of the trial.

    ``implementation`` names a function from a `Subject` (trainables/evaluation/features.py) to its
    `Accuracy`. The function is imported only when an encoder is scored, since the command line must
    not wait for torch.
    """

    name: str
    """The value of the field ``probe``, and of the column ``protocol`` of ``evaluations``."""
    summary: str
    """One line: what the probe is, and its source."""
    implementation: str
    """``package.module:function``."""

    def load(self) -> Any:
        """The function that scores; imports torch."""
        return load(self.implementation)
