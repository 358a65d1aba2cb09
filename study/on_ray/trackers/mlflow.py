"""MLflow: a run for each trial, on a server, or in a database beside the results."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from reports.store.tables import Store
from study.on_ray.trackers.base import Tracker, is_local
from trainables.errors import InputError

if TYPE_CHECKING:
    from ray.tune.logger import LoggerCallback

URI_VARIABLE = "MLFLOW_TRACKING_URI"
_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")


class Mlflow(Tracker):
    """Configured by MLflow's own variable, MLFLOW_TRACKING_URI."""

    package = "mlflow"

    def check(self, store: Store) -> None:
        if not (is_local(store) or os.environ.get(URI_VARIABLE)):
            raise InputError(
                f"trackers: mlflow keeps no database in {store.name}: "
                f"set {URI_VARIABLE} to a server"
            )

    def logger(self, folder: Path, study: str) -> LoggerCallback:
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        uri = os.environ.get(URI_VARIABLE) or f"sqlite:///{plain_path(folder)}/mlflow.db"
        return MLflowLoggerCallback(uri, experiment_name=study)


def plain_path(folder: Path) -> Path:
    """A path to ``folder`` that may stand in a URI as it is: the folder's own, or a link to it.

    MLflow and SQLAlchemy disagree on how ``?``, ``#`` and ``%`` in the path of a database are
    escaped, so one of them would put the database somewhere else.
    """
    if _PLAIN.fullmatch(str(folder)):
        return folder
    link = Path(tempfile.mkdtemp(prefix="mixco-trackers-")) / "results"
    link.symlink_to(folder, target_is_directory=True)
    return link
