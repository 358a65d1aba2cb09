"""The first steps of a trial in two real worker processes, without Ray."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from multiprocessing import set_forkserver_preload
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessException, start_processes

from trainables.config import TrialConfig, parse_config
from trainables.contract.points import BrokenPointError, problem_of
from trainables.contract.steps import Steps, first_steps
from trainables.own_objects import search_in, searched_folders

WORKERS = 2
_PROBLEM = "problem.txt"
"""What a worker that fails leaves."""


class Workers:
    """Two workers that share every batch, for several configurations one after the other.

    Args:
        configs: each gives one small trial.
    """

    def __init__(self, configs: list[TrialConfig]) -> None:
        self._configs = configs

    def steps(self, index: int) -> list[Steps]:
        """`first_steps` of the configuration at ``index``, one for each worker, by rank."""
        if self._together is None:
            return _steps_of_workers([self._configs[index]])[0]
        return self._together[index]

    @cached_property
    def _together(self) -> list[list[Steps]] | None:
        """Of all configurations; None where one of them fails, which ends the workers of all.

        A process takes longer to start than a small trial takes.
        """
        try:
            return _steps_of_workers(self._configs)
        except Exception:
            return None


def _steps_of_workers(configs: list[TrialConfig]) -> list[list[Steps]]:
    """`first_steps` by configuration and rank, from two new processes.

    Raises:
        BrokenPointError: a worker raised an error; the message is a line about it.
        ProcessException: a worker died.
    """
    fields = [config.model_dump(mode="json") for config in configs]
    with tempfile.TemporaryDirectory() as folder:
        arguments = (folder, fields, searched_folders())
        try:
            fork_workers(_work, arguments, WORKERS)
        except ProcessException:
            if (problem := Path(folder, _PROBLEM)).exists():
                raise BrokenPointError(problem.read_text()) from None
            raise
        by_rank = [torch.load(Path(folder, f"{rank}.pt")) for rank in range(WORKERS)]
    return [[Steps(*parts) for parts in found] for found in zip(*by_rank, strict=True)]


def fork_workers(work: Callable[..., None], arguments: tuple[Any, ...], count: int) -> None:
    """Runs ``work(rank, *arguments)`` in ``count`` new processes, and waits for their end.

    They are forked from a process that has imported torch and torchvision, once for all.

    Raises:
        ProcessException: one of them failed.
    """
    set_forkserver_preload(["trainables.contract.steps", "trainables.encoders.resnet"])
    start_processes(work, arguments, nprocs=count, start_method="forkserver")


def _work(rank: int, folder: str, configs: list[dict[str, Any]], searched: list[str]) -> None:
    for path in searched:
        search_in(Path(path))
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORKERS
    )
    try:
        found = [first_steps(parse_config(fields, "contract"), exact=True) for fields in configs]
        torch.save([tuple(steps) for steps in found], Path(folder, f"{rank}.pt"))
        dist.barrier()
    except Exception as error:
        # The other worker then fails, too, because this one is gone: the first one's error counts.
        with suppress(FileExistsError), Path(folder, _PROBLEM).open("x") as file:
            file.write(problem_of(error))
        raise
    finally:
        dist.destroy_process_group()
