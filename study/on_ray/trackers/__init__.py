"""A study in the trackers that people already use; one file for each.

To add a tracker: write its class in a file of this folder and put an instance into `TRACKERS`.
"""

from __future__ import annotations

from collections.abc import Iterable

from reports.store.tables import Store
from study.on_ray.trackers.base import Tracker
from study.on_ray.trackers.mlflow import Mlflow
from study.on_ray.trackers.tensorboard import TensorBoard
from study.on_ray.trackers.wandb import Wandb
from trainables.errors import InputError

TRACKERS: dict[str, Tracker] = {
    tracker.name: tracker for tracker in (TensorBoard(), Wandb(), Mlflow())
}


def check_usable(names: Iterable[str], store: Store) -> None:
    """Checks that every tracker of ``names`` can be used for the results ``store``.

    Raises:
        InputError: a package is missing, or the tracker itself refuses.
    """
    trackers = [TRACKERS[name] for name in names]
    missing = [tracker.name for tracker in trackers if not tracker.is_installed]
    if missing:
        raise InputError(
            f"trackers: {', '.join(missing)} not installed: pip install 'mixco-study[trackers]', "
            "or leave it out of the study's trackers"
        )
    for tracker in trackers:
        tracker.check(store)
