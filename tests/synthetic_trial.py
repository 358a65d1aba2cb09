"""A trial without training: accuracy from a formula, behind the same interface as a real one.

For tests and benchmarks of the study engine; nothing here is a measurement.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from trainables.config import TrialConfig
from trainables.errors import InputError

DIVERGES_FROM = 0.05
"""The learning rate above which `diverge_at_high_rates` ends a trial."""


class SyntheticResult(NamedTuple):
    """What a finished trial found."""

    trial: dict[str, Any]
    evaluations: list[dict[str, Any]]


@dataclass
class SyntheticTrial:
    """Accuracy peaks at a learning rate of 0.03 and a temperature of 0.2, and grows with width."""

    config: TrialConfig
    split: str
    seconds_per_epoch: float = 0.0
    epoch: int = 0
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return self.epoch >= self.config.epochs

    def accuracy(self, epoch: int) -> float:
        """Percent after so many epochs."""
        config = self.config
        miss = math.log(config.learning_rate / 0.03) ** 2 + math.log(config.temperature / 0.2) ** 2
        if config.mixes:
            miss += 0.3 * math.log(config.mix_weight) ** 2 - 0.5
        noise = random.Random(f"{config.digest()}").gauss(0, 0.3)
        end = 60 + 5 * math.log2(config.width) - 2 * miss + noise
        return max(1.0, min(99.0, end * (1 - math.exp(-3 * epoch / config.epochs))))

    def advance(self, *, pause: Callable[[], bool] | None = None) -> dict[str, Any]:
        if self.seconds_per_epoch:
            time.sleep(self.seconds_per_epoch)
        self.epoch += 1
        every = self.config.knn_every
        scored = self.done or (every and self.epoch % every == 0)
        row = {
            "epoch": self.epoch,
            "loss": 10.0 / self.epoch,
            "knn_accuracy": self.accuracy(self.epoch) if scored else None,
            "images": 100 * self.epoch,
        }
        self.rows.append(row)
        return row

    def summary(self) -> dict[str, Any]:
        return {
            "split": self.split,
            "parameters": 2728 * self.config.width**2,
            "encoder_flops": 1000 * self.config.width**2,
            "epochs_done": self.epoch,
            "data_fingerprint": f"fp-{self.config.dataset}",
            "started_at": self.started_at,
            "finished_at": datetime.now(UTC),
        }

    def finish(self) -> SyntheticResult:
        accuracy = self.accuracy(self.epoch)
        evaluation = {
            "dataset": self.config.dataset,
            "split": self.split,
            "protocol": "linear",
            "top1": accuracy,
        }
        return SyntheticResult({**self.summary(), "accuracy": accuracy}, [evaluation])

    def save(self, path: Path) -> None:
        digest = self.config.digest()
        path.write_text(json.dumps({"digest": digest, "epoch": self.epoch, "rows": self.rows}))

    def restore(self, path: Path) -> None:
        saved = json.loads(path.read_text())
        if saved["digest"] != self.config.digest():
            raise InputError(f"{path}: checkpoint of another trial")
        self.epoch, self.rows = saved["epoch"], saved["rows"]


@dataclass
class MakeSynthetic:
    """Makes trials, and trouble where a test asks for it.

    Args:
        seconds_per_epoch: how long an epoch sleeps.
        trouble: (config, epoch to come) -> raise something, or kill the process.
        started: a file to which each start of a trial appends a line.
    """

    seconds_per_epoch: float = 0.0
    trouble: Callable[[TrialConfig, int], None] | None = None
    started: Path | None = None

    def __call__(
        self, config: TrialConfig, split: str, data_dir: Path | None, cpus: float
    ) -> SyntheticTrial:
        if self.started:
            line = f"{config.digest()} {split} {os.getpid()}\n"
            with self.started.open("a") as file:
                file.write(line)
        trial = SyntheticTrial(config, split, self.seconds_per_epoch)
        if self.trouble:
            advance, trouble = trial.advance, self.trouble

            def advance_or_not(**options: Any) -> dict[str, Any]:
                trouble(config, trial.epoch + 1)
                return advance(**options)

            trial.advance = advance_or_not  # type: ignore[method-assign]
        return trial


def diverge_at_high_rates(config: TrialConfig, epoch: int) -> None:
    if config.learning_rate > DIVERGES_FROM and epoch == 2:
        raise FloatingPointError("loss is nan in epoch 2")
