"""Which trial may start now, and which resources it gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import ray

from reports.statistics.lines_rule import Size
from reports.store.tables import Store
from study.agenda import Agenda
from study.fitting import Node, misfits, this_machine
from study.on_ray.gpu_shares import GpuShares
from study.overview import recorded_rows
from study.plan import DueTrial
from study.resources import Allotment
from study.spec import StudySpec
from trainables.errors import InputError

_ROUNDING = 1e-6


class Admission:
    """The resources of each running trial, and whether there is room for one more."""

    def __init__(self, spec: StudySpec, rows: Iterable[Mapping[str, Any]]) -> None:
        """``rows``: the recorded rows of ``trials``; ``gpus: auto`` uses their GPU memory."""
        self._spec = spec
        self._shares = GpuShares(rows)
        self._given: dict[str, Allotment] = {}

    def admit(self, due: DueTrial) -> Allotment | None:
        """The resources of ``due`` if it may start now; None if it has to wait.

        Tune itself waits until there is room for a trial that runs in one process. Ray Train asks
        for the workers of a trial only after Tune has started it. So in a study with such trials,
        start a trial only if it fits beside all running trials. Always let one trial start: an
        autoscaler adds nodes only for a demand that it sees.
        """
        size = due.config.encoder, due.config.width
        given = self._spec.resources.of(*size, self._shares.of(*size))
        if self._given and "train" in map(self._spec.runner_of, self._spec.sizes):
            cluster = ray.cluster_resources()
            wanted = [given, *self._given.values()]
            for kind in given.total:
                if sum(one.total[kind] for one in wanted) > cluster.get(kind, 0.0) + _ROUNDING:
                    return None
        self._given[due.trial_id] = given
        return given

    def given(self, trial_id: str) -> Allotment:
        """The resources of a running trial."""
        return self._given[trial_id]

    def release(self, trial_id: str) -> None:
        """Takes back the resources of a trial."""
        self._given.pop(trial_id, None)

    def note(self, row: Mapping[str, Any]) -> None:
        """Takes in the row of a trial that ended, for the GPU memory that the trial used."""
        self._shares.note(row)


def misfit_lines(spec: StudySpec, sizes: Iterable[Size]) -> list[str]:
    """One line for each kind of trial of these encoders that does not fit on Ray's nodes."""
    nodes = [Node.of(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    return _lines(spec, sizes, nodes)


def check_fits(agenda: Agenda) -> None:
    """Checks that Ray's present nodes can run every missing trial of a study.

    Raises:
        InputError: a trial wants more than the nodes have.
    """
    _refuse(misfit_lines(agenda.spec, _missing_sizes(agenda)))


def check_fits_here(spec: StudySpec, store: Store) -> None:
    """Checks that this machine can run every trial that ``store`` lacks; starts and writes nothing.

    Raises:
        InputError: a trial wants more than this machine has.
    """
    nodes = [this_machine(spec)]
    if misfits(spec, nodes):  # Read the rows only if some trial does not fit.
        _refuse(_lines(spec, _missing_sizes(Agenda(spec, recorded_rows(store))), nodes))


def _missing_sizes(agenda: Agenda) -> set[Size]:
    return {
        (state.cell.config.encoder, width)
        for state in agenda.searches.values()
        if state.confirm is None or agenda.done_in(state) < len(state.confirm) + agenda.spec.trials
        for width in state.cell.widths
    }


def _lines(spec: StudySpec, sizes: Iterable[Size], nodes: list[Node]) -> list[str]:
    return [str(misfit) for misfit in misfits(spec, nodes, sizes)]


def _refuse(lines: list[str]) -> None:
    if lines:
        raise InputError(f"resources: {'; '.join(lines)}")
