"""The resources of each trial of a study: workers, and the CPUs and GPUs of each worker."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from trainables.config import NO_WIDTH


class Allotment(NamedTuple):
    """The resources of one trial."""

    workers: int
    cpus: float
    """CPUs of each worker."""
    gpus: float
    """GPUs of each worker."""

    @property
    def total(self) -> dict[str, float]:
        """Ray's resources of all its workers: ``{"CPU": ..., "GPU": ...}``."""
        return {"CPU": self.workers * self.cpus, "GPU": self.workers * self.gpus}


class Resources(BaseModel):
    """The resources of a trial: each is a number, or numbers by width and by encoder.

    ``{8: 1, 64: 2, resnet50: 4}`` means 4 for every resnet50; for other encoders 1 from width 8
    on, and 2 from width 64 on.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    cpus: float | dict[int | str, float] = 1.0
    """CPUs for each worker"""
    gpus: float | Literal["auto"] | dict[int | str, float | Literal["auto"]] = 0.0
    """GPUs for each worker; a trial of one worker may have a fraction; auto: a fraction computed
    from the memory that earlier trials of the same encoder and width took"""
    workers: int | dict[int | str, int] = 1
    """processes that share each batch of a trial"""

    @field_validator("cpus", "gpus", "workers", mode="before")
    @classmethod
    def _widths_are_numbers(cls, value: Any) -> Any:
        """Turn widths into numbers; older versions wrote them to ``study.yaml`` as text."""
        if not isinstance(value, dict):
            return value
        numbers = {_number(width): given for width, given in value.items()}
        if len(numbers) < len(value):
            raise ValueError("a width or an encoder is given twice")
        return numbers

    @model_validator(mode="after")
    def _sane(self) -> Self:
        for name, least in (("cpus", 0.01), ("gpus", 0.0), ("workers", 1)):
            value = getattr(self, name)
            numbers = list(value.values()) if isinstance(value, dict) else [value]
            if not numbers or min(n for n in [*numbers, least] if n != "auto") < least:
                raise ValueError(f"{name}: every number must be at least {least:g}, got {value}")
        return self

    @property
    def encoders(self) -> set[str]:
        """The encoders that are named."""
        given = (value for value in dict(self).values() if isinstance(value, dict))
        return {key for value in given for key in value if isinstance(key, str)}

    def lacking(self, encoder: str, width: int) -> str | None:
        """The first field without a number for this encoder and width; None: all have one."""
        return next((name for name, value in self if _at(value, encoder, width) is None), None)

    def of(self, encoder: str, width: int, gpu_share: float = 1.0) -> Allotment:
        """The resources of a trial; ``gpu_share`` takes the place of ``auto``."""
        workers, cpus, gpus = (
            _at(value, encoder, width) for value in (self.workers, self.cpus, self.gpus)
        )
        if gpus == "auto":
            gpus = gpu_share if workers == 1 else 1.0
        return Allotment(int(workers), float(cpus), float(gpus))


def _number(width: Any) -> Any:
    is_number = isinstance(width, str) and width.isascii() and width.isdigit() and len(width) < 10
    return int(width) if is_number else width


def _at(value: Any, encoder: str, width: int) -> Any:
    """The number for an encoder, from a number or a mapping; None where the mapping has none.

    A name goes before widths. The smallest width of a mapping also holds below itself.
    """
    if not isinstance(value, dict) or encoder in value:
        return value[encoder] if isinstance(value, dict) else value
    widths = [start for start in value if isinstance(start, int)]
    if width == NO_WIDTH or not widths:
        return None
    reached = [start for start in widths if start <= width]
    return value[max(reached) if reached else min(widths)]


def size_name(encoder: str, width: int) -> str:
    """An encoder and its width in words; without a width where it comes in one size."""
    return encoder if width == NO_WIDTH else f"{encoder} of width {width}"
