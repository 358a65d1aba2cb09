"""TrialConfig: everything that decides what one trial computes.

Flat, frozen and typed. A field here, a key of a search space, a Parquet column and a heading of a
report share one name. Importing this module needs neither torch nor Ray.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trainables.errors import InputError

Method = Literal["moco", "simclr"]
Arm = Literal["none", "mixco", "extra-crop", "i-mix", "un-mix"]
Encoder = Literal["resnet10", "resnet18", "resnet34", "resnet50"]
Stem = Literal["small", "tiny", "imagenet"]
BatchNormMode = Literal["shared", "separate"]
Precision = Literal["auto", "fp32", "bf16"]
Compile = Literal["auto", "on", "off"]
Probe = Literal["linear", "linear_sgd"]

METHODS: tuple[str, ...] = get_args(Method)
ARMS: tuple[str, ...] = get_args(Arm)
ENCODERS: tuple[str, ...] = get_args(Encoder)
MIXING_FIELDS: dict[str, tuple[str, ...]] = {
    "none": (),
    "mixco": ("mix_weight", "mix_alpha", "mix_temperature"),
    "extra-crop": ("mix_weight", "mix_temperature"),
    "i-mix": ("mix_alpha",),
    "un-mix": ("mix_weight", "mix_alpha"),
}
"""The mixing parameters that each arm has; the others change nothing there."""
LATER_FIELDS: tuple[str, ...] = ("sync_batch_norm",)
"""Fields that came after trials had been recorded; at their defaults they change no trial's name.

Every field added to `TrialConfig` from now on belongs here, with a default that computes what was
computed before it was there.
"""


class TrialConfig(BaseModel):
    """One trial: a dataset, a method and an arm, an encoder of some width, and how to train it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    dataset: Annotated[
        str,
        Field(min_length=1, description="name of the data set, or imagefolder:PATH, parquet:PATH"),
    ] = "cifar10"
    image_size: Annotated[
        int | None, Field(ge=4, le=512, description="side in pixels; default: the data set's own")
    ] = None
    validation_fraction: Annotated[
        float,
        Field(
            gt=0, lt=0.9, description="share of the training images held out, stratified by class"
        ),
    ] = 0.1

    method: Annotated[Method, Field(description="contrastive method")] = "moco"
    arm: Annotated[Arm, Field(description="how images are mixed; none is the baseline")] = "mixco"

    encoder: Annotated[Encoder, Field(description="depth of the ResNet")] = "resnet18"
    width: Annotated[
        int,
        Field(ge=1, le=1024, description="channels of the first stage; 64 is the standard ResNet"),
    ] = 64
    stem: Annotated[
        Stem,
        Field(
            description="first layers: small 3x3 (32 px), tiny 3x3 stride 2 (64 px), imagenet 7x7"
        ),
    ] = "small"
    projection_dim: Annotated[int, Field(ge=2, le=4096, description="outputs of the head")] = 128

    temperature: Annotated[float, Field(gt=0, le=10, description="tau of the contrastive loss")] = (
        0.2
    )
    key_momentum: Annotated[
        float, Field(ge=0, lt=1, description="momentum of MoCo's key encoder")
    ] = 0.999
    queue_size: Annotated[int, Field(ge=1, le=1 << 24, description="keys in MoCo's queue")] = 4096

    mix_weight: Annotated[
        float, Field(ge=0, le=100, description="beta, the weight of the mixing loss")
    ] = 1.0
    mix_alpha: Annotated[
        float, Field(gt=0, le=100, description="lambda ~ Beta(alpha, alpha); 1 is uniform")
    ] = 1.0
    mix_temperature: Annotated[float, Field(gt=0, le=10, description="tau of the mixing loss")] = (
        0.05
    )
    mix_batch_norm: Annotated[
        BatchNormMode | None,
        Field(
            description="batch-norm statistics of mixed and clean images; default: as in the paper"
        ),
    ] = None

    sync_batch_norm: Annotated[
        bool,
        Field(
            description="of several workers: batch-norm statistics over the whole batch, or each "
            "its own and MoCo's keys shuffled"
        ),
    ] = True

    crop_scale: Annotated[
        float, Field(gt=0, le=1, description="smallest area of a random resized crop")
    ] = 0.2

    epochs: Annotated[
        int, Field(ge=1, le=100_000, description="passes over the training images")
    ] = 100
    batch_size: Annotated[
        int, Field(ge=2, le=65_536, description="images a step, over all workers")
    ] = 256
    learning_rate: Annotated[
        float, Field(gt=0, le=100, description="peak rate of SGD at this batch size")
    ] = 0.03
    sgd_momentum: Annotated[float, Field(ge=0, lt=1, description="momentum of SGD")] = 0.9
    weight_decay: Annotated[float, Field(ge=0, le=1, description="L2 penalty")] = 1e-4
    warmup_epochs: Annotated[
        float, Field(ge=0, description="epochs of linear warm-up before the cosine")
    ] = 0.0

    knn_every: Annotated[
        int, Field(ge=0, description="kNN accuracy every so many epochs; 0: only at the end")
    ] = 1
    knn_k: Annotated[int, Field(ge=1, le=100_000, description="neighbours of the kNN vote")] = 200
    knn_temperature: Annotated[float, Field(gt=0, le=10, description="temperature of its vote")] = (
        0.1
    )
    probe: Annotated[
        Probe, Field(description="classifier on frozen features that gives the trial's accuracy")
    ] = "linear"
    eval_datasets: Annotated[
        tuple[str, ...], Field(description="further data sets on which the encoder is evaluated")
    ] = ()

    seed: Annotated[
        int, Field(ge=0, lt=1 << 31, description="initial weights, data order, views")
    ] = 0
    device: Annotated[
        str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    ] = "auto"
    precision: Annotated[Precision, Field(description="auto: bf16 where the device has it")] = (
        "auto"
    )
    compile: Annotated[
        Compile, Field(description="auto: compile where that was measured to pay; nowhere yet")
    ] = "auto"

    @field_validator("eval_datasets", mode="before")
    @classmethod
    def _list_to_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.batch_size % 2:
            raise ValueError(f"batch_size: {self.batch_size} is odd; mixing pairs its two halves")
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            raise ValueError(
                f"warmup_epochs: {self.warmup_epochs:g} must be below epochs ({self.epochs})"
            )
        return self

    @property
    def mixes(self) -> bool:
        """Whether this arm makes extra images: mixtures, or its control's extra crops."""
        return self.arm != "none"

    @property
    def separate_batch_norm(self) -> bool:
        """Whether mixed images have batch-norm statistics of their own.

        The paper's code runs clean and mixed images through MoCo's encoder as one batch, and apart
        on SimCLR.
        """
        return (
            self.mix_batch_norm or ("shared" if self.method == "moco" else "separate")
        ) == "separate"

    def digest(self) -> str:
        """Eight hexadecimal digits that name this configuration, the same on every machine.

        A field of ``LATER_FIELDS`` counts only where it differs from its default: trials that were
        recorded before it was there keep their names.
        """
        values = self.model_dump(mode="json")
        for name in LATER_FIELDS:
            if values[name] == type(self).model_fields[name].default:
                del values[name]
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


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
    for item in error.errors(include_url=False):
        field = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            allowed = ", ".join(sorted(model.model_fields)) if len(item["loc"]) == 1 else ""
            message = "unknown field" + (f" (allowed: {allowed})" if allowed else "")
        elif item["type"] == "missing":
            message = "is required"
        elif field:
            message += f", got {item['input']!r}"
        problems.append(f"{field}: {message}" if field else message)
    return "; ".join(" ".join(problem.split()) for problem in problems)
