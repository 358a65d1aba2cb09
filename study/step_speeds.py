"""Speeds of training steps on this machine, kept in a file, so that the next plan times nothing."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from trainables.atomic_write import atomic_write
from trainables.config import TrialConfig
from trainables.data_dir import cache_folder, default_data_dir


class StepSpeeds:
    """Training FLOPs per second, by configuration and by what it was timed on."""

    def __init__(self, data_dir: Path | None) -> None:
        """The file in the cache of ``data_dir``, the folder of data sets; None: the default one."""
        self._path = cache_folder(data_dir or default_data_dir()) / "step-speeds.json"

    def find(self, config: TrialConfig, hardware: str) -> float | None:
        """The speed of ``config`` on ``hardware``; None: none is kept.

        A file that is missing or damaged holds no speeds.
        """
        speed = self._all().get(_key(config, hardware))
        return speed if isinstance(speed, float) and 0 < speed < float("inf") else None

    def keep(self, config: TrialConfig, hardware: str, speed: float) -> None:
        """Keep a speed; not where the folder cannot be written."""
        speeds = self._all() | {_key(config, hardware): speed}
        with contextlib.suppress(OSError):
            atomic_write(self._path, json.dumps(speeds, indent=1).encode())

    def _all(self) -> dict[str, object]:
        try:
            speeds = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return speeds if isinstance(speeds, dict) else {}


def _key(config: TrialConfig, hardware: str) -> str:
    # The number of epochs and the seed do not change how long a step takes.
    return f"{config.model_copy(update={'epochs': 1, 'seed': 0}).digest()} {hardware}"
