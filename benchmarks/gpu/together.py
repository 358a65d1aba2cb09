"""Small trials at once on one device, which one of them may not fill."""

from __future__ import annotations

import multiprocessing
import queue
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.gpu.settings import Amount, Row, attempted

_START_SECONDS = 120.0
"""How long the processes may take until all of them are ready."""


def rows(amount: Amount, device: str) -> Iterator[Row]:
    """Rows of 1, 2, ... trials: images/s of all of them, and against one alone."""
    alone = None
    for count in amount.together:
        take = partial(_together, amount, device, count)
        row = attempted("together", f"{count} x moco, width {amount.widths[0]}", take)
        alone = alone or row.get("images_per_second")
        if "images_per_second" in row:
            row["against_one"] = row["images_per_second"] / alone
        yield row


def _together(amount: Amount, device: str, count: int) -> Row:
    context = multiprocessing.get_context("spawn")
    ready, rates = context.Barrier(count), context.Queue()
    processes = [
        context.Process(target=_train, args=(amount, device, ready, rates), daemon=True)
        for _ in range(count)
    ]
    for process in processes:
        process.start()
    try:
        found = [rates.get(timeout=_START_SECONDS + amount.seconds) for _ in processes]
    except queue.Empty:
        raise RuntimeError(f"not all of {count} trials ran") from None
    finally:
        for process in processes:
            process.join(10)
            process.kill()
    if failed := [each for each in found if isinstance(each, str)]:
        raise RuntimeError(failed[0])
    return {"images_per_second": sum(found), "slowest": min(found), "fastest": max(found)}


def _train(amount: Amount, device: str, ready: Any, rates: Any) -> None:
    """Sends the rate of a trial that runs for some seconds beside the others, or its error."""
    try:
        import torch

        from benchmarks.step import prepare

        if device == "cpu":
            torch.set_num_threads(1)
        pretraining = prepare(amount.images(), amount.config(device, amount.widths[0], "moco"))
        pretraining.advance()
        ready.wait(_START_SECONDS)
        start, images = time.perf_counter(), 0
        while time.perf_counter() - start < amount.seconds:
            pretraining.advance()
            images += pretraining.steps_per_epoch * amount.batch
        rates.put(images / (time.perf_counter() - start))
    except Exception as error:
        ready.abort()
        rates.put(f"{type(error).__name__}: {error}")
