"""How any input is refused: by an error of one short, printable line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trainables.errors import InputError

LONGEST = 1500
"""Characters: the message may quote a path of several hundred."""


def line_of(error: InputError, longest: int = LONGEST) -> str:
    """The error's message, which is one printable line of at most ``longest`` characters."""
    line = str(error)
    assert line.isprintable(), line
    assert 0 < len(line) <= longest, line
    return line


def refusal(read: Callable[[], object], *parts: str, longest: int = LONGEST) -> str:
    """The line with which ``read`` refuses its input; it holds each of ``parts``."""
    with pytest.raises(InputError) as caught:
        read()
    line = line_of(caught.value, longest)
    for part in parts:
        assert part in line
    return line
