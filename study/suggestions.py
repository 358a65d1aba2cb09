"""Whether every configuration that a search can suggest is one that a trial accepts."""

from __future__ import annotations

from search_spaces import Space
from search_spaces.spaces import telling_suggestions, telling_values
from trainables.config import TrialConfig, parse_config
from trainables.errors import InputError

_IMAGES_OF_WORKER = 4
"""A worker's share of a batch has halves to mix, and each half has halves to swap."""


def check_suggestions(config: TrialConfig, space: Space) -> None:
    """Refuses a space with a value that makes ``config`` invalid.

    Raises:
        InputError: names the field and the value.
    """
    for suggestion in telling_suggestions(space):
        parse_config({**config.model_dump(), **suggestion}, "space")


def check_workers(config: TrialConfig, space: Space, workers: int) -> None:
    """Refuses a trial that ``workers`` processes cannot share, at any suggested batch size.

    Raises:
        InputError: names the batch size, or the setting.
    """
    if workers == 1:
        return
    multiple = _IMAGES_OF_WORKER * workers
    searched = telling_values(space["batch_size"]) if "batch_size" in space else []
    if bad := sorted(size for size in {config.batch_size, *searched} if size % multiple):
        raise InputError(
            f"batch_size: {bad[0]} does not go into {workers} workers (width {config.width}; "
            f"allowed: multiples of {multiple})"
        )
    if config.compile == "on":
        raise InputError(f"compile: on is for one worker, not {workers} (allowed: auto, off)")
