"""Checkpoint files: whole or not there, and never mistaken for another trial's."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from trainables.atomic_write import atomic_file
from trainables.errors import InputError

_KIND = "mixco-study checkpoint 1"


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values) atomically."""
    with atomic_file(path) as file:
        torch.save({"kind": _KIND, **state}, file)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What ``save`` wrote.

    Raises:
        InputError: the file is missing, damaged, or not a checkpoint of this tool.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    try:
        if not zipfile.is_zipfile(path):
            raise InputError(f"{path}: truncated, or not a checkpoint")
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise InputError(f"{path}: damaged checkpoint ({damaged})")
        state = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path}: not a readable checkpoint ({_first_line(error)})") from None
    if not isinstance(state, dict) or state.get("kind") != _KIND:
        raise InputError(f"{path}: not a checkpoint of this tool (expected {_KIND!r})")
    return state


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
