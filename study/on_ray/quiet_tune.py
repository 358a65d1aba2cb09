"""What Tune does beside running trials, and what a study goes without."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

try:
    from ray.air._internal import usage
except ImportError:  # another version of Ray
    usage = None  # type: ignore[assignment]


@contextmanager
def quiet_tune() -> Iterator[None]:
    """Silences Tune's log, and keeps it from importing trackers that the study does not use.

    Tune prints tracebacks for errors that the study reports in one line. For Ray's usage statistics
    it tells callbacks apart by importing MLflow and W&B where they are installed, which takes
    seconds; here it tells none apart.
    """
    logger = logging.getLogger("ray.tune")
    level, count = logger.level, getattr(usage, "tag_callbacks", None)
    logger.setLevel(logging.CRITICAL)
    if count is not None:
        usage.tag_callbacks = lambda callbacks: False
    try:
        yield
    finally:
        logger.setLevel(level)
        if count is not None:
            usage.tag_callbacks = count
