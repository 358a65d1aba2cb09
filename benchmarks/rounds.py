"""Run programs in turn, so that a change of the machine's speed affects all of them alike.

Each contestant has a process of its own, which sleeps between its turns. So its settings (threads,
allocator, compiled code) do not affect the others.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from importlib.metadata import version
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

Turn = Callable[[], float]
"""Does a fixed piece of work and returns its rate."""


class Contestant(NamedTuple):
    """A row of the table; of contestants with the same name, the table shows the fastest."""

    name: str
    make: Callable[..., Turn]
    arguments: tuple[Any, ...]
    note: str = ""


class Score(NamedTuple):
    """The rates of one contestant, a round after the other."""

    contestant: Contestant
    rates: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.rates)


def race(contestants: Sequence[Contestant], rounds: int, threads: int) -> list[Score]:
    """Warm every contestant up by one turn, keep the best of each name, then take turns."""
    context = multiprocessing.get_context("spawn")
    running: dict[str, tuple[Contestant, Any, Connection, float]] = {}

    def stop(name: str) -> None:
        _, process, connection, _ = running.pop(name)
        connection.send(False)
        process.join()

    for contestant in contestants:
        name = contestant.name
        connection, far = context.Pipe()
        process = context.Process(target=_serve, args=(far, contestant, threads))
        process.start()
        far.close()  # so that the end of a process that fails is seen here
        warm = connection.recv()
        if name in running and running[name][3] >= warm:
            connection.send(False)
            process.join()
            continue
        if name in running:
            stop(name)
        running[name] = (contestant, process, connection, warm)
    scores = {name: Score(entry[0], []) for name, entry in running.items()}
    for _ in range(rounds):
        for name, (_, _, connection, _) in running.items():
            connection.send(True)
            scores[name].rates.append(connection.recv())
    for name in list(running):
        stop(name)
    return list(scores.values())


def _serve(connection: Connection, contestant: Contestant, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    turn = contestant.make(*contestant.arguments)
    connection.send(turn())
    while connection.recv():
        connection.send(turn())


def conditions(threads: int, *packages: str) -> str:
    """Machine and versions, in one line."""
    from trainables.device.runtime import _cpu_name

    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    cores = len(os.sched_getaffinity(0))
    return (
        f"{_cpu_name()}, {cores} cores, {threads} threads; Python {platform.python_version()}, "
        f"{versions}"
    )


def table(scores: Sequence[Score], unit: str) -> str:
    """Every round's rate, the median, and the medians of the rounds' ratios to other rows."""
    first = max(len(_label(score)) for score in scores)
    lines = [f"{'':{first}}  {unit + ', each round':>30}  {'median':>7}  {'against the first':>17}"]
    for score in scores:
        rates = ", ".join(f"{rate:,.0f}" for rate in score.rates)
        lines.append(
            f"{_label(score):{first}}  {rates:>30}  {score.median:7,.0f}  "
            f"{_ratio(score, scores[0]):>17}"
        )
    return "\n".join(lines)


def _label(score: Score) -> str:
    note = score.contestant.note
    return score.contestant.name + (f" ({note})" if note else "")


def _ratio(score: Score, other: Score) -> str:
    ratios = [own / base for own, base in zip(score.rates, other.rates, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
