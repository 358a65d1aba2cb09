"""What is known of a contrastive method without torch: its name, its fields, its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from trainables.own_parameters import Parameter
from trainables.registry import load

BatchNormMode = Literal["shared", "separate", "separate-both"]
"""Whether clean and mixed images share batch-norm statistics.

``separate``: statistics apart; the running averages, which evaluation uses, follow the clean
images. ``separate-both``: statistics apart; the averages follow the clean and the mixed images.
"""


@dataclass(frozen=True)
class Method:
    """One contrastive method, as the command line and the search spaces see it.

    How it computes is in the class that ``implementation`` names, a `ContrastiveMethod`
    (trainables/methods/module.py). That class is imported only when a trial is built: the command
    line must not wait for torch.
    """

    name: str
    """The value of the field ``method``."""
    summary: str
    """One line: what the method is, and its source."""
    implementation: str
    """``package.module:Class``."""
    mix_batch_norm: BatchNormMode
    """Batch-norm statistics of clean and mixed images where the config leaves them open."""
    fields: tuple[str, ...] = ()
    """The fields of `TrialConfig` that this method alone reads."""
    own_parameters: tuple[Parameter, ...] = ()
    """Parameters of this method's own; read as ``config.own_parameters["name"]``."""
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By a recipe's name: the values that differ from the recipe's own for this method."""

    def load(self) -> Any:
        """The class that computes; imports torch."""
        return load(self.implementation)
