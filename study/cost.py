"""What a study will cost, and how far a gain spreads over seeds, before the study runs."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reports.statistics.gain import WIDTH, pairs
from reports.statistics.selection import select
from study.agenda import Agenda
from trainables.config import TrialConfig

TYPICAL_SPREAD = 0.3
"""Standard deviation of an accuracy over seeds, points: published runs have 0.1 to 0.3."""
_WARM_UP, _TIMED = 1, 3


@dataclass
class Work:
    """The work that some searches lack. FLOPs are those of training, hours those of the devices."""

    trials: int = 0
    epochs: int = 0
    flops: float = 0.0
    cpu_hours: float = 0.0
    gpu_hours: float = 0.0

    def __iadd__(self, other: Work) -> Work:
        self.trials += other.trials
        self.epochs += other.epochs
        self.flops += other.flops
        self.cpu_hours += other.cpu_hours
        self.gpu_hours += other.gpu_hours
        return self


def missing_work(agenda: Agenda, data_dir: Path | None, timed: bool = True) -> dict[str, Work]:
    """The work that each search of a cell lacks, by its id.

    Args:
        agenda: the study, with its recorded trials.
        data_dir: the folder of the data sets.
        timed: also estimate hours: time a few steps of the first cell of each (data set, encoder,
            width), and scale them to the other cells by their FLOPs.

    Pruned trials are counted in full, so the estimate is an upper bound.

    Raises:
        InputError: a data set is missing.
    """
    speeds: dict[tuple[str, str, int], float] = {}
    found = {}
    for name, state in agenda.searches.items():
        config = state.cell.config
        planned = agenda.spec.trials + agenda.planned_confirms(state)
        trials = planned - agenda.done_in(state)
        if not trials:
            found[name] = Work()
            continue
        # Imported lazily: torch takes seconds, and a complete study needs neither.
        from trainables.data.dataset import load_dataset
        from trainables.device.flops import training_flops

        data = load_dataset(
            config.dataset,
            image_size=config.image_size,
            validation_fraction=config.validation_fraction,
            train_fraction=config.train_fraction,
            data_dir=data_dir,
        )
        images = len(data.train) // config.batch_size * config.batch_size
        work = Work(trials, trials * config.epochs)
        # A joint search has not chosen its widths yet: assume equally many trials of each width.
        for sized in state.cell.configs:
            epochs = work.epochs / len(state.cell.configs)
            flops = training_flops(sized, data.image_size, data.channels) * images * epochs
            work.flops += flops
            if timed:
                key = (sized.dataset, sized.encoder, sized.width)
                if key not in speeds:
                    speeds[key] = _flops_per_second(sized, data_dir)
                hours = flops / speeds[key] / 3600
                resources = agenda.spec.resources.of(sized.width)
                # Each of k workers takes 1/k of these hours, so their sum is the same.
                work.cpu_hours += hours * resources.cpus
                work.gpu_hours += hours * resources.gpus
        found[name] = work
    return found


class _TimedEnoughError(Exception):
    pass


def _flops_per_second(config: TrialConfig, data_dir: Path | None) -> float:
    """Training FLOPs per second, from the median time of a few steps."""
    from trainables.device.flops import training_flops
    from trainables.trial import Trial

    # Do not compile: that would take longer than all the steps that are timed.
    trial = Trial(config.model_copy(update={"compile": "off"}), "validation", data_dir)
    ends: list[float] = []

    def note(step: int, steps: int) -> None:
        ends.append(time.perf_counter())
        if len(ends) > _WARM_UP + _TIMED or step == steps:
            raise _TimedEnoughError

    start = time.perf_counter()
    with contextlib.suppress(_TimedEnoughError):
        trial.advance(note)
    times = np.diff([start, *ends])
    seconds = float(np.median(times[_WARM_UP:] if len(times) > _WARM_UP else times))
    per_image = training_flops(config, trial.data.image_size, trial.data.channels)
    return per_image * config.batch_size / seconds


def gain_spread(trials: pd.DataFrame) -> float | None:
    """Standard deviation of a gain over seeds, points, pooled over all cells of ``trials``.

    Trials are selected and paired by the report's rules. None if no cell has two pairs.
    """
    gains = pairs(select(trials)).groupby(WIDTH)["gain"]
    freedom = (gains.size() - 1).sum()
    squares = (gains.var() * (gains.size() - 1)).sum()  # a cell of one pair has no variance
    return math.sqrt(squares / freedom) if freedom else None


def encoder_sizes(configs: Iterable[TrialConfig], trials: pd.DataFrame) -> list[int]:
    """The capacities of all encoders of ``configs``, parameters, each once.

    Those that ``trials`` has recorded are read from it; the others are counted.
    """
    rows = trials[["dataset", "encoder", "width", "stem", "parameters"]].dropna()
    recorded = {tuple(key): int(size) for *key, size in rows.itertuples(index=False, name=None)}
    sizes = set()
    for config in configs:
        size = recorded.get((config.dataset, config.encoder, config.width, config.stem))
        if size is None:
            from trainables.device.flops import encoder_parameters

            size = encoder_parameters(config, config.image_size or 32)
        sizes.add(size)
    return sorted(sizes)
