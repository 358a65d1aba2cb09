"""Workers that share each batch, a device each: NCCL on GPUs, Gloo on CPUs."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from benchmarks.gpu.settings import Amount, Row, attempted
from benchmarks.step import prepare
from trainables.config import TrialConfig


def rows(amount: Amount, device: str) -> Iterator[Row]:
    """Rows of 1, 2, 4, ... devices, each with a batch of its own."""
    here = 2 if device == "cpu" else torch.cuda.device_count()
    count = 1
    while count <= here:
        case = f"{count} x moco, width {amount.widths[-1]}, batch {count * amount.batch}"
        yield attempted("workers", case, partial(_shared, amount, device, count))
        count *= 2
    if here == 1:
        yield {"measure": "workers", "case": "several devices", "note": "one device is here"}


def _shared(amount: Amount, device: str, count: int) -> Row:
    """Images/s of all workers, and how far their first loss in fp32 is from one device's."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_work, (amount, device, count, folder), nprocs=count)  # type: ignore[no-untyped-call]
        first, rate = torch.load(Path(folder, "found.pt"))
    batch = count * amount.batch
    config = amount.config("cpu" if device == "cpu" else "cuda:0", amount.widths[-1], "moco", batch)
    row = prepare(amount.images(batch), _in_fp32(config)).advance()
    assert row is not None
    return {"images_per_second": rate, "loss_difference": abs(first - row["loss"])}


def _in_fp32(config: TrialConfig) -> TrialConfig:
    """The same trial in single precision: in bf16 rounding alone moves a loss by a tenth."""
    return config.model_copy(update={"precision": "fp32"})


def _work(rank: int, amount: Amount, device: str, count: int, folder: str) -> None:
    own = "cpu" if device == "cpu" else "cuda"
    if own == "cuda":
        torch.cuda.set_device(rank)
    else:
        torch.set_num_threads(1)
    store = dist.FileStore(str(Path(folder, "store")), count)
    dist.init_process_group(
        "gloo" if own == "cpu" else "nccl", store=store, rank=rank, world_size=count
    )
    try:
        batch = count * amount.batch
        images = amount.images(batch)
        config = amount.config(own, amount.widths[-1], "moco", batch)
        exact = prepare(images, _in_fp32(config)).advance()
        pretraining = prepare(images, config)
        total = torch.ones(1, device=pretraining.runtime.device)
        dist.all_reduce(total)  # also where one worker needs none: does the library work here?
        assert total.item() == count
        turns = [pretraining.advance() for _ in range(1 + amount.turns)]
        rates = [row["images_per_second"] for row in turns[1:] if row]
        if rank == 0 and exact:
            found = (exact["loss"], statistics.median(rates))
            torch.save(found, Path(folder, "found.pt"))
    finally:
        dist.destroy_process_group()
