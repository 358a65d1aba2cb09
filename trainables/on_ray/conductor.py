"""The actor between a trial's process and the workers that train the trial.

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

_AGREE_SECONDS = 10.0
"""How long a worker that cannot go on waits to hear the same of the others."""

Answer = TypeVar("Answer", Started, Trained, Finished)


class Conductor:
    """The trial's process and its workers call this actor; each call has a thread of its own."""

    def __init__(self, setup: TrialSetup, content: bytes | None) -> None:
        """``content``: the content of the checkpoint file from which the trial continues."""
        self._setup = setup
        self._changed = threading.Condition()
        self._goal = 0  # the epoch up to which the workers train
        self._evaluate = False  # whether the workers evaluate once they have reached the goal
        self._closed = False
        self._trainer_ended = False
        self._started: Started | None = None
        self._group: str | None = None
        self._epochs: dict[int, Trained] = {}
        self._finished: Finished | None = None
        self._ended: Ended | None = None
        self._attempt_errors: list[Ending] = []  # errors of the present attempt, the cause first
        self._checkpoint: Checkpoint | None = None
        me = ray.get_runtime_context().current_actor
        self._thread = threading.Thread(target=self._run, args=(me, content), daemon=True)
        self._thread.start()

    # Called by the trial's process.

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
        """The content of the last checkpoint file; None if there is none yet."""
        if self._checkpoint is None:
            return None
        with self._checkpoint.as_directory() as folder:
            return (Path(folder) / CHECKPOINT_FILE).read_bytes()

    def close(self) -> None:
        """Lets the workers end, waits until they have, and removes their checkpoints."""
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
        """Whether a worker that starts has anything to do."""
        return not self._closed and self._ended is None

    def next(self, epoch: int) -> NextStep:
        """What a worker that has trained ``epoch`` epochs does next; the same for every worker.

        The conductor never lowers the goal, except to close. Otherwise a worker that has already
        begun the epoch would wait in a collective operation for workers that have not.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._next(epoch) is not None)
            step = self._next(epoch)
        assert step is not None
        return step

    def tell(self, message: WorkerMessage) -> None:
        """Takes in a worker's message."""
        with self._changed:
            match message:
                case Started():
                    self._attempt_errors.clear()
                    self._started = self._started or message
                    self._group = message.group
                case Trained():
                    self._checkpoint = message.checkpoint or self._checkpoint
                    # The checkpoint stays here: the trial's process has no use for it.
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

    def all_ended(self) -> bool:
        """Whether no worker can go on; waits a little for those that find out later.

        A worker that can go on may wait for the others in a collective operation. Only the end of
        all workers, which Train brings about, frees it.
        """

        def agree() -> bool:
            return sum(ending.final for ending in self._attempt_errors) == self._setup.workers

        with self._changed:
            return self._changed.wait_for(agree, _AGREE_SECONDS)

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
        """Runs Train's `TorchTrainer` until it ends."""
        setup = self._setup
        # Workers stay in the driver's folder: the paths of a study are relative to it.
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
        # Train's controller checks its workers often, so that it notices the end of a trial soon.
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
