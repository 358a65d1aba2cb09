"""Runs a function in several real worker processes with a process group (Gloo), without Ray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from trainables.contract.workers import fork_workers


def run_workers(function: Callable[..., Any], folder: Path, *arguments: Any, size: int = 2) -> Any:
    """What ``function(*arguments)`` returned in each of ``size`` workers, by rank."""
    fork_workers(_worker, (size, folder, function, arguments), size)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(size)]


def _worker(
    rank: int, size: int, folder: Path, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    try:
        torch.save(function(*arguments), folder / f"{rank}.pt")
        dist.barrier()
    finally:
        dist.destroy_process_group()
