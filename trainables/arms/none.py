"""The baseline: the contrastive method alone."""

from __future__ import annotations

from trainables.arms.base import Arm, Draws, MixingValues


class Baseline(Arm):
    """No extra images."""

    name = "none"
    summary = "the contrastive method alone; gains are measured against it"
    makes_images = False
    extra_images = 0.0

    def mixer(self, config: MixingValues, draws: Draws) -> None:
        return None
