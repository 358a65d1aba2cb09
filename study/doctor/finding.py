"""What a check of the machine found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Finding:
    """How one thing is on this machine."""

    state: State
    """ok; note: trials run, but slower or not with everything; broken: trials do not run"""
    says: str
    advice: str = ""
    """What to do about it."""

    @classmethod
    def ok(cls, says: str) -> Self:
        """Nothing is to be done."""
        return cls("ok", says)

    @classmethod
    def note(cls, says: str, advice: str = "") -> Self:
        """Trials run, but slower or not with everything."""
        return cls("note", says, advice)

    @classmethod
    def broken(cls, says: str, advice: str) -> Self:
        """Trials do not run until ``advice`` is followed."""
        return cls("broken", says, advice)
