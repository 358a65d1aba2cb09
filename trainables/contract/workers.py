"""The first steps of a trial in two real worker processes, without Ray."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from trainables.contract.steps import Steps, first_steps
from trainables.own_objects import search_in, searched_folders

WORKERS = 2


def steps_of_workers(config: dict[str, Any]) -> list[Steps]:
    """`first_steps` of each of two workers that share every batch, by rank.

    Args:
        config: fields of `TrialConfig`.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = (folder, config, searched_folders())
        mp.spawn(_work, arguments, nprocs=WORKERS)  # type: ignore[attr-defined]
        found = [torch.load(Path(folder, f"{rank}.pt")) for rank in range(WORKERS)]
    return [Steps(*parts) for parts in found]


def _work(rank: int, folder: str, config: dict[str, Any], searched: list[str]) -> None:
    for path in searched:
        search_in(Path(path))
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORKERS
    )
    try:
        from trainables.config import parse_config

        found = first_steps(parse_config(config, "contract"), exact=True)
        torch.save(tuple(found), Path(folder, f"{rank}.pt"))
        dist.barrier()
    finally:
        dist.destroy_process_group()
