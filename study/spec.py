"""The study: a YAML file, validated."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import IO, Annotated, Any, Literal, Self, assert_never

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from reports.statistics.lines_rule import Rule, Size, line_names
from reports.statistics.searches import FEWEST_SEARCHES
from search_spaces import Space, narrow, own_parameters, space
from study.matching import match_compute
from study.resources import Resources, size_name
from study.samplers import SAMPLERS
from study.shipped import preset_text
from study.suggestions import check_suggestions, check_workers
from study.trackers import TRACKERS
from study.yaml_files import MAX_CHARACTERS, dump_yaml, load_yaml
from trainables.config import (
    NO_WIDTH,
    ArmName,
    EncoderName,
    MethodName,
    NameOf,
    Role,
    TrialConfig,
    describe,
    fields_with,
    parse_config,
)
from trainables.data.naming import check_short_names
from trainables.encoders import ENCODERS
from trainables.errors import InputError, cause, listed
from trainables.own_objects import search_in

TrackerName = Annotated[str, NameOf(TRACKERS)]
MAX_SEEDS = 10_000
MAX_SEARCHES = 1000
_SEEDS_APART = MAX_SEEDS + 1
"""From a search's seeds to those of the next: room for its tune seed and every confirm seed, so
that more seeds never shift another search's seeds."""
_MAX_SEED = (1 << 31) - 1
"""The largest `TrialConfig.seed`."""
_CELL_FIELDS = fields_with(Role.CELL, Role.SEED)


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class Search(_Section):
    """How configurations are suggested within a cell."""

    sampler: Annotated[str, NameOf(SAMPLERS)] = "tpe"
    """the Optuna sampler that suggests configurations"""
    startup_trials: Annotated[int, Field(ge=1, le=1_000_000)] = 8
    """random trials before the sampler uses its model"""
    parallel_per_cell: Annotated[int, Field(ge=1, le=1000)] = 1
    """tune trials of one cell that may run at once; cells always run in parallel"""


class Stopping(_Section):
    """Whether tune trials with a low kNN accuracy are stopped early."""

    rule: Literal["none", "asha"] = "none"
    """none, or asha: within each cell, compare trials at fixed epochs and stop the worst"""
    grace_epochs: Annotated[int, Field(ge=1, le=100_000)] = 10
    """no trial is stopped before this epoch"""
    reduction_factor: Annotated[float, Field(gt=1, le=100)] = 3.0
    """at each comparison, one trial in this many continues"""


class StudySpec(_Section):
    """A study: what is compared, how it is tuned, with which budget."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    """name of the study"""
    datasets: Annotated[tuple[str, ...], Field(min_length=1)]
    """data sets to train on; NAME=KIND:PATH gives one a name for ids and reports"""
    methods: Annotated[tuple[MethodName, ...], Field(min_length=1)] = ("moco", "simclr")
    """contrastive methods"""
    encoders: Annotated[tuple[EncoderName, ...], Field(min_length=1)] = ("resnet18",)
    """encoders, each trained at every width that it comes in"""
    widths: tuple[int, ...] = ()
    """channels of the encoders' first stage; models of timm come in one size and need none"""
    arms: Annotated[tuple[ArmName, ...], Field(min_length=1)] = ("none", "mixco")
    """arms to compare; gains are measured against none"""

    base: dict[str, Any] = {}
    """fields of a trial's configuration, for every trial"""
    of_method: dict[MethodName, dict[str, Any]] = {}
    """fields for one method's trials; they replace those of base"""
    of_arm: dict[ArmName, dict[str, Any]] = {}
    """fields for one arm's trials; they replace those of base and of_method"""
    space: dict[str, Any] = {}
    """changes to the shipped search spaces"""

    lines: Rule | dict[str, tuple[str, ...]] = "auto"
    """over which encoders a report follows a gain. width: the widths of each encoder; depth: at
    each width, the encoders of a family; all: all encoders together; auto: an encoder of several
    widths is a line, all others are one; or the encoders of each line, by the line's name"""
    treat_width: Literal["stratify", "joint"] = "stratify"
    """stratify: each width is a cell of its own; joint: a search also chooses the width, for high
    accuracy and few FLOPs"""
    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 4
    """tune trials of each search of a cell"""
    searches: Annotated[int, Field(ge=1, le=MAX_SEARCHES)] = 5
    """independent searches of each cell, each with seeds of its own: the replicates"""
    until: Literal["searches", "verdict"] = "searches"
    """searches: stop after ``searches`` searches; verdict: look at the results then, and add one
    search after another until the verdict falls, is out of reach, or ``max_searches`` are done"""
    max_searches: Annotated[int, Field(ge=1, le=MAX_SEARCHES)] | None = None
    """searches at the last look, with ``until: verdict``"""
    seeds: int | tuple[int, ...] = 1
    """seeds of the confirm trials of each search: their number, or a list"""
    search: Search = Search()
    stopping: Stopping = Stopping()
    match: Literal["epochs", "compute"] = "epochs"
    """what all arms get the same amount of: epochs, or training FLOPs"""
    warm_start: bool = False
    """start a cell's second trial from the best configuration of the next smaller encoder on its
    line"""
    runner: Literal["reused", "train"] | None = None
    """reused: trials run one after another in processes that stay; train: on Ray Train's workers;
    default: reused for one worker, train for more"""
    resources: Resources = Resources()
    trackers: tuple[TrackerName, ...] = ("tensorboard",)
    """where trials are logged besides the results"""
    seed: Annotated[int, Field(ge=0, lt=1 << 30)] = 0
    """seed of the samplers and of the tune trials; each later search has its own, 10,001 further"""

    @model_validator(mode="before")
    @classmethod
    def _lists_to_tuples(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {
            key: _tupled(value)
            if key != "lines" or not isinstance(value, Mapping)
            else {name: _tupled(encoders) for name, encoders in value.items()}
            for key, value in values.items()
        }

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("datasets", "methods", "encoders", "widths", "arms", "trackers"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: [{listed(values)}] names something twice")
        check_short_names(*self.datasets)
        self._check_looks()
        self._check_seeds()
        self._check_widths()
        self._check_lines()
        if self.treat_width == "joint":
            self._joint_is_possible()
        self._check_resources()
        for section in (self.base, *self.of_method.values(), *self.of_arm.values()):
            for name in section:
                if name in _CELL_FIELDS:
                    raise ValueError(f"base: {name} is not set here but by the study's own fields")
        return self

    def _check_looks(self) -> None:
        match self.until:
            case "searches":
                if self.max_searches is not None:
                    raise ValueError("max_searches: is for until: verdict only")
            case "verdict":
                if self.max_searches is None:
                    raise ValueError("until: verdict needs max_searches, the searches at its end")
                if not FEWEST_SEARCHES <= self.searches <= self.max_searches:
                    raise ValueError(
                        f"searches: until: verdict looks first at {self.searches} searches and "
                        f"last at {self.max_searches} (allowed: from {FEWEST_SEARCHES} to "
                        "max_searches)"
                    )
            case _:
                assert_never(self.until)

    def _check_widths(self) -> None:
        sized = [name for name in self.encoders if not ENCODERS.find(name).has_widths]
        if len(sized) < len(self.encoders) and not self.widths:
            wide = next(name for name in self.encoders if name not in sized)
            raise ValueError(f"widths: is required, since {wide} comes in any width")
        if len(sized) == len(self.encoders) and self.widths:
            raise ValueError(f"widths: {sized[0]} has no width; leave widths out")
        if self.widths and min(self.widths) < 1:
            raise ValueError(f"widths: {min(self.widths)} is below 1")

    def _check_lines(self) -> None:
        if isinstance(self.lines, str):
            return
        named = [name for encoders in self.lines.values() for name in encoders]
        if sorted(named) != sorted(self.encoders):
            raise ValueError(
                f"lines: [{listed(named)}] must name each of the encoders once "
                f"({listed(self.encoders)})"
            )

    def _check_seeds(self) -> None:
        if isinstance(self.seeds, int):
            if self.seeds < 1:
                raise ValueError(f"seeds: {self.seeds} is below 1")
            if self.seeds > MAX_SEEDS:
                raise ValueError(f"seeds: {self.seeds} is above {MAX_SEEDS}")
            return
        if len(self.seeds) > MAX_SEEDS:
            raise ValueError(f"seeds: {len(self.seeds)} seeds are more than {MAX_SEEDS}")
        distinct = len(set(self.seeds)) == len(self.seeds)
        if not (self.seeds and distinct and 0 <= min(self.seeds) <= max(self.seeds) <= _MAX_SEED):
            raise ValueError(
                f"seeds: [{listed(self.seeds)}] must be distinct numbers from 0 to {_MAX_SEED}"
            )
        if self.seed in self.seeds:
            raise ValueError(f"seeds: {self.seed} is the tune trials' seed (field seed)")
        if self.most_searches > 1:
            self._check_listed_seeds(self.seeds)

    def _check_listed_seeds(self, seeds: tuple[int, ...]) -> None:
        """Each later search shifts the list: within `MAX_SEEDS` the searches stay apart."""
        first, last = self.seed + 1, self.seed + MAX_SEEDS
        if not first <= min(seeds) <= max(seeds) <= last:
            raise ValueError(
                f"seeds: [{listed(seeds)}] of {self.most_searches} searches must be from {first} "
                f"to {last}, so that no search has another's seeds"
            )

    def _check_resources(self) -> None:
        for name in self.resources.encoders:
            if name not in self.encoders:
                raise ValueError(
                    f"resources: {name} is no encoder of this study "
                    f"(allowed: {listed(self.encoders)}, or a width)"
                )
        for size in self.sizes:
            if lacking := self.resources.lacking(*size):
                raise ValueError(
                    f"resources.{lacking}: has no number for {size_name(*size)} (allowed: one "
                    "number for all, or numbers by width and by the encoder's name)"
                )
            self._workers_are_possible(size)

    def _workers_are_possible(self, size: Size) -> None:
        given = self.resources.of(*size)
        if given.workers > 1 and self.runner == "reused":
            raise ValueError(
                f"runner: reused is for one worker, resources.workers gives {size_name(*size)} "
                f"{given.workers} (allowed: train)"
            )
        if given.workers > 1 and given.gpus % 1:
            raise ValueError(
                f"resources.gpus: {given.gpus:g} for each of {given.workers} workers "
                f"({size_name(*size)}): workers of one trial cannot share a GPU (allowed: whole "
                "numbers)"
            )

    def _joint_is_possible(self) -> None:
        sampler = SAMPLERS.find(self.search.sampler)
        if not sampler.two_objectives:
            raise ValueError(
                f"search.sampler: {sampler.name} has one objective, treat_width: joint has two"
            )
        if self.stopping.rule != "none":
            raise ValueError(
                "stopping: with treat_width: joint a ladder would stop the small encoders "
                "(allowed: rule none)"
            )
        if any(width == NO_WIDTH for _, width in self.sizes):
            raise ValueError("treat_width: joint is for encoders that come in any width")
        if self.warm_start:
            raise ValueError("warm_start: with treat_width: joint no cell has a narrower one")
        if self.trials < len(self.widths):
            raise ValueError(
                f"trials: {self.trials} is below the {len(self.widths)} widths that treat_width: "
                "joint tries with the defaults first"
            )

    def widths_of(self, encoder: str) -> tuple[int, ...]:
        """The widths at which an encoder is trained; ``(NO_WIDTH,)`` where it comes in one size."""
        return self.widths if ENCODERS.find(encoder).has_widths else (NO_WIDTH,)

    @property
    def sizes(self) -> list[Size]:
        """Every encoder at each of its widths, in the order of the lists."""
        return [(name, width) for name in self.encoders for width in self.widths_of(name)]

    @property
    def line_of(self) -> dict[Size, str]:
        """The name of the line of each of `sizes`."""
        return line_names(self.sizes, self.lines)

    def runner_of(self, size: Size) -> Literal["reused", "train"]:
        """The runner of trials of that encoder and width."""
        return self.runner or ("reused" if self.resources.of(*size).workers == 1 else "train")

    def tune_seed(self, search: int) -> int:
        """Seed of a replicate's samplers and tune trials: the same for every cell."""
        return self.seed + search * _SEEDS_APART

    def confirm_seeds(self, search: int) -> tuple[int, ...]:
        """Seeds of a replicate's confirm trials: the same for every cell.

        No seed is another replicate's, and none is a tune trials' seed.
        """
        if isinstance(self.seeds, int):
            first = self.tune_seed(search) + 1
            return tuple(range(first, first + self.seeds))
        return tuple(seed + search * _SEEDS_APART for seed in self.seeds)

    @property
    def most_searches(self) -> int:
        """Searches of each cell at most."""
        return self.max_searches or self.searches

    @property
    def seeds_of_search(self) -> int:
        """Confirm seeds of each search: their number."""
        return self.seeds if isinstance(self.seeds, int) else len(self.seeds)

    def fixed(self, dataset: str, method: str, encoder: str, width: int, arm: str) -> TrialConfig:
        """The configuration of a cell before tuning.

        Raises:
            InputError: unknown field or value out of range.
        """
        values = {
            **self.base,
            **self.of_method.get(method, {}),
            **self.of_arm.get(arm, {}),
            "dataset": dataset,
            "method": method,
            "encoder": encoder,
            "width": width,
            "arm": arm,
            "seed": self.seed,
        }
        return parse_config(values, f"study {self.name}")

    def fixed_arms(
        self, dataset: str, method: str, encoder: str, width: int
    ) -> dict[str, TrialConfig]:
        """`fixed` for each arm of one problem, with the epochs that `match` gives each arm.

        Raises:
            InputError: unknown field or value out of range; no epochs match.
        """
        configs: dict[str, TrialConfig] = {
            arm: self.fixed(dataset, method, encoder, width, arm) for arm in self.arms
        }
        match self.match:
            case "epochs":
                return configs
            case "compute":
                return match_compute(configs)
            case _:
                assert_never(self.match)

    def space_of(self, method: str, arm: str) -> Space:
        """The search space of one method and arm in this study.

        Raises:
            InputError: a change to the shipped space is malformed.
        """
        own = {
            name: parameter
            for each in product(self.methods, self.arms)
            for name, parameter in own_parameters(*each).items()
        }
        return narrow(space(method, arm), self.space, arm, set(own_parameters(method, arm)), own)


def parse_spec(text: str, where: str) -> StudySpec:
    """Read a study from YAML text, and check every configuration that it can suggest.

    Raises:
        InputError: one line with everything that is wrong.
    """
    try:
        spec = StudySpec.model_validate(load_yaml(text, where))
    except ValidationError as error:
        raise InputError(f"{where}: {describe(error, StudySpec)}") from None
    try:
        _check_cells(spec)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return spec


def _check_cells(spec: StudySpec) -> None:
    """Checks that each cell of the study can run a trial.

    Raises:
        InputError: names the field, and the value that is not allowed.
    """
    first = spec.encoders[0]
    width = spec.widths_of(first)[0]
    for (
        dataset
    ) in spec.datasets:  # cells that differ in nothing but the data set pass the same checks
        spec.fixed(dataset, spec.methods[0], first, width, spec.arms[0])
    for method in spec.methods:
        spaces: dict[str, Space] = {arm: spec.space_of(method, arm) for arm in spec.arms}
        for encoder in spec.encoders:
            for width in spec.widths_of(encoder):
                arms = spec.fixed_arms(spec.datasets[0], method, encoder, width)
                for arm, config in arms.items():
                    # No rule of a searched field depends on the encoder or its width.
                    if (encoder, width) == (first, spec.widths_of(first)[0]):
                        check_suggestions(config, spaces[arm])
                        _check_stopping(spec, config)
                    check_workers(config, spaces[arm], spec.resources.of(encoder, width).workers)


def _check_stopping(spec: StudySpec, config: TrialConfig) -> None:
    too_late = config.knn_every < 1 or spec.stopping.grace_epochs > config.epochs
    if spec.stopping.rule == "asha" and too_late:
        raise InputError(
            "stopping: asha compares kNN accuracies: knn_every must be 1 or more and "
            f"grace_epochs at most epochs ({config.epochs})"
        )


def load_spec(spec: str) -> StudySpec:
    """The study of a YAML file, the preset of that name, or of standard input (``-``).

    Raises:
        InputError: no such file or preset, or something wrong in it.
    """
    if spec == "-":
        return parse_spec(_read(sys.stdin.buffer, "standard input"), "standard input")
    path = Path(spec)
    try:
        if path.suffix in (".yaml", ".yml") or path.is_file():
            with path.open("rb") as file:
                search_in(path.parent)  # for names like module:Name in it
                return parse_spec(_read(file, spec), spec)
    except FileNotFoundError:
        raise InputError(f"{spec}: no such file") from None
    except OSError as error:
        raise InputError(f"{spec}: cannot be read: {cause(error)}") from None
    return parse_spec(preset_text(spec), f"preset {spec}")


def _read(file: IO[bytes], where: str) -> str:
    """The text of a file. A file that is too large is cut, but longer than `load_yaml` allows."""
    try:
        return file.read(4 * MAX_CHARACTERS + 4).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None


def dump_spec(spec: StudySpec) -> str:
    """The study as YAML with every default; `parse_spec` returns an equal study from it."""
    values = spec.model_dump(mode="python")
    return dump_yaml({name: _listed(value) for name, value in values.items()})


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(inner) for name, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value
