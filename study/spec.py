"""The study: a YAML file, validated."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from search_spaces import Space, narrow, space
from search_spaces.spaces import corners
from trainables.config import (
    ArmName,
    EncoderName,
    MethodName,
    Role,
    TrialConfig,
    describe,
    fields_with,
    parse_config,
)
from trainables.errors import InputError

_CELL_FIELDS = fields_with(Role.CELL, Role.SEED)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Search(_Section):
    """How configurations are suggested within a cell."""

    sampler: Annotated[
        Literal["tpe", "random", "gp", "cmaes", "nsgaii"], Field(description="Optuna's sampler")
    ] = "tpe"
    startup_trials: Annotated[
        int, Field(ge=1, description="random trials of a cell before the model is used")
    ] = 8
    parallel_per_cell: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="trials of a cell that may run at once; cells run in parallel",
        ),
    ] = 1


class Stopping(_Section):
    """Whether tune trials that look bad are stopped early."""

    rule: Annotated[Literal["none", "asha"], Field(description="none, or a ladder per cell")] = (
        "none"
    )
    grace_epochs: Annotated[int, Field(ge=1, description="no trial is stopped before")] = 10
    reduction_factor: Annotated[
        float, Field(gt=1, le=100, description="one trial in so many climbs each rung")
    ] = 3.0


class Allotment(NamedTuple):
    """What one trial is given."""

    workers: int
    cpus: float  # of each worker
    gpus: float  # of each worker

    @property
    def total(self) -> dict[str, float]:
        """Ray's resources of all its workers: ``{"CPU": ..., "GPU": ...}``."""
        return {"CPU": self.workers * self.cpus, "GPU": self.workers * self.gpus}


class Resources(_Section):
    """What a trial is given; numbers, or a mapping from the smallest width they hold for."""

    cpus: Annotated[
        float | dict[int, float],
        Field(description="CPUs for each worker of a trial; {from width: CPUs}"),
    ] = 1.0
    gpus: Annotated[
        float | Literal["auto"] | dict[int, float | Literal["auto"]],
        Field(
            description="GPUs for each worker; fractions for one worker; auto: from the memory "
            "that earlier trials of the width took"
        ),
    ] = 0.0
    workers: Annotated[
        int | dict[int, int], Field(description="processes that share each batch of a trial")
    ] = 1

    @model_validator(mode="after")
    def _sane(self) -> Self:
        for name, least in (("cpus", 0.01), ("gpus", 0.0), ("workers", 1)):
            value = getattr(self, name)
            numbers = list(value.values()) if isinstance(value, dict) else [value]
            if not numbers or min(n for n in [*numbers, least] if n != "auto") < least:
                raise ValueError(f"{name}: every number must be at least {least:g}, got {value}")
        return self

    def of(self, width: int, gpu_share: float = 1.0) -> Allotment:
        """What a trial of that width is given; ``gpu_share`` stands for ``gpus: auto``."""
        workers, cpus, gpus = (_at(value, width) for value in (self.workers, self.cpus, self.gpus))
        if gpus == "auto":
            gpus = gpu_share if workers == 1 else 1.0
        return Allotment(int(workers), float(cpus), float(gpus))


def _at(value: Any, width: int) -> Any:
    """A value that may depend on the width."""
    if not isinstance(value, dict):
        return value
    reached = [start for start in value if start <= width]
    return value[max(reached) if reached else min(value)]


class StudySpec(_Section):
    """A study: what is compared, how it is tuned, with which budget."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="its name")]
    datasets: Annotated[tuple[str, ...], Field(min_length=1)]
    methods: Annotated[tuple[MethodName, ...], Field(min_length=1)] = ("moco", "simclr")
    encoders: Annotated[tuple[EncoderName, ...], Field(min_length=1)] = ("resnet18",)
    widths: Annotated[tuple[int, ...], Field(min_length=1)]
    arms: Annotated[tuple[ArmName, ...], Field(min_length=1)] = ("none", "mixco")

    base: Annotated[
        dict[str, Any], Field(description="TrialConfig fields that hold for every trial")
    ] = {}
    of_method: Annotated[
        dict[MethodName, dict[str, Any]], Field(description="fields on top of base, by method")
    ] = {}
    of_arm: Annotated[
        dict[ArmName, dict[str, Any]], Field(description="fields on top of base, by arm")
    ] = {}
    space: Annotated[dict[str, Any], Field(description="changes to the shipped search spaces")] = {}

    treat_width: Annotated[
        Literal["stratify", "joint"],
        Field(
            description="each width a cell of its own, or widths searched with the rest: accuracy "
            "up, FLOPs down"
        ),
    ] = "stratify"
    trials: Annotated[int, Field(ge=1, description="tune trials of each cell")] = 20
    seeds: Annotated[
        int | tuple[int, ...], Field(description="confirm seeds: how many, or which")
    ] = 6
    search: Search = Search()
    stopping: Stopping = Stopping()
    match: Annotated[
        Literal["epochs", "compute"], Field(description="what the arms have in common")
    ] = "epochs"
    warm_start: Annotated[
        bool, Field(description="a cell's second trial is the best one of the next narrower width")
    ] = False
    runner: Annotated[
        Literal["reused", "train"] | None,
        Field(
            description="reused: a trial runs in a process that stays for the next one; train: on "
            "Ray Train's workers; default: reused for one worker, train for more"
        ),
    ] = None
    resources: Resources = Resources()
    trackers: Annotated[
        tuple[Literal["tensorboard", "wandb", "mlflow"], ...],
        Field(description="where its trials are logged besides the results"),
    ] = ("tensorboard",)
    seed: Annotated[
        int, Field(ge=0, lt=1 << 30, description="seed of the samplers and of every tune trial")
    ] = 0

    @model_validator(mode="before")
    @classmethod
    def _lists_to_tuples(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("datasets", "methods", "encoders", "widths", "arms", "trackers"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: {list(values)} names something twice")
        if isinstance(self.seeds, int):
            if self.seeds < 1:
                raise ValueError(f"seeds: {self.seeds} is below 1")
        elif len(set(self.seeds)) < len(self.seeds) or not self.seeds or min(self.seeds) < 0:
            raise ValueError(f"seeds: {list(self.seeds)} must be distinct numbers from 0")
        elif self.seed in self.seeds:
            raise ValueError(f"seeds: {self.seed} is the tune trials' seed (field seed)")
        if self.treat_width == "joint":
            self._joint_is_possible()
        for width in self.widths:
            self._workers_are_possible(width)
        for section in (self.base, *self.of_method.values(), *self.of_arm.values()):
            for name in section:
                if name in _CELL_FIELDS:
                    raise ValueError(f"base: {name} is not set here but by the study's own fields")
        return self

    def _workers_are_possible(self, width: int) -> None:
        given = self.resources.of(width)
        if given.workers > 1 and self.runner == "reused":
            raise ValueError(
                f"runner: reused is for one worker, resources.workers gives width {width} "
                f"{given.workers} (allowed: train)"
            )
        if given.workers > 1 and given.gpus % 1:
            raise ValueError(
                f"resources.gpus: {given.gpus:g} for each of {given.workers} workers (width "
                f"{width}): workers of one trial cannot share a GPU (allowed: whole numbers)"
            )

    def _joint_is_possible(self) -> None:
        if self.search.sampler == "cmaes":
            raise ValueError("search.sampler: cmaes has one objective, treat_width: joint has two")
        if self.stopping.rule != "none":
            raise ValueError(
                "stopping: with treat_width: joint a ladder would stop the small encoders "
                "(allowed: rule none)"
            )
        if self.warm_start:
            raise ValueError("warm_start: with treat_width: joint no cell has a narrower one")
        if self.trials < len(self.widths):
            raise ValueError(
                f"trials: {self.trials} is below the {len(self.widths)} widths that treat_width: "
                "joint tries with the defaults first"
            )

    def runner_of(self, width: int) -> Literal["reused", "train"]:
        """How a trial of that width is run."""
        return self.runner or ("reused" if self.resources.of(width).workers == 1 else "train")

    @property
    def confirm_seeds(self) -> tuple[int, ...]:
        """Seeds of the confirm phase: the same for every cell, none of them the tune trials'."""
        if isinstance(self.seeds, int):
            return tuple(range(self.seed + 1, self.seed + 1 + self.seeds))
        return self.seeds

    def fixed(self, dataset: str, method: str, encoder: str, width: int, arm: str) -> TrialConfig:
        """A cell's configuration before anything is tuned.

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

    def space_of(self, method: str, arm: str) -> Space:
        """The search space of one method and arm in this study.

        Raises:
            InputError: a change to the shipped space is malformed.
        """
        return narrow(space(method, arm), self.space, arm)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a key given twice is an error: silently taking the last hides mistakes."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# PyYAML follows YAML 1.1, where 1e-4 is a string; people write it as a number.
_UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def load_yaml(text: str, where: str) -> dict[str, Any]:
    """A YAML mapping; keys given twice are refused.

    Raises:
        InputError: not YAML, or not a mapping.
    """
    try:
        values = yaml.load(text, _UniqueKeyLoader)
    except (yaml.YAMLError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(f"{where}:{line} {' '.join(problem.split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{where}: a mapping of fields is expected, got {type(values).__name__}")
    return values


def parse_spec(text: str, where: str) -> StudySpec:
    """A study from YAML text; every cell's configuration and search space is checked too.

    Raises:
        InputError: one line with everything that is wrong.
    """
    try:
        spec = StudySpec.model_validate(load_yaml(text, where))
    except ValidationError as error:
        raise InputError(f"{where}: {describe(error, StudySpec)}") from None
    try:
        for method in spec.methods:
            for arm in spec.arms:
                tuned = spec.space_of(method, arm)
                for encoder in spec.encoders:
                    for width in spec.widths:
                        config = spec.fixed(spec.datasets[0], method, encoder, width, arm)
                        _check(config, tuned)
                        _check_workers(config, tuned, spec.resources.of(width).workers)
                if spec.stopping.rule == "asha" and (
                    config.knn_every < 1 or spec.stopping.grace_epochs > config.epochs
                ):
                    raise InputError(
                        "stopping: asha compares kNN accuracies: knn_every must be 1 or more and "
                        f"grace_epochs at most epochs ({config.epochs})"
                    )
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return spec


def _check(config: TrialConfig, tuned: Space) -> None:
    for corner in corners(tuned):
        parse_config({**config.model_dump(), **corner}, "space")


def _check_workers(config: TrialConfig, tuned: Space, workers: int) -> None:
    if workers == 1:
        return
    sizes = {config.batch_size, *(corner.get("batch_size", 0) for corner in corners(tuned))}
    if bad := sorted(size for size in sizes if size % (4 * workers)):
        raise InputError(
            f"batch_size: {bad[0]} does not go into {workers} workers (width {config.width}; "
            f"allowed: multiples of {4 * workers})"
        )
    if config.compile == "on":
        raise InputError(f"compile: on is for one worker, not {workers} (allowed: auto, off)")


def presets() -> list[str]:
    """The names of the studies that ship with the tool."""
    folder = resources.files("study") / "presets"
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


def load_spec(spec: str) -> StudySpec:
    """The study of a YAML file, the preset of that name, or of standard input (``-``).

    Raises:
        InputError: no such file or preset, or something wrong in it.
    """
    if spec == "-":
        return parse_spec(sys.stdin.read(), "standard input")
    path = Path(spec)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        try:
            return parse_spec(path.read_text(encoding="utf-8"), spec)
        except FileNotFoundError:
            raise InputError(f"{spec}: no such file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{spec}: cannot be read: {error}") from None
    if spec not in presets():
        raise InputError(
            f"{spec}: neither a YAML file nor a preset (presets: {', '.join(presets())})"
        )
    text = (resources.files("study") / "presets" / f"{spec}.yaml").read_text(encoding="utf-8")
    return parse_spec(text, f"preset {spec}")


def dump_spec(spec: StudySpec) -> str:
    """The study as YAML, every default written out."""
    return yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
