"""The short name that a user may give a data set: ``NAME=PLACE``.

A data set that is read from a path has a long name. ``few=parquet:/data/few`` calls it ``few``. The
short name stands in ids and reports. The place says where this machine finds the images; it may
change without making another trial.
"""

from __future__ import annotations

import re

_SHORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_ALLOWED = "NAME=KIND:PATH, NAME of at most 40 letters, digits, _ . and -, a letter or digit first"


def short_name(name: str) -> str:
    """What ids and reports call the data set: its short name where it has one.

    >>> short_name("few=parquet:/data/few"), short_name("cifar10")
    ('few', 'cifar10')
    """
    return _split(name)[0] or name


def place_of(name: str) -> str:
    """The data set's own name, by which its source finds it.

    >>> place_of("few=parquet:/data/few"), place_of("cifar10")
    ('parquet:/data/few', 'cifar10')
    """
    return _split(name)[1]


def has_short_name(name: str) -> bool:
    """Whether the user gave the data set a short name."""
    return _split(name)[0] is not None


def check_short_names(*names: str) -> None:
    """Checks the short names of data sets that are used together.

    Raises:
        ValueError: a short name is none, or one short name stands for two places.
    """
    places: dict[str, str] = {}
    for name in names:
        short, place = _split(name)
        if short is not None and not (_SHORT.fullmatch(short) and place):
            raise ValueError(f"data set {name!r}: no short name (allowed: {_ALLOWED})")
        if short is not None and has_short_name(place):
            raise ValueError(f"data set {name!r}: has two short names (allowed: {_ALLOWED})")
        known = places.setdefault(short_name(name), place)
        if known != place:
            raise ValueError(f"{short_name(name)!r} names two data sets, {known!r} and {place!r}")


def _split(name: str) -> tuple[str | None, str]:
    """Short name, or None, and place.

    No name of a source, and nothing before the colon of KIND:PATH, holds an equals sign.
    """
    short, equals, place = name.partition("=")
    return (short, place) if equals and not set(":/?") & set(short) else (None, name)
