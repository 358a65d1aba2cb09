"""Memory of real steps beside the least that `trainables.device.memory` counts for a trial."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.gpu.settings import Amount, Row, attempted
from benchmarks.step import prepare
from trainables.device import memory


def rows(amount: Amount, device: str) -> Iterator[Row]:
    """A row for each width and method."""
    for width in amount.widths:
        for method in ("moco", "simclr"):
            take = partial(_measured, amount, device, width, method)
            yield attempted("memory", f"{method}, width {width}", take)


def _measured(amount: Amount, device: str, width: int, method: str) -> Row:
    gc.collect()  # what earlier measures used
    before = 0
    if torch.cuda.is_available() and device != "cpu":
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
    pretraining = prepare(amount.images(), amount.config(device, width, method))
    pretraining.advance()
    runtime = pretraining.runtime
    counted = sum(memory.needed(pretraining.config, pretraining.data, runtime).values())
    # On a CPU this is the peak of the whole process, libraries included.
    peak = runtime.peak_memory() - before
    return {"peak_bytes": peak, "counted_bytes": counted, "ratio": peak / counted}
