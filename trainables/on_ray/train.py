"""A trial of several workers: Ray Train's `TorchTrainer` behind the steps of a trial.

Three parts. `TrainTrial` is what a study or the command line drives, an epoch at a time. It owns an
actor, the conductor, which runs one `TorchTrainer` and tells its workers how far to train. Each
worker advances the same trial that runs without Ray, and waits at the end of every epoch for the
next goal: so a stopped trial has trained no epoch too many, and its workers end between two
collectives, by themselves, and leave nothing behind.

Workers that die come back from Train's last checkpoint and catch up; epochs that were known before
are not told again.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ray

from trainables.atomic_write import atomic_write
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.on_ray.steps import (
    ATTEMPTS,
    CHECKPOINT_SECONDS,
    GaveUpError,
    MakeTrial,
    WrongInputError,
    describe,
    remove_group,
)

if TYPE_CHECKING:
    from ray.train import Checkpoint

# `ray.train` is imported where it is used: it takes torch, which who drives a trial can do without.
_CLOSE_SECONDS = 60.0
"""How long workers may take to end before their actors are killed."""
_FILE = "trial.pt"


@dataclass(frozen=True)
class Order:
    """What to run, and on what.

    Args:
        name: of the run; one run of that name is under way at a time.
        config, split, data_dir: the trial.
        workers: processes that share each batch.
        cpus, gpus: of each worker.
        storage: folder that all workers reach, for checkpoints while the trial runs.
        filesystem: pyarrow's, in which that folder is; default: this machine's.
        make_trial: makes the trial in each worker.
        attempts: how often workers start again after one of them died or raised an error.
        checkpoint_seconds: work that a dying worker may cost; 0: a checkpoint after every epoch.
    """

    name: str
    config: TrialConfig
    split: str
    data_dir: Path | None
    workers: int
    cpus: float
    gpus: float
    storage: str
    make_trial: MakeTrial
    filesystem: Any = None
    attempts: int = ATTEMPTS
    checkpoint_seconds: float = CHECKPOINT_SECONDS


class Result(NamedTuple):
    """What a finished trial found, as `trainables.trial.Result`."""

    trial: dict[str, Any]
    evaluations: list[dict[str, Any]]


class TrainTrial:
    """One trial on several workers; Ray must be running. ``close`` it in the end."""

    steps_per_epoch = 1
    """As far as progress is told of."""

    def __init__(self, order: Order) -> None:
        self.config = order.config
        self.rows: list[dict[str, Any]] = []
        self.epoch = 0
        self.group: str | None = None
        """Id of the workers' placement group."""
        self._order = order
        self._content: bytes | None = None
        self._conductor: Any = None
        self._summary: dict[str, Any] = {}

    @property
    def done(self) -> bool:
        """Whether every epoch is trained."""
        return self.epoch >= self.config.epochs

    def advance(self, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
        """Train one epoch; ``progress`` is called once, at its end.

        Raises:
            FloatingPointError: the loss is not finite.
            GaveUpError: the trial failed in each of its attempts.
            WrongInputError: no attempt can succeed.
        """
        self._open()
        told = self._ask(self._conductor.advance.remote(self.epoch + 1))
        row: dict[str, Any] = told["row"]
        self.epoch, self._summary, self.group = row["epoch"], told["summary"], told["group"]
        self.rows.append(row)
        if progress:
            progress(1, 1)
        return row

    def finish(self) -> Result:
        """Evaluate the trained encoder; the workers end."""
        self._open()
        told = self._ask(self._conductor.finish.remote())
        return Result(told["trial"], told["evaluations"])

    def summary(self) -> dict[str, Any]:
        """What is known at any time, and all there is of a trial that was stopped."""
        return self._summary

    def data_fingerprint(self) -> str:
        """Of the data set it trains on."""
        self._open()
        return str(self._summary["data_fingerprint"])

    def save(self, path: Path) -> None:
        """Write the last checkpoint that the workers made; nothing where they made none yet."""
        content = None
        if self._conductor is not None:
            content = ray.get(self._conductor.content.remote())
        if content is not None:
            atomic_write(path, content)

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint of the same config, of any number of workers.

        Raises:
            WrongInputError: damaged, or another trial's.
        """
        self._content = path.read_bytes()
        self._open()

    def close(self, seconds: float = _CLOSE_SECONDS) -> None:
        """End the workers and all that belongs to them: by force what takes longer than that."""
        conductor, self._conductor = self._conductor, None
        if conductor is None:
            return
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(conductor.close.remote(), timeout=seconds)
        ray.kill(conductor)
        if self.group:
            remove_group(self.group)

    def _open(self) -> None:
        if self._conductor is not None:
            return
        order = self._order
        # Outside the placement group of the trial that started it: Train's own helpers, which clean
        # up after a controller that was killed, would else be killed with it.
        actor = ray.remote(num_cpus=0, scheduling_strategy="DEFAULT")(_Conductor)
        # One thread for each worker that waits and one that tells, and a few for the driver.
        actor = actor.options(max_concurrency=2 * order.workers + 4)
        self._conductor = actor.remote(order, self._content)
        told = self._ask(self._conductor.begin.remote())
        self.epoch, self.rows, self.group = told["epoch"], told["rows"], told["group"]
        self._summary = told["summary"]

    def _ask(self, reference: Any) -> dict[str, Any]:
        told: dict[str, Any] = ray.get(reference)
        if "diverged" in told:
            self._summary = told["summary"]
            raise FloatingPointError(told["diverged"])
        if "error" in told:
            raise (WrongInputError if told.get("hopeless") else GaveUpError)(told["error"])
        return told


class _Conductor:
    """Runs the trainer in a thread; calls from the driver and the workers meet here."""

    def __init__(self, order: Order, content: bytes | None) -> None:
        self._order = order
        self._changed = threading.Condition()
        self._goal = 0  # epochs that the workers are to have trained
        self._finish = self._over = self._ended = False
        self._begun: dict[str, Any] | None = None
        self._group: str | None = None
        self._rows: dict[int, dict[str, Any]] = {}
        self._result: dict[str, Any] | None = None
        self._failure: dict[str, Any] | None = None  # ends the trial
        self._errors: list[str] = []  # of this attempt, the cause first
        self._checkpoint: Checkpoint | None = None
        me = ray.get_runtime_context().current_actor
        self._thread = threading.Thread(target=self._run, args=(me, content), daemon=True)
        self._thread.start()

    # for the driver

    def begin(self) -> dict[str, Any]:
        """Where the trial starts: its epoch, rows and summary, and its placement group."""
        return self._wait(lambda: self._begun)

    def advance(self, epoch: int) -> dict[str, Any]:
        """Lets the workers train to the end of ``epoch``; its row and summary."""
        with self._changed:
            self._goal = max(self._goal, epoch)
            self._changed.notify_all()
        return {**self._wait(lambda: self._rows.get(epoch)), "group": self._group}

    def finish(self) -> dict[str, Any]:
        """Lets the workers evaluate and end."""
        with self._changed:
            self._finish = True
            self._changed.notify_all()
        return self._wait(lambda: self._result)

    def content(self) -> bytes | None:
        """The last checkpoint, as a file's content."""
        if self._checkpoint is None:
            return None
        with self._checkpoint.as_directory() as folder:
            return (Path(folder) / _FILE).read_bytes()

    def close(self) -> None:
        """Lets the workers end, waits for it, and removes their checkpoints."""
        with self._changed:
            self._over, self._goal = True, -1
            self._changed.notify_all()
        self._thread.join()
        if self._checkpoint is not None:
            path = posixpath.dirname(self._checkpoint.path)
            assert self._checkpoint.filesystem is not None
            with contextlib.suppress(OSError):
                self._checkpoint.filesystem.delete_dir(path)

    # for the workers

    def wanted(self) -> bool:
        """Whether a worker that starts should start at all."""
        return not self._over and self._failure is None

    def next(self, epoch: int) -> str:
        """What a worker that has trained ``epoch`` epochs does next; every worker hears the same.

        A goal that one worker may have heard already is never taken back: the others would leave
        it alone in a collective.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._next(epoch) is not None)
            return str(self._next(epoch))

    def tell(self, told: dict[str, Any]) -> None:
        """Takes in what a worker reports."""
        with self._changed:
            if "begun" in told:
                self._errors.clear()
                self._begun = self._begun or told["begun"]
                self._group = told["begun"]["group"]
            elif "row" in told:
                self._rows.setdefault(told["row"]["epoch"], told)
                self._checkpoint = told.pop("checkpoint") or self._checkpoint
            elif "trial" in told:
                self._result = told
            elif "diverged" in told:
                self._failure = told
            else:
                self._errors.append(told["error"])
                if told["hopeless"]:
                    self._failure = told
            self._changed.notify_all()

    def _next(self, epoch: int) -> str | None:
        if epoch < self._goal:
            return "advance"
        if self._finish:
            return "finish"
        return "end" if self._over or self._failure else None

    def _wait(self, found: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        def answer() -> dict[str, Any] | None:
            gone = {"error": "its workers ended"} if self._ended or self._over else None
            return found() or self._failure or gone

        with self._changed:
            self._changed.wait_for(lambda: answer() is not None)
            found_or_failed = answer()
        assert found_or_failed is not None
        return found_or_failed

    def _run(self, me: Any, content: bytes | None) -> None:
        error = None
        try:
            self._fit(me, content)
        except Exception as caught:
            error = self._errors[0] if self._errors else describe(caught)
        with self._changed:
            self._ended = True
            if error is not None and self._failure is None:
                self._failure = {"error": error}
            self._changed.notify_all()

    def _fit(self, me: Any, content: bytes | None) -> None:
        order = self._order
        # Workers keep the driver's folder; a controller that looks often ends a trial soon.
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
        import ray.train
        from ray.train.torch import TorchTrainer

        resources = {"CPU": order.cpus, "GPU": order.gpus}
        TorchTrainer(
            _work,
            train_loop_config={"order": order, "conductor": me, "content": content},
            scaling_config=ray.train.ScalingConfig(
                num_workers=order.workers,
                use_gpu=order.gpus > 0,
                resources_per_worker={name: value for name, value in resources.items() if value},
            ),
            run_config=ray.train.RunConfig(
                name=f"{order.name}-{str(ray.get_runtime_context().get_actor_id())[:12]}",
                storage_path=order.storage,
                storage_filesystem=order.filesystem,
                failure_config=ray.train.FailureConfig(max_failures=order.attempts),
                checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
            ),
        ).fit()


def _work(given: Mapping[str, Any]) -> None:
    """The training function of each worker."""
    conductor = given["conductor"]
    if not ray.get(conductor.wanted.remote()):
        return
    try:
        _serve(given["order"], conductor, given["content"])
    except Exception as error:
        # Input that is wrong stays wrong: no further attempt.
        wrong = isinstance(error, InputError)
        told = {"error": str(error) if wrong else describe(error), "hopeless": wrong}
        ray.get(conductor.tell.remote(told))
        raise


def _serve(order: Order, conductor: Any, content: bytes | None) -> None:
    import ray.train

    leads = ray.train.get_context().get_world_rank() == 0
    if order.gpus:
        import torch
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())

    def tell(told: dict[str, Any]) -> None:
        if leads:
            ray.get(conductor.tell.remote(told))

    trial = order.make_trial(order.config, order.split, order.data_dir, order.cpus)
    saved = ray.train.get_checkpoint()
    if saved is not None:
        with saved.as_directory() as folder:
            trial.restore(Path(folder) / _FILE)
    elif content is not None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / _FILE).write_bytes(content)
            trial.restore(Path(folder) / _FILE)
    group = ray.util.get_current_placement_group()
    begun = {
        "epoch": trial.epoch,
        "rows": list(getattr(trial, "rows", [])),
        "summary": dict(trial.summary()),
        "group": group.id.hex() if group else None,
    }
    tell({"begun": begun})
    clock = _Clock(order.checkpoint_seconds)
    while True:
        step = ray.get(conductor.next.remote(trial.epoch))
        if step == "end":
            return
        try:
            if step == "finish":
                result = trial.finish()
                tell({"trial": dict(result.trial), "evaluations": list(result.evaluations)})
                return
            row, summary = dict(trial.advance()), dict(trial.summary())
        except FloatingPointError as error:  # of all workers at once: they share the loss
            tell({"diverged": str(error), "summary": dict(trial.summary())})
            return
        checkpoint = _report(trial, row, leads and clock.due(trial.done))
        tell({"row": row, "summary": summary, "checkpoint": checkpoint})


def _report(trial: Any, row: Mapping[str, Any], save: bool) -> Checkpoint | None:
    """Reports the epoch to Train, with a checkpoint where one is due; that one, where it is now."""
    import ray.train

    metrics = {"epoch": row["epoch"], "loss": row.get("loss")}
    if not save:
        ray.train.report(metrics)
        return None
    with tempfile.TemporaryDirectory() as folder:
        trial.save(Path(folder) / _FILE)
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))
    return ray.train.get_checkpoint()


class _Clock:
    """Says when a checkpoint is due."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def due(self, done: bool) -> bool:
        """A trial whose epochs are done needs none but where every epoch is kept."""
        if self._seconds and (done or time.monotonic() - self._last < self._seconds):
            return False
        self._last = time.monotonic()
        return True
