"""Checks of the data sets."""

from __future__ import annotations

from pathlib import Path

from study.doctor.finding import Finding
from study.doctor.hardware import disk
from trainables.data.sources import SOURCES, find_source
from trainables.errors import InputError


def folder(data_dir: Path) -> Finding:
    """Whether data sets and their caches can be kept."""
    return disk(data_dir, "set MIXCO_DATA to a folder with room, on a local disk where possible")


def found(data_dir: Path) -> Finding:
    """Which data sets are here."""
    here, missing = [], []
    for name, source in SOURCES.items():
        if source.summary:
            try:
                find_source(name, data_dir)
                here.append(name)
            except InputError:
                missing.append(name)
    says = ", ".join(here)
    if not missing:
        return Finding.ok(says)
    return Finding.note(
        f"{says}; not here: {', '.join(missing)}", "`mixco data fetch NAME` downloads one"
    )
