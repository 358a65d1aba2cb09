"""How fast this machine trains, from a few timed steps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from study.doctor.hardware import other_load
from study.step_speeds import StepSpeeds
from trainables.config import TrialConfig
from trainables.device.cpus import default_threads

_WARM_UP, _TIMED = 1, 3


def step_speed(config: TrialConfig, threads: int, data_dir: Path | None) -> float:
    """Training FLOPs for each second of a training step.

    What was timed on a quiet machine is kept, and not timed again (`StepSpeeds`).

    Args:
        config: of the trial.
        threads: of torch, as many as the machine has at most.
        data_dir: the folder of the data sets; None: the default one.

    Raises:
        InputError: the data set is missing.
    """
    from trainables.device.runtime import Runtime

    # Do not compile: that would take longer than all the steps that are timed.
    config = config.model_copy(update={"compile": "off"})
    kept = StepSpeeds(data_dir)
    with _threads(min(threads, default_threads())):
        hardware = Runtime(config).hardware()
        speed = kept.find(config, hardware)
        if speed is None:
            speed = _timed(config, data_dir)
            if not other_load():
                kept.keep(config, hardware, speed)
        return speed


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    """So many torch threads within the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _TimedEnoughError(Exception):
    pass


def _timed(config: TrialConfig, data_dir: Path | None) -> float:
    """Training FLOPs per second, from the median time of a few steps."""
    import torch

    from trainables.device.flops import training_flops
    from trainables.trial import Trial

    trial = Trial(config, "validation", data_dir)
    # Other programs do not lengthen the CPU time of one thread, as they do the time on the wall.
    alone = not torch.cuda.is_available() and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    ends: list[float] = []

    def note(step: int, steps: int) -> None:
        ends.append(clock())
        if len(ends) > _WARM_UP + _TIMED or step == steps:
            raise _TimedEnoughError

    start = clock()
    with contextlib.suppress(_TimedEnoughError):
        trial.advance(note)
    times = np.diff([start, *ends])
    seconds = float(np.median(times[_WARM_UP:] if len(times) > _WARM_UP else times))
    per_image = training_flops(config, trial.data.image_size, trial.data.channels)
    return per_image * config.batch_size / seconds
