"""TrialConfig: everything that decides what one trial computes.

Flat, frozen and typed. A field here, a key of a search space, a Parquet column and a heading of a
report share one name. Importing this module needs neither torch nor Ray.

A field is declared once, with its role. What is searched, what names a cell, what a checkpoint must
agree on, the columns of ``trials`` and the options of the command line derive from these fields.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import (
    CoreSchema,
    ErrorDetails,
    PydanticCustomError,
    PydanticKnownError,
    core_schema,
)

from trainables.arms import ARMS
from trainables.data.naming import check_short_names, short_name
from trainables.encoders import ENCODERS, STEMS
from trainables.errors import InputError, meant
from trainables.evaluation import PROBES
from trainables.methods import METHODS
from trainables.methods.base import BatchNormMode
from trainables.own_parameters import Declared, Parameter, Values, complete, declared
from trainables.registry import Registry

_QUOTED = re.compile(r"'([^']*)'")
"""The names in pydantic's list of what a field allows."""


class Role(Enum):
    """What a field of `TrialConfig` is for. Each field has one."""

    CELL = auto()
    """Names the cell: what a study compares."""
    SEED = auto()
    """Tells apart trials of one configuration."""
    DATA = auto()
    """Which images are trained on, and at what size."""
    HYPERPARAMETER = auto()
    """A search may vary it."""
    OWN = auto()
    """Parameters that objects of one's own declare; a search may vary each."""
    SCHEDULE = auto()
    """How long and over which workers a trial trains; a study fixes it."""
    MEASUREMENT = auto()
    """How the encoder is evaluated; does not change what is trained."""
    MACHINE = auto()
    """Where and how a trial computes; a checkpoint may continue with another value."""


class Later(Enum):
    """Marks a field that was added after trials had been recorded."""

    FIELD = auto()
    """At its default the field changes no trial's id.

    Every new field has this mark, and a default that computes what was computed without it.
    """


_OWN = "own_object"
"""The kind of error where an object of one's own cannot be used; its line says all."""


@dataclass(frozen=True)
class NameOf:
    """Marks a field whose values are names in a registry, or of objects of one's own."""

    registry: Registry[Any]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def _check(self, value: Any) -> Any:
        if self.registry.is_elsewhere(value):
            try:
                self.registry.find(value)
            except InputError as error:
                line = str(error).removeprefix(f"{self.registry.kind}: ")
                raise PydanticCustomError(_OWN, "{line}", {"line": line}) from None
        elif not isinstance(value, str) or value not in self.registry:
            *names, last = (repr(name) for name in self.registry)
            expected = f"{', '.join(names)} or {last}" if names else last
            raise PydanticKnownError("literal_error", {"expected": expected})
        return value


MethodName = Annotated[str, NameOf(METHODS)]
ArmName = Annotated[str, NameOf(ARMS)]
EncoderName = Annotated[str, NameOf(ENCODERS)]
StemName = Annotated[str, NameOf(STEMS)]
ProbeName = Annotated[str, NameOf(PROBES)]
NO_WIDTH = 0
"""The field ``width`` of an encoder that comes in one size only."""
Precision = Literal["auto", "fp32", "bf16"]
Compile = Literal["auto", "on", "off"]


class TrialConfig(BaseModel):
    """One trial: a dataset, a method and an arm, an encoder of some width, and how to train it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    dataset: Annotated[str, Role.CELL, Field(min_length=1)] = "cifar10"
    """name of the data set, or KIND:PATH such as parquet:PATH; NAME=KIND:PATH gives it a name"""
    image_size: Annotated[int | None, Role.DATA, Field(ge=4, le=512)] = None
    """side in pixels; default: the data set's own"""
    validation_fraction: Annotated[float, Role.DATA, Field(gt=0, lt=0.9)] = 0.1
    """share of the training images held out, stratified by class"""
    train_fraction: Annotated[float, Role.DATA, Later.FIELD, Field(gt=0, le=1)] = 1.0
    """share of the remaining images that is trained on, stratified by class"""

    method: Annotated[MethodName, Role.CELL] = "moco"
    """contrastive method"""
    arm: Annotated[ArmName, Role.CELL] = "mixco"
    """how images are mixed; none is the baseline"""

    encoder: Annotated[EncoderName, Role.CELL] = "resnet18"
    """network: a ResNet by its depth, or a model of timm"""
    width: Annotated[int, Role.CELL, Field(ge=0, le=1024)] = 64
    """channels of a ResNet's first stage; 64 is the standard; models of timm have none (0)"""
    stem: Annotated[StemName, Role.HYPERPARAMETER] = "small"
    """first layers: small 3x3 (32 px), tiny 3x3 stride 2 (64 px), imagenet 7x7; timm: a stride"""
    projection_dim: Annotated[int, Role.HYPERPARAMETER, Field(ge=2, le=4096)] = 128
    """outputs of the head"""

    temperature: Annotated[float, Role.HYPERPARAMETER, Field(gt=0, le=10)] = 0.2
    """tau of the contrastive loss"""
    key_momentum: Annotated[float, Role.HYPERPARAMETER, Field(ge=0, lt=1)] = 0.999
    """momentum of MoCo's key encoder"""
    queue_size: Annotated[int, Role.HYPERPARAMETER, Field(ge=1, le=1 << 24)] = 4096
    """keys in MoCo's queue"""

    mix_weight: Annotated[float, Role.HYPERPARAMETER, Field(ge=0, le=100)] = 1.0
    """beta, the weight of the mixing loss"""
    mix_alpha: Annotated[float, Role.HYPERPARAMETER, Field(gt=0, le=100)] = 1.0
    """lambda ~ Beta(alpha, alpha); 1 is uniform"""
    mix_temperature: Annotated[float, Role.HYPERPARAMETER, Field(gt=0, le=10)] = 0.05
    """tau of the mixing loss"""
    mix_batch_norm: Annotated[BatchNormMode | None, Role.HYPERPARAMETER] = None
    """batch-norm statistics of mixed and clean images; default: moco shared, simclr separate"""

    sync_batch_norm: Annotated[bool, Role.SCHEDULE, Later.FIELD] = True
    """batch norm over the images of all workers; false: each its own, and MoCo's keys shuffled"""
    batch_norm_groups: Annotated[int, Role.SCHEDULE, Later.FIELD, Field(ge=1, le=4096)] = 1
    """batch norm over each of so many parts of a batch, as on so many GPUs; MoCo's keys shuffled"""

    crop_scale: Annotated[float, Role.HYPERPARAMETER, Field(gt=0, le=1)] = 0.2
    """smallest area of a random resized crop"""
    colour_strength: Annotated[float, Role.HYPERPARAMETER, Later.FIELD, Field(ge=0, le=1.25)] = 0.5
    """strength s of colour jitter: factors in 1 +- 0.8 s, hue +- 0.2 s (SimCLR 1, MoCo 0.5)"""

    epochs: Annotated[int, Role.SCHEDULE, Field(ge=1, le=100_000)] = 100
    """passes over the training images"""
    batch_size: Annotated[int, Role.HYPERPARAMETER, Field(ge=2, le=65_536)] = 256
    """images a step, over all workers"""
    learning_rate: Annotated[float, Role.HYPERPARAMETER, Field(gt=0, le=100)] = 0.03
    """peak rate of SGD at this batch size"""
    sgd_momentum: Annotated[float, Role.HYPERPARAMETER, Field(ge=0, lt=1)] = 0.9
    """momentum of SGD"""
    weight_decay: Annotated[float, Role.HYPERPARAMETER, Field(ge=0, le=1)] = 1e-4
    """L2 penalty"""
    warmup_epochs: Annotated[float, Role.HYPERPARAMETER, Field(ge=0)] = 0.0
    """epochs of linear warm-up before the cosine"""

    knn_every: Annotated[int, Role.MEASUREMENT, Field(ge=0)] = 1
    """kNN accuracy every so many epochs; 0: only at the end"""
    knn_k: Annotated[int, Role.MEASUREMENT, Field(ge=1, le=100_000)] = 200
    """neighbours of the kNN vote"""
    knn_temperature: Annotated[float, Role.MEASUREMENT, Field(gt=0, le=10)] = 0.1
    """temperature of the kNN vote"""
    probe: Annotated[ProbeName, Role.MEASUREMENT] = "linear"
    """classifier on frozen features that gives the trial's accuracy"""
    eval_datasets: Annotated[tuple[str, ...], Role.MEASUREMENT] = ()
    """further data sets on which the encoder is evaluated"""

    own_parameters: Annotated[Values, Role.OWN, Later.FIELD] = Values()
    """parameters that an arm, method or encoder of your own declares"""

    seed: Annotated[int, Role.SEED, Field(ge=0, lt=1 << 31)] = 0
    """initial weights, data order, views"""
    device: Annotated[str, Role.MACHINE, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    """auto, cpu, cuda or cuda:N"""
    precision: Annotated[Precision, Role.MACHINE] = "auto"
    """auto: bf16 where the device has it"""
    compile: Annotated[Compile, Role.MACHINE] = "auto"
    """auto: currently the same as off"""

    @model_validator(mode="before")
    @classmethod
    def _take_own_parameters(cls, values: Any) -> Any:
        """Moves own parameters that are given like fields, and completes them with defaults."""
        if not isinstance(values, Mapping):
            return values
        found = own_parameters_of(
            *(values.get(name, cls.model_fields[name].default) for name in _DECLARING)
        )
        given = values.get("own_parameters", {})
        if not isinstance(given, Mapping):
            return values
        flat = {name: values[name] for name in found if name in values}
        kept = {name: value for name, value in values.items() if name not in found}
        return {**kept, "own_parameters": complete(found, {**given, **flat})}

    @field_validator("eval_datasets", mode="before")
    @classmethod
    def _list_to_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="before")
    @classmethod
    def _no_width(cls, values: Any) -> Any:
        """Set the width of an encoder that comes in one size, so that it need not be given."""
        if isinstance(values, dict) and "width" not in values:
            name = values.get("encoder")
            known = isinstance(name, str) and (name in ENCODERS or ENCODERS.is_elsewhere(name))
            with contextlib.suppress(InputError):  # said of the field itself
                if known and not ENCODERS.find(name).has_widths:
                    return {**values, "width": NO_WIDTH}
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_short_names(self.dataset, *self.eval_datasets)
        if self.batch_size % 2:
            raise ValueError(f"batch_size: {self.batch_size} is odd; mixing pairs its two halves")
        if self.batch_size % (2 * self.batch_norm_groups):
            raise ValueError(
                f"batch_norm_groups: {self.batch_norm_groups} does not divide half of the "
                f"batch ({self.batch_size} images)"
            )
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            raise ValueError(
                f"warmup_epochs: {self.warmup_epochs:g} must be below epochs ({self.epochs})"
            )
        family = ENCODERS.find(self.encoder)
        stems = family.stems
        if family.has_widths and self.width == NO_WIDTH:
            raise ValueError(f"width: 0 is no width of {self.encoder} (allowed: 1 to 1024)")
        if self.width != NO_WIDTH and not family.has_widths:
            raise ValueError(f"width: {self.encoder} has no width; leave it out")
        if self.stem not in stems:
            raise ValueError(
                f"stem: {self.stem} is no stem of {self.encoder} (allowed: {', '.join(stems)})"
            )
        return self

    @property
    def mixes(self) -> bool:
        """Whether this arm makes extra images: mixtures, or the control's extra crops."""
        return ARMS.find(self.arm).makes_images

    @property
    def mix_statistics(self) -> BatchNormMode:
        """Batch-norm statistics of mixed and clean images.

        By default as MixCo's published code takes them for the method.
        """
        return self.mix_batch_norm or METHODS.find(self.method).mix_batch_norm

    def value(self, name: str) -> Any:
        """The value of a field, or of a parameter of one's own."""
        own = self.own_parameters
        return own[name] if name in own else getattr(self, name)

    def digest(self) -> str:
        """Eight hexadecimal digits that name this configuration, the same on every machine.

        Of a data set with a short name only that name counts: its files may move. A field of
        ``LATER_FIELDS`` counts only where it differs from its default: trials that were
        recorded before the field existed keep their names. So does a parameter of one's own.
        """
        values = self.model_dump(mode="json")
        values["dataset"] = short_name(self.dataset)
        values["eval_datasets"] = [short_name(name) for name in self.eval_datasets]
        found = own_parameters_of(self.method, self.encoder, self.arm)
        values["own_parameters"] = {
            name: value
            for name, value in self.own_parameters.items()
            if name not in found or value != found[name].default
        }
        for name in LATER_FIELDS:
            if values[name] == type(self).model_fields[name].default:
                del values[name]
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


_DECLARING = ("method", "encoder", "arm")
"""The fields whose objects may declare parameters of their own."""


def own_parameters_of(method: Any, encoder: Any, arm: Any) -> Declared:
    """The parameters of their own that the objects of a trial declare, by name.

    An unknown name declares none: its field says so.

    Raises:
        ValueError: two declare one name in different ways, or the name is that of a field.
    """
    registries: tuple[Registry[Any], ...] = (METHODS, ENCODERS, ARMS)
    parameters: list[Parameter] = []
    for registry, name in zip(registries, (method, encoder, arm), strict=True):
        with contextlib.suppress(InputError):
            parameters += registry.find(name).own_parameters
    for parameter in parameters:
        if parameter.name in TrialConfig.model_fields:
            raise ValueError(f"{parameter.name}: an own parameter has the name of a field")
    return declared(parameters)


def fields_with(*roles: Role) -> tuple[str, ...]:
    """The fields that have one of ``roles``, in their order."""
    return tuple(
        name
        for name, field in TrialConfig.model_fields.items()
        if any(role in field.metadata for role in roles)
    )


LATER_FIELDS: tuple[str, ...] = tuple(
    name for name, field in TrialConfig.model_fields.items() if Later.FIELD in field.metadata
)
"""Fields that were added after trials had been recorded."""


def same_setting(name: str, one: Any, other: Any) -> bool:
    """Whether two values of the field ``name`` make the same trial.

    A data set that has a short name may lie at another place.
    """
    match name:
        case "dataset":
            return short_name(one) == short_name(other)
        case "eval_datasets":
            return [short_name(each) for each in one] == [short_name(each) for each in other]
        case _:
            return bool(one == other)


def choices(name: str) -> tuple[str, ...]:
    """The values that the field ``name`` allows; empty where they cannot be listed."""
    field = TrialConfig.model_fields[name]
    for marker in field.metadata:
        if isinstance(marker, NameOf):
            return tuple(marker.registry)
    kind = _without_none(field.annotation)
    return get_args(kind) if get_origin(kind) is Literal else ()


def value_types() -> dict[str, type]:
    """The type of each field's values.

    ``str``, ``int``, ``float``, ``bool``, ``tuple`` (of str), or `Values` (own parameters).

    None is a value besides where the field is optional.
    """
    types: dict[str, type] = {}
    for name, field in TrialConfig.model_fields.items():
        kind = _without_none(field.annotation)
        origin = get_origin(kind)
        types[name] = str if origin is Literal else origin or kind
    return types


def _without_none(annotation: Any) -> Any:
    """``X`` of an annotation ``X | None``; other annotations as they are."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    optional = len(parts) == 1 and len(get_args(annotation)) == 2
    return parts[0] if optional and type(None) in get_args(annotation) else annotation


def parse_config(values: Mapping[str, Any], where: str = "config") -> TrialConfig:
    """A TrialConfig from plain values.

    ``where`` names their source (a file, the command line) in errors.

    Raises:
        InputError: unknown field, wrong type or value out of range; one line, all problems in it.
    """
    try:
        return TrialConfig.model_validate(dict(values))
    except ValidationError as error:
        raise InputError(f"{where}: {describe(error, TrialConfig)}") from None


def describe(error: ValidationError, model: type[BaseModel]) -> str:
    """A pydantic error as one line: each field, what is wrong with it, what is allowed."""
    problems = []
    items = error.errors(include_url=False)
    for item in items:
        if item["type"] == "too_short" and _has_wrong_item(item, items):
            continue  # pydantic leaves wrong items out, and then finds the list too short
        field = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            allowed = ", ".join(sorted(model.model_fields)) if len(item["loc"]) == 1 else ""
            near = meant(item["loc"][-1], model.model_fields) if allowed else ""
            message = f"unknown field{near}" + (f" (allowed: {allowed})" if allowed else "")
        elif item["type"] == "missing":
            message = "is required"
        elif item["input"] is None:
            message = "is empty; give it a value or leave it out"
        elif field and item["type"] != _OWN:
            message += f", got {item['input']!r}"
            if item["type"] == "literal_error":
                message += meant(item["input"], _QUOTED.findall(item["ctx"]["expected"]))
        problems.append(f"{field}: {message}" if field else message)
    return "; ".join(" ".join(problem.split()) for problem in problems)


def _has_wrong_item(short: ErrorDetails, others: Sequence[ErrorDetails]) -> bool:
    place = short["loc"]
    return any(other["loc"][: len(place)] == place != other["loc"] for other in others)
