"""What a study will cost, before it runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from study.agenda import Agenda
from study.plan import Cell
from study.spec import StudySpec
from trainables.config import TrialConfig

_WARM_UP, _TIMED = 1, 3


@dataclass
class Work:
    """Work of some trials. FLOPs are those of training, hours those of the devices."""

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

    def __mul__(self, times: int) -> Work:
        return Work(*(times * getattr(self, field.name) for field in fields(self)))


class TrialCosts:
    """What one trial of each cell of a study costs; each width is timed once."""

    def __init__(self, spec: StudySpec, data_dir: Path | None, timed: bool = True) -> None:
        """Prepares; nothing is loaded yet.

        Args:
            spec: the study.
            data_dir: the folder of the data sets.
            timed: also estimate hours: time a few steps of the first cell of each (data set,
                encoder, width), and scale them to the other cells by their FLOPs.
        """
        self._spec, self._data_dir, self.timed = spec, data_dir, timed
        self._speeds: dict[tuple[str, str, int], float] = {}
        self._known: dict[str, Work] = {}
        self.test_images: int | None = None
        """Of the smallest test split of the cells asked for so far."""

    def of(self, cell: Cell) -> Work:
        """The work of one trial of ``cell``, the same in all its searches. Pruning is not counted.

        Raises:
            InputError: a data set is missing.
        """
        if cell.name not in self._known:
            self._known[cell.name] = self._measured(cell)
        return self._known[cell.name]

    def _measured(self, cell: Cell) -> Work:
        # Imported lazily: torch takes seconds, and a complete study needs neither.
        from trainables.data.dataset import load_dataset
        from trainables.device.flops import training_flops

        config = cell.config
        data = load_dataset(
            config.dataset,
            image_size=config.image_size,
            validation_fraction=config.validation_fraction,
            train_fraction=config.train_fraction,
            data_dir=self._data_dir,
        )
        self.test_images = min(self.test_images or len(data.test), len(data.test))
        images = len(data.train) // config.batch_size * config.batch_size
        work = Work(1, config.epochs)
        # A joint search has not chosen its widths yet: assume equally many trials of each width.
        for sized in cell.configs:
            epochs = config.epochs / len(cell.configs)
            flops = training_flops(sized, data.image_size, data.channels) * images * epochs
            work.flops += flops
            if self.timed:
                hours = flops / self._speed(sized) / 3600
                resources = self._spec.resources.of(sized.encoder, sized.width)
                # Each of k workers takes 1/k of these hours, so their sum is the same.
                work.cpu_hours += hours * resources.cpus
                work.gpu_hours += hours * resources.gpus
        return work

    def _speed(self, config: TrialConfig) -> float:
        key = (config.dataset, config.encoder, config.width)
        if key not in self._speeds:
            self._speeds[key] = _flops_per_second(config, self._data_dir)
        return self._speeds[key]


def missing_work(agenda: Agenda, costs: TrialCosts) -> dict[str, Work]:
    """The work that each cell lacks in all its searches, by the cell's name.

    Raises:
        InputError: a data set is missing.
    """
    found: dict[str, Work] = {}
    for state in agenda.searches.values():
        planned = agenda.spec.trials + agenda.planned_confirms(state)
        missing = found.setdefault(state.cell.name, Work())
        if trials := planned - agenda.done_in(state):
            missing += costs.of(state.cell) * trials
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
