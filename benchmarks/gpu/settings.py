"""What is measured, and how much of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.peers import Images
from trainables.config import TrialConfig

Row = dict[str, Any]
"""``measure`` and ``case`` say what was measured, ``note`` why there is no figure."""


@dataclass(frozen=True)
class Amount:
    """How much work a measure does.

    Attributes:
        widths: of the encoder, a ResNet-18 with the small stem.
        batch, queue, pixels: of a step.
        steps: of a turn; a figure is the median of ``turns`` turns after one to warm up.
        product: rows and columns of the matrices whose product gives the peak.
        compile_options: of ``torch.compile``, for the compiled rows.
        together: numbers of small trials at once on one device.
        seconds: for which they run.
        loaders: loader processes of lightly.
    """

    widths: tuple[int, ...] = (8, 64)
    batch: int = 256
    queue: int = 4096
    pixels: int = 32
    steps: int = 40
    turns: int = 3
    product: int = 8192
    compile_options: tuple[tuple[str, str], ...] = (("mode", "reduce-overhead"),)  # CUDA graphs
    together: tuple[int, ...] = (1, 2, 4, 8)
    seconds: float = 5.0
    loaders: int = 8

    def config(self, device: str, width: int, method: str, batch: int | None = None) -> TrialConfig:
        """A trial with MixCo; precision as a trial takes it by default."""
        return TrialConfig.model_validate({
            "dataset": "images", "method": method, "arm": "mixco", "encoder": "resnet18",
            "width": width, "batch_size": batch or self.batch, "queue_size": self.queue,
            "epochs": 1000, "device": device, "compile": "off",
        })  # fmt: skip

    def images(self, batch: int | None = None) -> Images:
        """Noise for the steps of a turn: it takes as long as photographs do."""
        shape = (self.steps * (batch or self.batch), self.pixels, self.pixels, 3)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


AMOUNTS = {
    "full": Amount(),
    # Takes every path in seconds, on a CPU, too; its figures say nothing.
    "smoke": Amount(
        widths=(2,), batch=8, queue=16, pixels=8, steps=2, turns=1, product=64,
        compile_options=(("backend", "eager"),), together=(1, 2), seconds=0.1, loaders=0,
    ),
}  # fmt: skip


def attempted(measure: str, case: str, take: Callable[[], Row]) -> Row:
    """The row of a case; one that fails says so, and the others are still measured."""
    try:
        return {"measure": measure, "case": case, **take()}
    except Exception as error:
        note = f"failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return {"measure": measure, "case": case, "note": note}


Measure = Callable[[Amount, str], Iterator[Row]]
"""(how much, device) -> rows."""
