"""A trial of several workers: Ray Train's `TorchTrainer` behind the steps of a trial."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ray

from trainables.atomic_write import atomic_write
from trainables.endings import error_of
from trainables.on_ray.conductor import Conductor
from trainables.on_ray.steps import (
    Ended,
    Finished,
    Row,
    Started,
    Trained,
    TrialSetup,
    remove_group,
)

_CLOSE_SECONDS = 60.0
"""How long workers may take to end before Ray kills them."""


class Result(NamedTuple):
    """What a finished trial found, as `trainables.trial.Result`."""

    trial: Row
    evaluations: list[Row]


class TrainTrial:
    """One trial on several workers, advanced an epoch at a time by a study or the command line.

    Ray must be running. Call ``close`` in the end.
    """

    steps_per_epoch = 1
    """Progress is reported once per epoch."""
    steps_done = 0
    """Workers pause between epochs only."""

    def __init__(self, setup: TrialSetup) -> None:
        self.config = setup.config
        self.rows: list[Row] = []
        self.epoch = 0
        self.group: str | None = None
        """Id of the workers' placement group."""
        self._setup = setup
        self._content: bytes | None = None
        self._conductor: Any = None
        self._summary: Row = {}

    @property
    def done(self) -> bool:
        """Whether every epoch is trained."""
        return self.epoch >= self.config.epochs

    def loss_so_far(self) -> float | None:
        """None: the workers tell of their loss at the end of each epoch."""
        return None

    def advance(
        self,
        progress: Callable[[int, int], None] | None = None,
        pause: Callable[[], bool] | None = None,
    ) -> Row:
        """Train one epoch; ``progress`` is called once, at its end, and ``pause`` never is.

        Raises:
            FloatingPointError: the loss is not finite.
            GaveUpError: the trial failed in each of its attempts.
            WrongInputError: no attempt can succeed.
        """
        self._open()
        trained: Trained = self._ask(self._conductor.advance.remote(self.epoch + 1))
        self.epoch, self._summary = trained.row["epoch"], trained.summary
        self.group = trained.group
        self.rows.append(trained.row)
        if progress:
            progress(1, 1)
        return trained.row

    def finish(self) -> Result:
        """Evaluate the trained encoder; the workers end."""
        self._open()
        finished: Finished = self._ask(self._conductor.finish.remote())
        return Result(finished.trial, finished.evaluations)

    def summary(self) -> Row:
        """Columns of ``trials`` that are known after any epoch; a stopped trial has only these."""
        return self._summary

    def data_fingerprint(self) -> str:
        """Fingerprint of the data set that the trial trains on."""
        self._open()
        return str(self._summary["data_fingerprint"])

    def save(self, path: Path) -> None:
        """Write the workers' last checkpoint. Does nothing if they have made none yet."""
        content = None
        if self._conductor is not None:
            content = ray.get(self._conductor.content.remote())
        if content is not None:
            atomic_write(path, content)

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint of the same config, of any number of workers.

        Raises:
            WrongInputError: the checkpoint is damaged, or another trial's.
        """
        self._content = path.read_bytes()
        self._open()

    def close(self, seconds: float = _CLOSE_SECONDS) -> None:
        """End the workers and the conductor. After ``seconds`` Ray kills them."""
        conductor, self._conductor = self._conductor, None
        if conductor is None:
            return
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(conductor.close.remote(), timeout=seconds)
        ray.kill(conductor)
        if self.group:
            remove_group(self.group)

    def _open(self) -> None:
        """Starts the conductor and its workers, once."""
        if self._conductor is not None:
            return
        setup = self._setup
        # The conductor runs outside the placement group of the trial's process. If it ran inside,
        # Ray would kill Train's own helper actors together with that process, and these clean up
        # after a controller that was killed.
        actor = ray.remote(num_cpus=0, scheduling_strategy="DEFAULT")(Conductor)
        # Each worker needs one thread to wait and one to report; this process needs a few.
        actor = actor.options(max_concurrency=2 * setup.workers + 4)
        self._conductor = actor.remote(setup, self._content)
        started: Started = self._ask(self._conductor.begin.remote())
        self.epoch, self.rows, self.group = started.epoch, list(started.rows), started.group
        self._summary = started.summary

    def _ask(self, reference: Any) -> Any:
        """The conductor's answer.

        Raises:
            Exception: if the trial ended early, the error that `trainables.endings.error_of` gives.
        """
        answer = ray.get(reference)
        if isinstance(answer, Ended):
            self._summary = answer.summary if answer.summary is not None else self._summary
            raise error_of(answer.ending)
        return answer
