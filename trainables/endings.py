"""How a trial ends if it does not complete: the one place that turns errors into endings.

An ending is found where the error is raised, possibly in a worker on another machine, and travels
from there to the row of the trial. `ending_of` makes it from an error, `error_of` makes an error
from it again; `tests/test_endings.py` checks that no ending changes on the way.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

from trainables.errors import InputError

_LONGEST = 500  # characters of an error's text


class GaveUpError(RuntimeError):
    """The trial has used up attempts of its own; the message is its error."""


class WrongInputError(GaveUpError, InputError):
    """No attempt can succeed: the input is wrong."""


@dataclass(frozen=True)
class Ending:
    """How a trial ended if it did not complete.

    Attributes:
        status: as in the table ``trials``.
        error: one line, as in the table ``trials``.
        final: whether a further attempt would end in the same way.
        wrong_input: whether the user can mend it.
    """

    status: Literal["diverged", "failed"]
    error: str
    final: bool
    wrong_input: bool = False


def ending_of(error: Exception) -> Ending:
    """The ending of a trial that ``error`` stopped.

    A trial diverges when its loss is not finite (`trainables.pretraining.Diverged`): the same
    configuration would diverge again, so that there is no further attempt, and the search counts
    the trial as failed.
    """
    match error:
        case FloatingPointError():
            return Ending("diverged", str(error), final=True)
        case WrongInputError():
            return Ending("failed", str(error), final=True, wrong_input=True)
        case GaveUpError():
            return Ending("failed", str(error), final=True)
        case _:
            return Ending("failed", _describe(error), final=False)


def error_of(ending: Ending) -> Exception:
    """The error to raise where the trial is driven; `ending_of` gives ``ending`` for it again."""
    match ending.status:
        case "diverged":
            return FloatingPointError(ending.error)
        case "failed":
            return (WrongInputError if ending.wrong_input else GaveUpError)(ending.error)
        case _:
            assert_never(ending.status)


def _describe(error: Exception) -> str:
    """The error and the place that it came from, in one line."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else text
