"""What is known of a probe without torch: its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainables.registry import load


@dataclass(frozen=True)
class Probe:
    """A classifier on frozen features, whose accuracy is a trial's.

    The function that ``implementation`` names takes a `Subject` (trainables/evaluation/features.py)
    and gives its `Accuracy`. It is imported only when an encoder is scored: the command line must
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
