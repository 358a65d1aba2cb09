"""Suggestions of one search: an Optuna study that depends on nothing but that search's results.

Suggestion n is computed from the outcomes of exactly the trials 0 to n - k (k is
`parallel_per_cell`) and from the parameters of the k - 1 trials between. The sampler's seed comes
from the replicate's seed, the cell's name and n. So neither timing, nor other searches, nor
interruptions change a suggestion, and it can be computed again from the stored rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from reports.store.schema import COMPLETE, PRUNED
from search_spaces.spaces import nearest
from study.plan import Cell
from study.samplers import SAMPLERS
from study.spec import Search
from trainables.config import TrialConfig

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a tune trial ended."""

    status: str
    parameters: Mapping[str, Any]
    accuracy: float | None = None
    knn_by_epoch: Mapping[int, float] = field(default_factory=dict)
    """kNN accuracy by epoch, of a pruned trial."""
    flops: float | None = None
    """FLOPs of one image through the encoder: the second objective where width is searched."""


class CellSearch:
    """One search of one cell."""

    def __init__(self, cell: Cell, search: Search, trials: int, seed: int) -> None:
        self.cell = cell
        self.warm_start: Callable[[], Mapping[str, Any] | None] | None = None
        """Called when the second trial is due; returns its parameters, or None: not known yet."""
        self.trials = trials
        self.outcomes: dict[int, Outcome] = {}
        self._search = search
        self._sampler = SAMPLERS.find(search.sampler)
        self._seed = seed
        self._asked = 0
        self._told = 0
        self._foreign: set[int] = set()
        self._joint = "width" in cell.space
        self._study = _study(self._joint)

    @property
    def done(self) -> bool:
        """Whether every trial has ended."""
        return len(self.outcomes) >= self.trials and all(
            number in self.outcomes for number in range(self.trials)
        )

    def next(self) -> tuple[int, dict[str, Any]] | None:
        """(number, parameters) of the next trial to run, or None until an outcome comes in."""
        while (number := self._asked) < self.trials:
            if number - self._search.parallel_per_cell >= self._told:
                if self._told not in self.outcomes:
                    return None
                self._tell(self._told)
                self._told += 1
                continue
            start = self._start(number)
            if start is None:
                return None
            self._asked += 1
            if number not in self.outcomes:
                return number, self._ask(number, start)
            self._adopt(number, self.outcomes[number], start)
        return None

    def record(self, number: int, outcome: Outcome) -> None:
        """Takes in how a trial ended, in this run or an earlier one."""
        self.outcomes[number] = outcome

    @property
    def defaults(self) -> dict[str, Any]:
        """The first trial's parameters: the cell's fixed values, each moved into its range."""
        return self._defaults(self.cell.config)

    @property
    def pareto_front(self) -> list[int]:
        """The Pareto front: complete trials that none beats in accuracy at equal or fewer FLOPs.

        Ordered by FLOPs.
        """
        study = _study(joint=True)
        complete = {
            number: (outcome.accuracy, outcome.flops)
            for number, outcome in sorted(self.outcomes.items())
            if outcome.status == COMPLETE and None not in (outcome.accuracy, outcome.flops)
        }
        for number, values in complete.items():
            study.add_trial(
                create_trial(values=list(values), user_attrs={"number": number})  # type: ignore[arg-type]
            )
        best = [int(trial.user_attrs["number"]) for trial in study.best_trials]
        return sorted(best, key=lambda number: (complete[number][1], number))

    def _defaults(self, config: TrialConfig) -> dict[str, Any]:
        return {
            name: nearest(distribution, config.value(name))
            for name, distribution in self.cell.space.items()
        }

    def _start(self, number: int) -> Mapping[str, Any] | None:
        """Parameters that trial ``number`` must have: defaults, a warm start, or none.

        None: they are not known yet.
        """
        if number < len(self.cell.widths):
            return self._defaults(self.cell.configs[number])
        if number == 1 and self.warm_start is not None:
            return self.warm_start()
        return {}

    def _ask(self, number: int, start: Mapping[str, Any]) -> dict[str, Any]:
        given = {
            name: nearest(distribution, start[name])
            for name, distribution in self.cell.space.items()
            if name in start
        }
        if given:
            self._study.enqueue_trial(given)
        self._study.sampler = self._seeded(number)
        trial = self._study.ask(self.cell.space)
        assert trial.number == number
        return dict(trial.params)

    def _adopt(self, number: int, outcome: Outcome, start: Mapping[str, Any]) -> None:
        """Adds a recorded trial to the Optuna study, as if it had been asked for now."""
        space: dict[str, BaseDistribution] = {
            name: distribution
            for name, distribution in self.cell.space.items()
            if distribution._contains(distribution.to_internal_repr(outcome.parameters[name]))
        }
        parameters = {name: outcome.parameters[name] for name in space}
        if self._sampler.replayed:
            # If the search space has changed since, this sampler did not suggest the trial.
            if self._ask(number, start) != outcome.parameters:
                self._foreign.add(number)
            return
        self._study.add_trial(
            create_trial(state=TrialState.RUNNING, params=parameters, distributions=space)
        )

    def _tell(self, number: int) -> None:
        outcome = self.outcomes[number]
        if number in self._foreign:
            self._study.tell(number, state=TrialState.FAIL)
        elif outcome.status == COMPLETE:
            values = [outcome.accuracy, outcome.flops] if self._joint else [outcome.accuracy]
            self._study.tell(number, values)  # type: ignore[arg-type]
        elif outcome.status == PRUNED and outcome.knn_by_epoch and not self._joint:
            trial = optuna.Trial(self._study, self._trial(number)._trial_id)
            for epoch, accuracy in outcome.knn_by_epoch.items():
                trial.report(accuracy, epoch)
            self._study.tell(number, state=TrialState.PRUNED)
        else:
            self._study.tell(number, state=TrialState.FAIL)

    def _trial(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _seeded(self, number: int) -> BaseSampler:
        key = f"{self._seed}/{self.cell.name}/{number}"
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "little") >> 1
        return self._sampler.make(seed, self._search.startup_trials)


def _study(joint: bool) -> optuna.Study:
    return optuna.create_study(directions=["maximize", "minimize"] if joint else ["maximize"])
