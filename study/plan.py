"""A study's cells, their searches, and the trials that fill them.

Ids are deterministic: the same study gives the same ids, so a recorded trial is found by its id.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

from optuna.distributions import CategoricalDistribution

from reports.store.schema import CONFIRM, TUNE
from search_spaces import Space
from study.spec import StudySpec
from trainables.config import TrialConfig, parse_config
from trainables.data.naming import has_short_name, short_name
from trainables.errors import InputError


@dataclass(frozen=True)
class Cell:
    """One tuning problem (a dataset, method, encoder, width and arm) in one of its searches."""

    config: TrialConfig
    """The configuration before anything is tuned: the values of the search's first trial."""
    space: Space
    widths: tuple[int, ...]
    """The cell's width; all widths of the study if width is searched with the rest."""
    search: int = 0
    """Which search of the cell, from 0: the replicate that it belongs to."""

    @property
    def search_id(self) -> str:
        """The id of this search of the cell; the ids of its trials begin with it."""
        return search_id(self.name, self.search)

    @property
    def name(self) -> str:
        """The cell's id, the same for all its searches, fit for a file name."""
        config, width = self.config, ".".join(str(width) for width in self.widths)
        method, encoder, arm = (
            slug(name) if ":" in name else name
            for name in (config.method, config.encoder, config.arm)
        )
        return f"{dataset_id(config.dataset)}-{method}-{encoder}-w{width}-{arm}"

    @property
    def configs(self) -> list[TrialConfig]:
        """``config`` at each of the cell's widths."""
        return [parse_config({**dict(self.config), "width": width}) for width in self.widths]


@dataclass(frozen=True)
class DueTrial:
    """A trial that is due: nothing that it waits for is missing, so it can be started."""

    trial_id: str
    cell: str
    search: int
    phase: str
    config: TrialConfig
    split: str
    number: int | None = None
    tuned_from: str | None = None
    error: str | None = None
    """Why a trial would refuse ``config``, in one line: this trial is not to be started."""

    @property
    def search_id(self) -> str:
        """The id of the search that the trial belongs to."""
        return search_id(self.cell, self.search)

    def identity(self) -> dict[str, Any]:
        """The columns of ``trials`` that say which trial this is."""
        return {
            "trial_id": self.trial_id,
            "cell": self.cell,
            "search": self.search,
            "phase": self.phase,
            "number": self.number,
            "tuned_from": self.tuned_from,
            "split": self.split,
            **self.config.model_dump(mode="json"),
        }


def search_id(cell: str, search: int) -> str:
    """The id of one search of a cell; the first search has the cell's own name."""
    return f"{cell}-r{search}" if search else cell


def replicate_of(row: Mapping[str, Any]) -> int:
    """The replicate that a row of ``trials`` belongs to; rows from before there were several: 0."""
    return int(row.get("search") or 0)


def search_of(row: Mapping[str, Any]) -> str:
    """The id of the search that a row of ``trials`` belongs to."""
    return search_id(row["cell"], replicate_of(row))


def dataset_id(name: str) -> str:
    """The data set in a cell's id: its short name as it is, else its `slug`."""
    return short_name(name) if has_short_name(name) else slug(name)


def slug(name: str) -> str:
    """A name, of a data set say, fit for a file name; a digest keeps altered names apart."""
    clean = re.sub(r"[^A-Za-z0-9_.]+", "_", name)
    if clean == name:
        return name
    return f"{clean.strip('_')[-40:]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


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
    return [
        Problem(dataset, method, encoder, widths, arm)
        for dataset, method, encoder in product(spec.datasets, spec.methods, spec.encoders)
        for widths in _together(spec.widths_of(encoder), joint)
        for arm in spec.arms
    ]


def _together(widths: tuple[int, ...], joint: bool) -> list[tuple[int, ...]]:
    """The widths of each cell of an encoder."""
    return [widths] if joint else [(width,) for width in widths]


def planned_confirms(spec: StudySpec, widths: Sequence[int]) -> int:
    """Confirm trials of one search of a cell: every seed at each of its widths."""
    return spec.seeds_of_search * len(widths)


def cells(spec: StudySpec) -> list[Cell]:
    """All cells of a study in their first search, in the order of its lists.

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


def in_search(cell: Cell, spec: StudySpec, search: int) -> Cell:
    """``cell`` in search ``search``: another replicate has another seed."""
    config = cell.config.model_copy(update={"seed": spec.tune_seed(search)})
    return replace(cell, config=config, search=search)


def open_replicates(spec: StudySpec, recorded: Iterable[int]) -> int:
    """How many times every cell is searched, as far as that is decided.

    Args:
        spec: the study. If it is looked at until its verdict falls, it may have more replicates
            than ``searches``. The driver starts one only after a look that asked for it.
        recorded: the replicates of the recorded rows.
    """
    ended = {replicate + 1 for replicate in recorded}
    return max([spec.searches, *(count for count in ended if count <= spec.most_searches)])


def tune_id(cell: Cell, number: int) -> str:
    """The id of trial ``number`` of a cell's search."""
    return f"{cell.search_id}-tune-{number:04d}"


def tune_trial(cell: Cell, number: int, parameters: Mapping[str, Any]) -> DueTrial:
    """Trial ``number`` of a cell's search, scored on the validation split."""
    config, error = _changed(cell.config, parameters)
    name = tune_id(cell, number)
    return DueTrial(
        name, cell.name, cell.search, TUNE, config, "validation", number=number, error=error
    )


def confirm_trial(cell: Cell, best: TrialConfig, tuned_from: str, seed: int) -> DueTrial:
    """The cell's best configuration on a fresh seed, scored on the test split.

    The configuration's digest is part of the id: once more tuning finds a better one, the old
    confirm trials are not mistaken for its own.
    """
    config, error = _changed(best, {"seed": seed})
    name = f"{cell.search_id}-confirm-s{seed}-{config.digest()}"
    return DueTrial(
        name, cell.name, cell.search, CONFIRM, config, "test", tuned_from=tuned_from, error=error
    )


def _changed(config: TrialConfig, changes: Mapping[str, Any]) -> tuple[TrialConfig, str | None]:
    """``config`` with ``changes``, and what is wrong with them.

    A configuration that is wrong is returned without validation, so that it can be recorded.
    """
    values = {**dict(config), **changes}
    try:
        return parse_config(values, "suggestion"), None
    except InputError as error:
        return TrialConfig.model_construct(**values), str(error)
