"""The studies that ship with the tool: the YAML files of the folder ``presets``."""

from __future__ import annotations

from importlib import resources
from itertools import takewhile
from typing import Any

from trainables.errors import InputError, listed, meant

_ORDER = ("demo", "pilot", "capacity", "paper")
"""How lists show them: from minutes to weeks."""


def presets() -> list[str]:
    """The names of the studies that ship with the tool, the shortest study first."""
    names = [
        entry.name.removesuffix(".yaml")
        for entry in _folder().iterdir()
        if entry.name.endswith(".yaml")
    ]
    return sorted(names, key=[*_ORDER, *sorted(names)].index)


def preset_text(name: str) -> str:
    """The YAML of a preset.

    Raises:
        InputError: there is no such preset.
    """
    names = presets()
    if name not in names:
        raise InputError(
            f"{name}: neither a YAML file nor a preset{meant(name, names)} "
            f"(presets: {listed(names)})"
        )
    return (_folder() / f"{name}.yaml").read_text(encoding="utf-8")


def preset_purpose(name: str) -> str:
    """What a preset is for: the comment at the top of its file.

    Raises:
        InputError: there is no such preset.
    """
    lines = takewhile(lambda line: line.startswith("#"), preset_text(name).splitlines())
    return " ".join(line.removeprefix("#").strip() for line in lines)


def _folder() -> Any:
    return resources.files("study") / "presets"
