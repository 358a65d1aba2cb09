"""What a study will cost, before it runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from reports.store.schema import COMPLETE, CONFIRM
from study.agenda import Agenda
from study.plan import Cell
from study.resources import Allotment
from study.spec import StudySpec
from study.step_timing import step_speed
from trainables.config import TrialConfig
from trainables.data.naming import short_name
from trainables.data.sources import find_source
from trainables.data.survey import remembered_survey, survey_path
from trainables.data_dir import cache_folder, default_data_dir

if TYPE_CHECKING:
    from trainables.data.dataset import Dataset

_TRIAL_OVER_STEPS = 1.5
"""A trial's seconds over those of its training steps: it is also loaded and scored. The means of
25 cells (222 short trials, digits and CIFAR-10) were 1.3 to 2.8; long trials are nearer to 1."""
_DOUBT_TIMED, _DOUBT_RECORDED = 2.0, 1.5
"""By which factor hours may be wrong in either direction."""


@dataclass
class Work:
    """Work of some trials. FLOPs are those of training, hours those of the devices."""

    trials: int = 0
    epochs: int = 0
    flops: float = 0.0
    cpu_hours: float = 0.0
    gpu_hours: float = 0.0

    def __add__(self, other: Work) -> Work:
        names = [field.name for field in fields(self)]
        return Work(*(getattr(self, name) + getattr(other, name) for name in names))

    def __mul__(self, times: int) -> Work:
        return Work(*(times * getattr(self, field.name) for field in fields(self)))


class TrialCosts:
    """What one trial of each cell of a study costs.

    Recorded trials of the cell say it. Without them torch counts the operations, and recorded
    trials of other cells with the same encoder say how long these take. An encoder without recorded
    trials is timed once (`step_speed`).
    """

    def __init__(
        self,
        spec: StudySpec,
        data_dir: Path | None,
        timed: bool = True,
        trials: pd.DataFrame | None = None,
    ) -> None:
        """Prepares; nothing is loaded yet.

        Args:
            spec: the study.
            data_dir: the folder of the data sets.
            timed: also estimate hours. Where no trial of a (data set, encoder, width) is recorded:
                time a few steps of its first cell, and scale them to the other cells by their
                FLOPs.
            trials: the recorded trials of the study.
        """
        self._spec, self._data_dir, self.timed = spec, data_dir, timed
        self._complete, self._confirm = _by_cell(trials), _test_images(trials)
        self._recorded_speeds = _speeds(self._complete.values())
        self._speeds: dict[tuple[str, str, int], float] = {}
        """Of the encoders that were timed."""
        self.from_rows = False
        """Whether recorded trials gave the hours of a cell."""
        self._known: dict[str, Work] = {}
        self._asked: dict[str, TrialConfig] = {}
        """A configuration of each data set of the cells asked for so far, by its short name."""

    def of(self, cell: Cell) -> Work:
        """The work of one trial of ``cell``, the same in all its searches. Pruning is not counted.

        Raises:
            InputError: a data set is missing.
        """
        self._asked.setdefault(short_name(cell.config.dataset), cell.config)
        if cell.name not in self._known:
            self._known[cell.name] = self._recorded(cell) or self._measured(cell)
        return self._known[cell.name]

    @property
    def from_steps(self) -> bool:
        """Whether timed steps gave the hours of a cell."""
        return bool(self._speeds)

    @property
    def doubt(self) -> float:
        """By which factor the hours of the cells asked for so far may be wrong."""
        return _DOUBT_TIMED if self.from_steps else _DOUBT_RECORDED

    def test_images(self) -> int | None:
        """Of the smallest test split of the cells asked for so far; None: no cell was asked for.

        Raises:
            InputError: a data set is missing.
        """
        found = [
            self._confirm.get(dataset) or self._test_split(config)
            for dataset, config in self._asked.items()
        ]
        return min(found, default=None)

    def _test_split(self, config: TrialConfig) -> int:
        """Test images of a data set: as surveyed on this machine, else it is loaded."""
        place = self._data_dir or default_data_dir()
        source = find_source(config.dataset, place)
        survey = remembered_survey(survey_path(source, cache_folder(place)))
        return survey.images["test"] if survey else len(self._load(config).test)

    def _recorded(self, cell: Cell) -> Work | None:
        """The mean over the complete trials of the cell, each width counted once; None: too few."""
        rows = self._complete.get(cell.name)
        if rows is None:
            return None
        rows = rows[rows["epochs"] == cell.config.epochs]
        means = rows.groupby("width")[["flops", "seconds"]].mean().to_dict("index")
        if not set(cell.widths) <= set(means):
            return None
        work = Work(1, cell.config.epochs)
        self.from_rows = True
        for sized in cell.configs:
            mean = means[sized.width]
            work.flops += mean["flops"] / len(cell.configs)
            hours = mean["seconds"] * self._allotment(sized).workers / 3600
            self._add_hours(work, sized, hours / len(cell.configs))
        return work

    def _measured(self, cell: Cell) -> Work:
        # Imported lazily: torch takes seconds, and recorded trials need neither.
        from trainables.device.flops import training_flops

        config = cell.config
        data = self._load(config)
        images = len(data.train) // config.batch_size * config.batch_size
        work = Work(1, config.epochs)
        # A joint search has not chosen its widths yet: assume equally many trials of each width.
        for sized in cell.configs:
            epochs = config.epochs / len(cell.configs)
            flops = training_flops(sized, data.image_size, data.channels) * images * epochs
            work.flops += flops
            if self.timed:
                # Each of k workers takes 1/k of these hours, so their sum is the same.
                self._add_hours(work, sized, flops / self._speed(sized) / 3600)
        return work

    def _add_hours(self, work: Work, config: TrialConfig, hours: float) -> None:
        """Adds hours of workers, as hours of the devices that each worker has."""
        if self.timed:
            resources = self._allotment(config)
            work.cpu_hours += hours * resources.cpus
            work.gpu_hours += hours * resources.gpus

    def _allotment(self, config: TrialConfig) -> Allotment:
        return self._spec.resources.of(config.encoder, config.width)

    def _load(self, config: TrialConfig) -> Dataset:
        from trainables.data.dataset import load_dataset

        return load_dataset(
            config.dataset,
            image_size=config.image_size,
            validation_fraction=config.validation_fraction,
            train_fraction=config.train_fraction,
            data_dir=self._data_dir,
        )

    def _speed(self, config: TrialConfig) -> float:
        """Training FLOPs for each second of a whole trial, of one worker."""
        key = (config.dataset, config.encoder, config.width)
        allotment = self._allotment(config)
        if key in self._recorded_speeds:
            self.from_rows = True
            return self._recorded_speeds[key] / allotment.workers
        if key not in self._speeds:
            threads = max(1, int(allotment.cpus))  # as many as the study gives to a trial
            step = step_speed(config, threads, self._data_dir)
            self._speeds[key] = step / _TRIAL_OVER_STEPS
        return self._speeds[key]


def _speeds(cells: Iterable[pd.DataFrame]) -> dict[tuple[str, str, int], float]:
    """FLOPs a second of the complete trials of each (data set, encoder, width)."""
    rows = [cell[["dataset", "encoder", "width", "flops", "seconds"]] for cell in cells]
    if not rows:
        return {}
    sums = pd.concat(rows).groupby(["dataset", "encoder", "width"])[["flops", "seconds"]].sum()
    return {
        (str(dataset), str(encoder), int(width)): flops / seconds
        for (dataset, encoder, width), flops, seconds in zip(
            sums.index, sums["flops"], sums["seconds"], strict=True
        )
    }


def _by_cell(trials: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    """The complete trials of each cell whose cost is recorded."""
    if trials is None:
        return {}
    complete = trials[trials["status"] == COMPLETE].dropna(subset=["flops", "seconds"])
    return {str(cell): rows for cell, rows in complete.groupby("cell")}


def _test_images(trials: pd.DataFrame | None) -> dict[str, int]:
    """The test images of each data set that has recorded confirm trials, by its short name."""
    if trials is None:
        return {}
    confirm = trials[trials["phase"] == CONFIRM].dropna(subset=["scored_images"])
    found = confirm.groupby(confirm["dataset"].map(short_name))["scored_images"].min()
    return {str(dataset): int(images) for dataset, images in found.items()}


def missing_work(agenda: Agenda, costs: TrialCosts) -> dict[str, Work]:
    """The work that each cell lacks in all its searches, by the cell's name.

    Raises:
        InputError: a data set is missing.
    """
    found: dict[str, Work] = {}
    for state in agenda.searches.values():
        planned = agenda.spec.trials + agenda.planned_confirms(state)
        missing = found.get(state.cell.name, Work())
        if trials := planned - agenda.done_in(state):
            missing += costs.of(state.cell) * trials
        found[state.cell.name] = missing
    return found


def encoder_sizes(configs: Iterable[TrialConfig], trials: pd.DataFrame) -> list[int]:
    """The capacities of all encoders of ``configs``, parameters, each once.

    Those that ``trials`` has recorded are read from it; the others are counted.
    """
    rows = trials[["dataset", "encoder", "width", "stem", "parameters"]].dropna()
    recorded = {
        (short_name(dataset), *key): int(size)
        for dataset, *key, size in rows.itertuples(index=False, name=None)
    }
    sizes = set()
    for config in configs:
        key = (short_name(config.dataset), config.encoder, config.width, config.stem)
        size = recorded.get(key)
        if size is None:
            from trainables.device.flops import encoder_parameters

            size = encoder_parameters(config, config.image_size or 32)
        sizes.add(size)
    return sorted(sizes)
