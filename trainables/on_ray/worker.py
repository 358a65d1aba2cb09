"""The training function of each worker of a trial, as Ray Train runs it.

A worker advances the same trial that runs without Ray. At the end of every epoch it waits for the
conductor's next step. So a stopped trial trains no epoch too many. Its workers end by themselves
between two collective operations, and clean up.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import ray

from trainables.checkpoint_clock import CheckpointClock
from trainables.endings import Ending, ending_of
from trainables.errors import InputError
from trainables.on_ray.steps import (
    CHECKPOINT_FILE,
    Ended,
    Finished,
    NextStep,
    Started,
    Steps,
    Trained,
    TrialSetup,
    WorkerMessage,
)

if TYPE_CHECKING:
    from ray.train import Checkpoint

# Imported lazily below: `ray.train` imports torch, which the driver does not need.


def work(given: Mapping[str, Any]) -> None:
    """Trains in one worker; ``given`` has ``setup``, ``conductor`` and ``content``.

    Raises:
        Exception: the error that ended this attempt; Ray Train then ends the other workers, and
            starts the next attempt.
    """
    conductor = given["conductor"]
    if not ray.get(conductor.wanted.remote()):
        return
    try:
        _serve(given["setup"], conductor, given["content"])
    except Exception as error:
        ending = _ending(error)
        ray.get(conductor.tell.remote(Ended(ending)))
        if ending.final and ray.get(conductor.all_ended.remote()):
            return  # an error would make Train start all workers once more
        raise


def _ending(error: Exception) -> Ending:
    """Marks wrong input as final: all workers would take a minute to start and fail again."""
    if isinstance(error, InputError):
        return Ending("failed", str(error), final=True, wrong_input=True)
    return ending_of(error)


def _serve(setup: TrialSetup, conductor: Any, content: bytes | None) -> None:
    import ray.train

    leads = ray.train.get_context().get_world_rank() == 0

    def tell(message: WorkerMessage) -> None:
        if leads:
            ray.get(conductor.tell.remote(message))

    trial = _make_trial(setup, content)
    group = ray.util.get_current_placement_group()
    tell(
        Started(
            trial.epoch,
            [dict(row) for row in trial.rows],
            dict(trial.summary()),
            group.id.hex() if group else None,
        )
    )
    clock = CheckpointClock(setup.checkpoint_seconds)
    while True:
        step: NextStep = ray.get(conductor.next.remote(trial.epoch))
        try:
            match step:
                case "end":
                    return
                case "finish":
                    result = trial.finish()
                    tell(Finished(dict(result.trial), list(result.evaluations)))
                    return
                case "advance":
                    row = trial.advance()
                    assert row is not None  # there was no pause
                    trained = Trained(dict(row), dict(trial.summary()))
                case _:
                    assert_never(step)
        except FloatingPointError as error:  # all workers raise it: they share the loss
            tell(Ended(ending_of(error), dict(trial.summary())))
            return
        # All workers ask, and get the same answer, once one of their nodes will be taken away.
        noticed = ray.train.get_preemption_info() is not None
        # A trial that is done needs no checkpoint, unless every epoch is to have one.
        save = (noticed or clock.is_due()) and not (trial.done and setup.checkpoint_seconds)
        checkpoint = _report(trial, trained.row, leads and save)
        if save:
            clock.restart()
        tell(dataclasses.replace(trained, checkpoint=checkpoint))


def _make_trial(setup: TrialSetup, content: bytes | None) -> Steps:
    """The trial: from Train's last checkpoint, else from ``content``, else from its start."""
    import ray.train

    if setup.gpus:
        import torch
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())
    trial = setup.make_trial(setup.config, setup.split, setup.data_dir, setup.cpus)
    saved = ray.train.get_checkpoint()
    if saved is not None:
        with saved.as_directory() as folder:
            trial.restore(Path(folder) / CHECKPOINT_FILE)
    elif content is not None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / CHECKPOINT_FILE).write_bytes(content)
            trial.restore(Path(folder) / CHECKPOINT_FILE)
    return trial


def _report(trial: Steps, row: Mapping[str, Any], save: bool) -> Checkpoint | None:
    """Reports an epoch to Train. If ``save``, saves the trial first and returns the checkpoint."""
    import ray.train

    metrics = {"epoch": row["epoch"], "loss": row.get("loss")}
    if not save:
        ray.train.report(metrics)
        return None
    with tempfile.TemporaryDirectory() as folder:
        trial.save(Path(folder) / CHECKPOINT_FILE)
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))
    return ray.train.get_checkpoint()
