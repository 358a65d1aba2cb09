"""An epoch that has begun: what a checkpoint between two of its steps has to hold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from trainables.config import TrialConfig
from trainables.streams import stream


class BegunEpoch:
    """The random streams of an epoch, how many of its steps are done, and what they gave.

    Args:
        config: the trial.
        epoch: epochs done before this one.
        images: training images.
        device: where the epoch is trained.

    Attributes:
        order: the order of the training images, [images].
        generators: the streams ``view1``, ``view2`` and ``mixing``; each step draws from them.
        steps: steps done.
        sums: of the losses of those steps: total, contrastive and mixing loss, [3].
        seconds: time that those steps took.
    """

    def __init__(self, config: TrialConfig, epoch: int, images: int, device: torch.device) -> None:
        def generator(purpose: str) -> Generator:
            return stream(config.seed, purpose, epoch, device)

        self.order = torch.randperm(images, generator=generator("order"), device=device)
        self.generators = {name: generator(name) for name in ("view1", "view2", "mixing")}
        self.steps = 0
        self.sums: Tensor = torch.zeros(3, device=device)
        self.seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` needs. The order is not part of it: the seed gives it again."""
        return {
            "steps": self.steps,
            "sums": self.sums.clone(),
            "seconds": self.seconds,
            "generators": {name: each.get_state() for name, each in self.generators.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the same epoch of the same trial.

        Raises:
            RuntimeError, TypeError: a generator's state is not one of this kind of device.
        """
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name].cpu())  # of a GPU's generator, too
        self.steps, self.seconds = state["steps"], state["seconds"]
        self.sums = state["sums"].clone()
