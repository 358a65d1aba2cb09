"""Parameters of an object of one's own: declared beside its code, searched and recorded as fields.

The configuration keeps their values in one field, ``own_parameters``. A study and the command line
name each as if it were a field.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from trainables.errors import listed

Value = bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """One parameter; its type is that of its default.

    >>> side = Parameter("side", 0.5, "of the box", low=0, high=1, space={"low": 0.1, "high": 0.9})
    >>> side.checked(1)
    1.0
    """

    name: str
    """As a study names it; no field of `TrialConfig` has this name."""
    default: Value
    summary: str
    """What it is, in a few words."""
    low: float | None = None
    """The least value that is allowed, of a number."""
    high: float | None = None
    """The largest."""
    choices: tuple[Value, ...] = ()
    """All values that are allowed; empty: any of the type."""
    space: Mapping[str, Any] | Sequence[Value] | None = None
    """What a search varies, in the form of a study's ``space``; None: nothing unless asked."""

    def checked(self, value: Any) -> Value:
        """``value`` as the parameter's type.

        Raises:
            ValueError: another type, or out of range; one line.
        """
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind or value != value:
            raise ValueError(f"{self.name}: {kind.__name__} is expected, got {value!r}")
        found: Value = value
        if self.choices and found not in self.choices:
            raise ValueError(f"{self.name}: {found!r} (allowed: {listed(self.choices)})")
        if isinstance(found, int | float):
            self._check_range(found)
        return found

    def _check_range(self, value: float) -> None:
        if self.low is not None and value < self.low:
            raise ValueError(f"{self.name}: {value!r} is below {self.low:g}")
        if self.high is not None and value > self.high:
            raise ValueError(f"{self.name}: {value!r} is above {self.high:g}")
        if math.isinf(value):
            raise ValueError(f"{self.name}: {value!r} is not finite")


class Values(Mapping[str, Value]):
    """Values by the names of parameters; cannot be changed."""

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)

    def number(self, name: str) -> float:
        """The value of a parameter that is a number."""
        return float(self._values[name])

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._of,
            serialization=core_schema.plain_serializer_function_ser_schema(dict),
        )

    @classmethod
    def _of(cls, values: Any) -> Values:
        if not isinstance(values, Mapping):
            raise ValueError("a mapping of names to values is expected")
        return values if isinstance(values, Values) else cls(values)


Declared = dict[str, Parameter]
"""The parameters of a configuration's objects by name."""


def declared(parameters: Iterable[Parameter]) -> Declared:
    """The parameters by name.

    Raises:
        ValueError: two objects declare one name in different ways.
    """
    found: Declared = {}
    for parameter in parameters:
        if found.setdefault(parameter.name, parameter) != parameter:
            raise ValueError(f"{parameter.name}: two objects of this trial declare it differently")
    return found


def complete(parameters: Declared, given: Mapping[str, Any]) -> Values:
    """A value of every parameter: the one given, or its default.

    Raises:
        ValueError: an unknown name, or a value of another type or out of range.
    """
    if unknown := sorted(map(str, set(given) - set(parameters))):
        allowed = listed(parameters) if parameters else "none: nothing declares any"
        raise ValueError(f"own_parameters: unknown {listed(unknown)} (allowed: {allowed})")
    return Values(
        {
            name: parameter.checked(given.get(name, parameter.default))
            for name, parameter in parameters.items()
        }
    )
