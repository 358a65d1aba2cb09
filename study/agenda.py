"""Which trials of a study are missing, and in which order they run. No Ray, no files."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reports.statistics.best_trial import best_trials
from reports.store.configs import config_values, value_in
from reports.store.schema import CONFIRM, STATUSES, TUNE
from study.lines import next_smaller
from study.pace import Kind, TrialTimes
from study.plan import (
    Cell,
    DueTrial,
    cells,
    confirm_trial,
    in_search,
    open_replicates,
    planned_confirms,
    replicate_of,
    search_id,
    search_of,
    tune_id,
    tune_trial,
)
from study.search import CellSearch, Outcome
from study.spec import StudySpec
from trainables.config import TrialConfig, parse_config, same_setting


class SearchState:
    """One search of a cell, then the confirm trials of its best configuration."""

    def __init__(self, cell: Cell, spec: StudySpec) -> None:
        self.cell = cell
        self.search = CellSearch(cell, spec.search, spec.trials, spec.tune_seed(cell.search))
        self._changes: dict[int, dict[str, Any]] = {}
        self.confirm: list[DueTrial] | None = None
        """The confirm trials; None until the cell is tuned."""
        self.tuned = 0
        """Tune trials of the plan that have ended."""
        self.confirmed = 0
        """Confirm trials of the plan that have ended."""

    def record(self, number: int, values: Mapping[str, Any], outcome: Outcome) -> None:
        """Takes in how a tune trial with the fields ``values`` of `TrialConfig` ended."""
        new = number not in self.search.outcomes
        self.tuned += new and number < self.search.trials
        # Keep only the fields that differ from the cell's config, to bound memory.
        base = self.cell.config
        self._changes[number] = {
            name: value
            for name, value in values.items()
            if not same_setting(name, value, getattr(base, name))
        }
        self.search.record(number, outcome)

    def config(self, number: int) -> TrialConfig:
        """The configuration of a tune trial that has ended.

        Raises:
            InputError: it was recorded as failed, since it is not valid.
        """
        return parse_config({**dict(self.cell.config), **self._changes[number]})

    @property
    def best(self) -> int | None:
        """Number of the best tune trial, by `best_trials`."""
        return self._best(key=lambda row: None).get(None)

    @property
    def best_by_width(self) -> dict[int, int]:
        """Of each width, the number of its best tune trial, by `best_trials`."""
        return dict(sorted(self._best(key=lambda row: row["width"]).items()))

    def _best(self, key: Callable[[Mapping[str, Any]], Any]) -> dict[Any, int]:
        rows = (
            {
                "number": number,
                "status": outcome.status,
                "accuracy": outcome.accuracy,
                "width": self._changes[number].get("width", self.cell.config.width),
            }
            for number, outcome in self.search.outcomes.items()
        )
        return {group: row["number"] for group, row in best_trials(rows, key).items()}

    @property
    def best_accuracy(self) -> float | None:
        """Validation accuracy of the best tune trial, percent."""
        best = self.best
        return None if best is None else self.search.outcomes[best].accuracy


class Agenda:
    """Hands out the trials that are missing, and takes in how they ended."""

    def __init__(self, spec: StudySpec, recorded: Iterable[Mapping[str, Any]] = ()) -> None:
        """Takes the rows of ``trials`` that are recorded.

        The row of a pruned trial has ``knn_by_epoch``, too: its kNN accuracy by epoch.
        """
        self.spec = spec
        self._cells = cells(spec)
        self.searches: dict[str, SearchState] = {}
        """Every search of every cell, by its id, replicate by replicate."""
        self.replicates = 0
        """How many times every cell is searched, as far as that is decided."""
        rows = list(recorded)
        for _ in range(open_replicates(spec, map(replicate_of, rows))):
            self.open_replicate()
        self.running: dict[str, DueTrial] = {}
        """The trials that were handed out and have not ended."""
        self.started: set[str] = set()
        """The ids of those among ``running`` that compute; the others wait for room."""
        self.ended: dict[str, str] = {}
        """Status of every trial that ended in this run or an earlier one, by id."""
        self.times = TrialTimes()
        """How long the trials took that ended in this run or an earlier one."""
        self._ready: deque[DueTrial] = deque()
        """Trials to hand out before a search is asked: confirm trials, and trials given back."""
        self._counts: Counter[str] = Counter()
        for row in rows:
            self._end(row, earlier=True)
            if row["phase"] == TUNE and search_of(row) in self.searches:
                self._take(row)
        for state in self.searches.values():
            self._open_confirm(state)

    def open_replicate(self) -> None:
        """Adds one more search of every cell."""
        search = self.replicates
        self.replicates += 1
        states = [
            SearchState(in_search(cell, self.spec, search), self.spec) for cell in self._cells
        ]
        self.searches |= {state.cell.search_id: state for state in states}
        if self.spec.warm_start:
            for state in states:
                state.search.warm_start = self._warm_start(state)

    def next(self) -> DueTrial | None:
        """A trial to start now; None if every missing trial must wait for a running one.

        Do not start a trial that has an ``error``: record it as failed with that error.
        """
        due = self._ready.popleft() if self._ready else self._next_tune()
        if due:
            self.running[due.trial_id] = due
        return due

    def give_back(self, due: DueTrial) -> None:
        """Takes back a trial that was handed out and has not ended; `next` returns it again."""
        del self.running[due.trial_id]
        self.started.discard(due.trial_id)
        self._ready.appendleft(due)

    def record(self, row: Mapping[str, Any]) -> None:
        """Takes in the row of a trial that ended, with ``knn_by_epoch`` if it was pruned."""
        self.running.pop(row["trial_id"], None)
        self.started.discard(row["trial_id"])
        self._end(row, earlier=False)
        state = self.searches[search_of(row)]
        if row["phase"] == TUNE:
            self._take(row)
            self._open_confirm(state)
        else:
            state.confirmed += 1

    @property
    def finished(self) -> bool:
        """Whether nothing is left to hand out and nothing runs."""
        return not (self.running or self._ready) and all(
            state.confirm is not None for state in self.searches.values()
        )

    @property
    def unconfirmed(self) -> list[str]:
        """Searches that have ended without a complete trial: there is nothing to confirm."""
        return [name for name, state in self.searches.items() if state.confirm == []]

    @property
    def planned(self) -> int:
        """Tune and confirm trials of the whole study."""
        return sum(
            self.spec.trials + self.planned_confirms(state) for state in self.searches.values()
        )

    def planned_confirms(self, state: SearchState) -> int:
        """Confirm trials of one search: every seed at each width that has a complete tune trial.

        Before the search has ended, every seed at each width.
        """
        if state.confirm is None:
            return planned_confirms(self.spec, state.cell.widths)
        return len(state.confirm)

    @property
    def missing(self) -> Counter[Kind]:
        """Trials of the plan that have not ended, by cell and phase."""
        missing: Counter[Kind] = Counter()
        for state in self.searches.values():
            missing[state.cell.name, TUNE] += self.spec.trials - state.tuned
            missing[state.cell.name, CONFIRM] += self.planned_confirms(state) - state.confirmed
        return +missing

    @property
    def done(self) -> int:
        """Trials of the plan that have ended."""
        return sum(self.done_in(state) for state in self.searches.values())

    def done_in(self, state: SearchState) -> int:
        """Trials of one search that have ended."""
        return state.tuned + state.confirmed

    def count(self, status: str) -> int:
        """Trials that ended with ``status``, in this run or an earlier one."""
        assert status in STATUSES
        return self._counts[status]

    def _end(self, row: Mapping[str, Any], earlier: bool) -> None:
        self.ended[row["trial_id"]] = row["status"]
        self._counts[row["status"]] += 1
        self.times.add(row, earlier)

    def _next_tune(self) -> DueTrial | None:
        # Earlier replicates first, so that an interrupted study has whole ones. Within a replicate
        # the search with the fewest trials first, so that none is left alone at the end.
        def rank(state: SearchState) -> tuple[int, int]:
            return state.cell.search, len(state.search.outcomes)

        for state in sorted(self.searches.values(), key=rank):
            suggestion = state.search.next()
            if suggestion:
                number, parameters = suggestion
                return tune_trial(state.cell, number, parameters)
        return None

    def _warm_start(self, state: SearchState) -> Callable[[], Mapping[str, Any] | None] | None:
        """The best parameters of the next smaller encoder on the line, in the same replicate.

        None until that encoder's cell is tuned.
        """
        config = state.cell.config
        smaller = next_smaller(self.spec, config)
        if smaller is None:
            return None
        source = self.searches[
            search_id(Cell(smaller, {}, (smaller.width,)).name, state.cell.search)
        ]

        def parameters() -> Mapping[str, Any] | None:
            if not source.search.done:
                return None
            best = source.best
            return {} if best is None else source.search.outcomes[best].parameters

        return parameters

    def _take(self, row: Mapping[str, Any]) -> None:
        state = self.searches[search_of(row)]
        state.record(
            int(row["number"]),
            config_values(row),
            Outcome(
                row["status"],
                {
                    name: value_in(row, name, state.cell.config.value(name))
                    for name in state.cell.space
                },
                row["accuracy"],
                row.get("knn_by_epoch") or {},
                row.get("encoder_flops"),
            ),
        )

    def _open_confirm(self, state: SearchState) -> None:
        """Queues the confirm trials of a search once it is done."""
        if state.confirm is not None or not state.search.done:
            return
        state.confirm = [
            confirm_trial(state.cell, state.config(best), tune_id(state.cell, best), seed)
            for best in state.best_by_width.values()
            for seed in self.spec.confirm_seeds(state.cell.search)
        ]
        missing = [due for due in state.confirm if due.trial_id not in self.ended]
        state.confirmed = len(state.confirm) - len(missing)
        self._ready.extend(missing)
