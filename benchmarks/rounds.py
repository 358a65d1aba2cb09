"""Run programs in turn, so that a change of the machine's speed affects all of them alike.

Each contestant has a process of its own, which sleeps between its turns. So its settings (threads,
allocator, compiled code) do not affect the others.
"""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
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


class _Running(NamedTuple):
    """A contestant in its process."""

    contestant: Contestant
    process: BaseProcess
    connection: Connection
    warm: float
    """The rate of its first turn."""

    def turn(self) -> float:
        self.connection.send(True)
        return float(self.connection.recv())

    def stop(self) -> None:
        self.connection.send(False)
        self.process.join()


def race(contestants: Sequence[Contestant], rounds: int, threads: int) -> list[Score]:
    """Warm every contestant up by one turn, keep the best of each name, then take turns."""
    running: dict[str, _Running] = {}
    for contestant in contestants:
        new = _start(contestant, threads)
        old = running.get(contestant.name)
        if old is not None and old.warm >= new.warm:
            new.stop()
            continue
        if old is not None:
            old.stop()
        running[contestant.name] = new
    scores = {name: Score(one.contestant, []) for name, one in running.items()}
    for _ in range(rounds):
        for name, one in running.items():
            scores[name].rates.append(one.turn())
    for one in running.values():
        one.stop()
    return list(scores.values())


def _start(contestant: Contestant, threads: int) -> _Running:
    context = multiprocessing.get_context("spawn")
    connection, far = context.Pipe()
    process = context.Process(target=_serve, args=(far, contestant, threads))
    process.start()
    far.close()  # so that the end of a process that fails is seen here
    return _Running(contestant, process, connection, connection.recv())


def _serve(connection: Connection, contestant: Contestant, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    turn = contestant.make(*contestant.arguments)
    connection.send(turn())
    while connection.recv():
        connection.send(turn())


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
