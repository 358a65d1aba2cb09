"""Log a study to trackers that people already use; one file for each tracker.

To add a tracker: write its class in a file of this folder, and enter it in `study/trackers.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

from reports.store.tables import Store
from study.on_ray.trackers.base import Tracker
from study.trackers import TRACKERS
from trainables.errors import InputError
from trainables.registry import load


def tracker_called(name: str) -> Tracker:
    """The tracker that a study calls ``name``."""
    tracker: Tracker = load(TRACKERS[name])(name)
    return tracker


def check_usable(names: Iterable[str], store: Store) -> None:
    """Checks that every tracker of ``names`` can be used for the results ``store``.

    Raises:
        InputError: a package is missing, or the tracker itself refuses.
    """
    trackers = [tracker_called(name) for name in names]
    missing = [tracker.name for tracker in trackers if not tracker.is_installed]
    if missing:
        raise InputError(
            f"trackers: {', '.join(missing)} not installed: pip install 'mixco-study[trackers]', "
            "or leave it out of the study's trackers"
        )
    for tracker in trackers:
        tracker.check(store)
