"""The folder that holds data sets, their caches and compiled C++."""

from __future__ import annotations

import os
from pathlib import Path


def default_data_dir() -> Path:
    """MIXCO_DATA, or .cache/mixco-study in the user's home."""
    return Path(os.environ.get("MIXCO_DATA") or "~/.cache/mixco-study").expanduser()


def cache_folder(data_dir: Path) -> Path:
    """The folder of what was computed once: surveys, decoded splits, compiled C++, speeds."""
    return data_dir / "cache"
