"""Points of a contract: each has a name and a check, and fails with one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from trainables.errors import InputError, cause
from trainables.own_objects import line_of


class BrokenPointError(Exception):
    """A point that does not hold; the message says what was found, and what was expected."""


class Point(NamedTuple):
    """One thing that must hold."""

    name: str
    check: Callable[[], None]
    """Raises `BrokenPointError` where the point does not hold."""


class Verdict(NamedTuple):
    """Whether a point holds."""

    name: str
    problem: str | None
    """One line; None where the point holds."""


def run(points: Iterable[Point]) -> Iterator[Verdict]:
    """Checks each point; an exception of any kind breaks the point, and the rest are checked."""
    for point in points:
        try:
            point.check()
        except Exception as error:
            yield Verdict(point.name, problem_of(error))
        else:
            yield Verdict(point.name, None)


def problem_of(error: Exception) -> str:
    """What an exception of a check says about its point, in one line."""
    if isinstance(error, BrokenPointError | InputError):
        return str(error)
    where = line_of(error)
    said = f"raised {type(error).__name__}: {cause(error)}"
    return said + (f" ({where})" if where else "")


def require(holds: bool, line: str) -> None:
    """Raises `BrokenPointError` with ``line`` where something does not hold."""
    if not holds:
        raise BrokenPointError(line)
