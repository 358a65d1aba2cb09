"""The error that every wrong input ends in, and how its line shows names, lists and causes."""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections.abc import Iterable

_LINE = 1_500
_NAME = 200
_CAUSE = 300
_LIKE = 0.78
"""Share of letters that two names have in common from which one may be meant for the other."""
_TYPO = 80
"""A longer name is compared with no other: that takes the square of its length."""
_SPACE = "Zs"
"""Unicode's category of spaces; `str.isprintable` allows only one of them."""


class InputError(ValueError):
    """Bad input: one line that says what is wrong, where, and what is allowed.

    Control characters and undecodable bytes in the line are escaped, and an overlong line loses
    its middle, so that a name or a cause inside it can do no harm.
    """

    def __init__(self, line: str = "") -> None:
        super().__init__(_middle_cut(_escaped(line), _LINE))


def shown(name: object, limit: int = _NAME) -> str:
    """A name as one printable line of at most ``limit`` characters; a longer one loses its middle.

    A control character is printed as Python writes it (a line break as ``\\n``). A byte of a file
    name that is no UTF-8 is printed as ``\\xff``. ``name`` may be a path.

    >>> shown("two\\nlines")
    'two\\\\nlines'
    """
    return _middle_cut(_escaped(os.fsdecode(name) if isinstance(name, bytes) else str(name)), limit)


def listed(names: Iterable[object], limit: int = 10) -> str:
    """Names in one line; those after the first ``limit`` are only counted.

    >>> listed(range(5), limit=3)
    '0, 1, 2 and 2 more'
    """
    everything = [shown(name, 80) for name in names]
    first = ", ".join(everything[:limit])
    rest = len(everything) - limit
    return f"{first} and {rest} more" if rest > 0 else first


def meant(name: object, allowed: Iterable[str]) -> str:
    """A clause that names the allowed name that is most like a wrong one; empty if none is.

    >>> meant("mocco", ["moco", "simclr"])
    ", did you mean 'moco'?"
    """
    if not isinstance(name, str) or len(name) > _TYPO:
        return ""
    close = difflib.get_close_matches(name.lower(), list(allowed), n=1, cutoff=_LIKE)
    return f", did you mean {close[0]!r}?" if close else ""


def cause(error: BaseException) -> str:
    """What a library says of ``error``, as one short line; its class where it says nothing."""
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shown(" ".join(message.split()) or type(error).__name__, _CAUSE)


def _escaped(text: str) -> str:
    return "".join(
        sign if sign.isprintable() or unicodedata.category(sign) == _SPACE else _code(sign)
        for sign in text
    )


def _code(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":  # os.fsdecode puts a byte that is no UTF-8 here
        return f"\\x{ord(sign) - 0xDC00:02x}"
    return sign.encode("unicode_escape").decode("ascii")


def _middle_cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    kept = limit - 1
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
