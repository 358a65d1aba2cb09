"""The error that every wrong input ends in."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: one line that says what is wrong, where, and what is allowed."""
