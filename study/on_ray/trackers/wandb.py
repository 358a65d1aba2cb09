"""Weights & Biases: a run for each trial, grouped by study; online, or offline in the results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reports.store.tables import Store
from study.on_ray.trackers.base import Tracker
from trainables.errors import InputError

if TYPE_CHECKING:
    from ray.tune.logger import LoggerCallback


class Wandb(Tracker):
    """Configured by W&B's own variables: WANDB_PROJECT, WANDB_MODE, WANDB_API_KEY."""

    package = "wandb"

    def check(self, store: Store) -> None:
        if not _has_key():
            raise InputError(
                "trackers: wandb has no key: `wandb login`, or WANDB_API_KEY, or WANDB_MODE=offline"
            )

    def logger(self, folder: Path, study: str) -> LoggerCallback:
        from ray.air.integrations.wandb import WandbLoggerCallback

        own = folder / self.name
        own.mkdir(parents=True, exist_ok=True)
        return WandbLoggerCallback(
            project=os.environ.get("WANDB_PROJECT", "mixco-study"),
            group=study,
            dir=str(own),
            mode=os.environ.get("WANDB_MODE", "online"),
        )


def _has_key() -> bool:
    if os.environ.get("WANDB_MODE") in ("offline", "disabled") or "WANDB_API_KEY" in os.environ:
        return True
    import wandb

    return bool(wandb.login(prompt=False))
