"""The resources of each trial of a study: workers, and the CPUs and GPUs of each worker."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, field_validator, model_validator


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
    """The resources of a trial: each is a number, or numbers by width.

    ``{8: 1, 64: 2}`` means 1 for widths from 8 and 2 for widths from 64.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    cpus: float | dict[int, float] = 1.0
    """CPUs for each worker"""
    gpus: float | Literal["auto"] | dict[int, float | Literal["auto"]] = 0.0
    """GPUs for each worker; a trial of one worker may have a fraction; auto: a fraction computed
    from the memory that earlier trials of the same encoder and width took"""
    workers: int | dict[int, int] = 1
    """processes that share each batch of a trial"""

    @field_validator("cpus", "gpus", "workers", mode="before")
    @classmethod
    def _widths_are_numbers(cls, value: Any) -> Any:
        """Turn widths into numbers; older versions wrote them to ``study.yaml`` as text."""
        if not isinstance(value, dict):
            return value
        numbers = {_number(width): given for width, given in value.items()}
        if len(numbers) < len(value):
            raise ValueError("a width is given twice")
        return numbers

    @model_validator(mode="after")
    def _sane(self) -> Self:
        for name, least in (("cpus", 0.01), ("gpus", 0.0), ("workers", 1)):
            value = getattr(self, name)
            numbers = list(value.values()) if isinstance(value, dict) else [value]
            if not numbers or min(n for n in [*numbers, least] if n != "auto") < least:
                raise ValueError(f"{name}: every number must be at least {least:g}, got {value}")
        return self

    def of(self, width: int, gpu_share: float = 1.0) -> Allotment:
        """The resources of a trial of this width; ``gpu_share`` takes the place of ``auto``."""
        workers, cpus, gpus = (_at(value, width) for value in (self.workers, self.cpus, self.gpus))
        if gpus == "auto":
            gpus = gpu_share if workers == 1 else 1.0
        return Allotment(int(workers), float(cpus), float(gpus))


def _number(width: Any) -> Any:
    is_number = isinstance(width, str) and width.isascii() and width.isdigit() and len(width) < 10
    return int(width) if is_number else width


def _at(value: Any, width: int) -> Any:
    """The number for this width, from a number or a mapping of widths."""
    if not isinstance(value, dict):
        return value
    reached = [start for start in value if start <= width]
    return value[max(reached) if reached else min(value)]
