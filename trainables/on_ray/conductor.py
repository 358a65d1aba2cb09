"""The actor between the process that drives a trial and the workers that train it.

It runs one `TorchTrainer` in a thread, and tells the workers how far to train. Workers that die
come back from Train's last checkpoint and catch up; the conductor does not report an epoch twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import posixpath
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, assert_never

import ray

from trainables.endings import Ending, ending_of
from trainables.on_ray.steps import (
    CHECKPOINT_FILE,
    Ended,
    Finished,
    NextStep,
    Started,
    Trained,
    TrialSetup,
    WorkerMessage,
)
from trainables.on_ray.worker import work

if TYPE_CHECKING:
    from ray.train import Checkpoint

Answer = TypeVar("Answer", Started, Trained, Finished)


class Conductor:
    """Calls from the driving process and from the workers meet here, each in its own thread."""

    def __init__(self, setup: TrialSetup, content: bytes | None) -> None:
        """``content``: a checkpoint to continue from, as a file's content."""
        self._setup = setup
        self._changed = threading.Condition()
        self._goal = 0  # epochs that the workers shall have trained
        self._evaluate = False  # whether the workers shall evaluate once they reach the goal
        self._closed = False
        self._trainer_ended = False
        self._started: Started | None = None
        self._group: str | None = None
        self._epochs: dict[int, Trained] = {}
        self._finished: Finished | None = None
        self._ended: Ended | None = None
        self._attempt_errors: list[Ending] = []  # of this attempt, the cause first
        self._checkpoint: Checkpoint | None = None
        me = ray.get_runtime_context().current_actor
        self._thread = threading.Thread(target=self._run, args=(me, content), daemon=True)
        self._thread.start()

    # Called by the driving process.

    def begin(self) -> Started | Ended:
        """Waits until the workers have made the trial."""
        return self._wait(lambda: self._started)

    def advance(self, epoch: int) -> Trained | Ended:
        """Lets the workers train to the end of ``epoch``, and waits for that."""
        with self._changed:
            self._goal = max(self._goal, epoch)
            self._changed.notify_all()
        answer = self._wait(lambda: self._epochs.get(epoch))
        if isinstance(answer, Trained):
            return dataclasses.replace(answer, group=self._group)
        return answer

    def finish(self) -> Finished | Ended:
        """Lets the workers evaluate the trial and end."""
        with self._changed:
            self._evaluate = True
            self._changed.notify_all()
        return self._wait(lambda: self._finished)

    def content(self) -> bytes | None:
        """The last checkpoint, as a file's content."""
        if self._checkpoint is None:
            return None
        with self._checkpoint.as_directory() as folder:
            return (Path(folder) / CHECKPOINT_FILE).read_bytes()

    def close(self) -> None:
        """Lets the workers end, waits for it, and removes their checkpoints."""
        with self._changed:
            self._closed, self._goal = True, -1
            self._changed.notify_all()
        self._thread.join()
        if self._checkpoint is not None:
            path = posixpath.dirname(self._checkpoint.path)
            assert self._checkpoint.filesystem is not None
            with contextlib.suppress(OSError):
                self._checkpoint.filesystem.delete_dir(path)

    # Called by the workers.

    def wanted(self) -> bool:
        """Whether a worker that starts should start at all."""
        return not self._closed and self._ended is None

    def next(self, epoch: int) -> NextStep:
        """What a worker that has trained ``epoch`` epochs does next; every worker hears the same.

        The conductor never takes a goal back: a worker that has heard it already would wait for
        the others in a collective operation.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._next(epoch) is not None)
            step = self._next(epoch)
        assert step is not None
        return step

    def tell(self, message: WorkerMessage) -> None:
        """Takes in what a worker says."""
        with self._changed:
            match message:
                case Started():
                    self._attempt_errors.clear()
                    self._started = self._started or message
                    self._group = message.group
                case Trained():
                    self._checkpoint = message.checkpoint or self._checkpoint
                    # Train's checkpoint stays here: the driving process has no use for it.
                    trained = dataclasses.replace(message, checkpoint=None)
                    self._epochs.setdefault(message.row["epoch"], trained)
                case Finished():
                    self._finished = message
                case Ended():
                    if message.ending.final:
                        self._ended = message
                    self._attempt_errors.append(message.ending)
                case _:
                    assert_never(message)
            self._changed.notify_all()

    def _next(self, epoch: int) -> NextStep | None:
        if epoch < self._goal:
            return "advance"
        if self._evaluate:
            return "finish"
        return "end" if self._closed or self._ended else None

    def _wait(self, found: Callable[[], Answer | None]) -> Answer | Ended:
        gone = Ended(Ending("failed", "its workers ended", final=True))

        def answer() -> Answer | Ended | None:
            is_over = self._trainer_ended or self._closed
            return found() or self._ended or (gone if is_over else None)

        with self._changed:
            self._changed.wait_for(lambda: answer() is not None)
            return answer() or gone

    def _run(self, me: Any, content: bytes | None) -> None:
        ending = None
        try:
            self._fit(me, content)
        except Exception as error:
            cause = self._attempt_errors[0] if self._attempt_errors else ending_of(error)
            ending = Ending(cause.status, cause.error, final=True, wrong_input=cause.wrong_input)
        with self._changed:
            self._trainer_ended = True
            if ending is not None and self._ended is None:
                self._ended = Ended(ending)
            self._changed.notify_all()

    def _fit(self, me: Any, content: bytes | None) -> None:
        """Runs Train's trainer to its end."""
        setup = self._setup
        # Workers stay in the driver's folder: the paths of a study are relative to it.
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
        # Train's controller looks often, so that it notices the end of a trial soon.
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
        import ray.train
        from ray.train.torch import TorchTrainer

        resources = {"CPU": setup.cpus, "GPU": setup.gpus}
        TorchTrainer(
            work,
            train_loop_config={"setup": setup, "conductor": me, "content": content},
            scaling_config=ray.train.ScalingConfig(
                num_workers=setup.workers,
                use_gpu=setup.gpus > 0,
                resources_per_worker={name: value for name, value in resources.items() if value},
            ),
            run_config=ray.train.RunConfig(
                name=f"{setup.name}-{str(ray.get_runtime_context().get_actor_id())[:12]}",
                storage_path=setup.storage,
                storage_filesystem=setup.filesystem,
                failure_config=ray.train.FailureConfig(max_failures=setup.attempts),
                checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
            ),
        ).fit()
