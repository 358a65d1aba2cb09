"""optuna-dashboard over the searches of a study's cells, built from its stored rows."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from reports.store.configs import value_in
from reports.store.schema import COMPLETE, PRUNED, TUNE
from reports.store.tables import Store
from search_spaces import Space
from study.agenda import Agenda
from study.dashboard_guard import guarded
from study.overview import knn_by_epoch, recorded_rows
from study.plan import search_of
from study.provenance import stored_spec
from trainables.errors import InputError, cause, shown

HOST = "127.0.0.1"


def cell_studies(store: Store) -> BaseStorage:
    """One Optuna study for each search of a cell, its tune trials in order.

    A trial that diverged or failed is Optuna's FAIL, and its error is an attribute. The kNN
    accuracies of the epochs are Optuna's intermediate values.

    Raises:
        InputError: no study was run there, or a recorded trial cannot be one of Optuna's.
    """
    spec = stored_spec(store)
    if spec is None:
        raise InputError(f"{store.name}: no study.yaml: no study was run there")
    rows = recorded_rows(store)
    agenda = Agenda(spec, rows)
    tuned = [row for row in rows if row["phase"] == TUNE and search_of(row) in agenda.searches]
    measured = knn_by_epoch(store, [row["trial_id"] for row in tuned])
    storage = InMemoryStorage()
    for name, state in agenda.searches.items():
        joint = "width" in state.cell.space
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=["maximize", "minimize"] if joint else ["maximize"],
        )
        names = ["validation accuracy (%)", "FLOPs of an image"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(names if joint else names[:1])
        own = (row for row in tuned if search_of(row) == name)
        for row in sorted(own, key=lambda row: int(row["number"])):
            epochs = dict(measured.get(row["trial_id"], []))
            try:
                study.add_trial(_trial(row, state.cell.space, epochs, joint))
            except (TypeError, ValueError) as error:  # Optuna's, of values that are out of order
                what = f"{shown(store.name)}: trial {shown(row['trial_id'])} is damaged"
                raise InputError(f"{what} ({cause(error)})") from None
    return storage


def _trial(
    row: Mapping[str, Any], space: Space, epochs: Mapping[int, float], joint: bool
) -> FrozenTrial:
    distributions: dict[str, BaseDistribution] = {
        name: distribution
        for name, distribution in space.items()
        if value_in(row, name) is not None and _within(distribution, value_in(row, name))
    }
    values: list[float] | None = None
    state = TrialState.FAIL
    if row["status"] == COMPLETE:
        state = TrialState.COMPLETE
        values = [row["accuracy"], *([row["encoder_flops"]] if joint else [])]
    elif row["status"] == PRUNED:
        state = TrialState.PRUNED
    attributes = {"trial_id": row["trial_id"], "status": row["status"]}
    if row["error"]:
        attributes["error"] = row["error"]
    trial = create_trial(
        state=state,
        values=values,
        params={name: value_in(row, name) for name in distributions},
        distributions=distributions,
        user_attrs=attributes,
        intermediate_values={} if joint else dict(epochs),
    )
    for name in ("started_at", "finished_at"):
        if row[name] is not None:
            when = row[name].to_pydatetime() if hasattr(row[name], "to_pydatetime") else row[name]
            field = "datetime_start" if name == "started_at" else "datetime_complete"
            setattr(trial, field, when.astimezone().replace(tzinfo=None))
    return trial


def _within(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:  # not one of the choices
        return False


class _Server(ThreadingMixIn, WSGIServer):
    """A server with a thread for each request: a page sends several at a time."""

    daemon_threads = True
    allow_reuse_address = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: nobody needs a list of requests."""


def serve(store: Store, port: int, announce: Callable[[str], None]) -> None:
    """Serve the dashboard on this machine until Ctrl-C.

    Raises:
        InputError: optuna-dashboard is not installed, the port is taken, or no study was run there.
    """
    if find_spec("optuna_dashboard") is None:
        raise InputError("the dashboard needs: pip install 'mixco-study[dashboard]'")
    from optuna_dashboard import wsgi

    storage = cell_studies(store)
    try:
        server = _Server((HOST, port), _Quiet)
    except OSError as error:
        raise InputError(f"--port {port}: {cause(error)} (0: any free port)") from None
    server.set_app(guarded(wsgi(storage), server.server_port))
    with server, contextlib.suppress(KeyboardInterrupt):
        announce(f"http://{HOST}:{server.server_port}/dashboard")
        server.serve_forever()
