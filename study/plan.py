"""A study's cells, and the trials that fill them.

Ids are deterministic: the same study gives the same ids, so a recorded trial is found by its id.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from optuna.distributions import CategoricalDistribution

from reports.store.schema import CONFIRM, TUNE
from search_spaces import Space
from study.spec import StudySpec
from trainables.config import TrialConfig, parse_config
from trainables.errors import InputError


@dataclass(frozen=True)
class Cell:
    """One tuning problem: a dataset, method, encoder, width and arm."""

    config: TrialConfig
    """The configuration before anything is tuned: the values of the cell's first trial."""
    space: Space
    widths: tuple[int, ...]
    """The cell's width; all widths of the study if width is searched with the rest."""

    @property
    def name(self) -> str:
        """The cell's id, fit for a file name."""
        config, width = self.config, ".".join(str(width) for width in self.widths)
        return f"{slug(config.dataset)}-{config.method}-{config.encoder}-w{width}-{config.arm}"

    @property
    def configs(self) -> list[TrialConfig]:
        """``config`` at each of the cell's widths."""
        return [parse_config({**dict(self.config), "width": width}) for width in self.widths]


@dataclass(frozen=True)
class DueTrial:
    """A trial that is due: nothing that it waits for is missing, so it can be started."""

    trial_id: str
    cell: str
    phase: str
    config: TrialConfig
    split: str
    number: int | None = None
    tuned_from: str | None = None
    error: str | None = None
    """Why a trial would refuse ``config``, in one line: this trial is not to be started."""

    def identity(self) -> dict[str, Any]:
        """The columns of ``trials`` that say which trial this is."""
        return {
            "trial_id": self.trial_id,
            "cell": self.cell,
            "phase": self.phase,
            "number": self.number,
            "tuned_from": self.tuned_from,
            "split": self.split,
            **self.config.model_dump(mode="json"),
        }


def slug(dataset: str) -> str:
    """A data set's name fit for a file name; a digest keeps altered names apart."""
    clean = re.sub(r"[^A-Za-z0-9_.]+", "_", dataset)
    if clean == dataset:
        return dataset
    return f"{clean.strip('_')[-40:]}_{hashlib.sha256(dataset.encode()).hexdigest()[:8]}"


class Problem(NamedTuple):
    """What names a cell; `cells` adds the configurations."""

    dataset: str
    method: str
    encoder: str
    widths: tuple[int, ...]
    arm: str


def problems(spec: StudySpec) -> list[Problem]:
    """The cells of a study by name, in the order of its lists."""
    joint = spec.treat_width == "joint"
    together = [spec.widths] if joint else [(width,) for width in spec.widths]
    return [
        Problem(*names)
        for names in product(spec.datasets, spec.methods, spec.encoders, together, spec.arms)
    ]


def planned_confirms(spec: StudySpec, widths: Sequence[int]) -> int:
    """Confirm trials of a cell: every seed at each of its widths."""
    return len(spec.confirm_seeds) * len(widths)


def cells(spec: StudySpec) -> list[Cell]:
    """All cells of a study, in the order of its lists.

    Raises:
        InputError: a cell's configuration is out of range.
    """
    joint = spec.treat_width == "joint"
    searched: Space = {"width": CategoricalDistribution(spec.widths)} if joint else {}
    return [
        Cell(
            spec.fixed_arms(dataset, method, encoder, widths[0])[arm],
            {**spec.space_of(method, arm), **searched},
            widths,
        )
        for dataset, method, encoder, widths, arm in problems(spec)
    ]


def tune_id(cell: Cell, number: int) -> str:
    """The id of trial ``number`` of a cell's search."""
    return f"{cell.name}-tune-{number:04d}"


def tune_trial(cell: Cell, number: int, parameters: Mapping[str, Any]) -> DueTrial:
    """Trial ``number`` of a cell's search, scored on the validation split."""
    config, error = _changed(cell.config, parameters)
    return DueTrial(
        tune_id(cell, number), cell.name, TUNE, config, "validation", number=number, error=error
    )


def confirm_trial(cell: Cell, best: TrialConfig, tuned_from: str, seed: int) -> DueTrial:
    """The cell's best configuration on a fresh seed, scored on the test split.

    The configuration's digest is part of the id: once more tuning finds a better one, the old
    confirm runs are not mistaken for its own.
    """
    config, error = _changed(best, {"seed": seed})
    name = f"{cell.name}-confirm-s{seed}-{config.digest()}"
    return DueTrial(name, cell.name, CONFIRM, config, "test", tuned_from=tuned_from, error=error)


def _changed(config: TrialConfig, changes: Mapping[str, Any]) -> tuple[TrialConfig, str | None]:
    """``config`` with ``changes``, and what is wrong with them.

    A configuration that is wrong is returned without validation, so that it can be recorded.
    """
    values = {**dict(config), **changes}
    try:
        return parse_config(values, "suggestion"), None
    except InputError as error:
        return TrialConfig.model_construct(**values), str(error)
