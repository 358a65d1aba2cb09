"""How long the missing trials of a study take: wide encoders take longer than narrow ones.

Times of an earlier run may be those of a busy machine. So they only say how cells compare, and the
pace comes from what ended last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Kind = tuple[str, str]
"""The cell and the phase of a trial."""


@dataclass
class _Sums:
    seconds: dict[str, float] = field(default_factory=dict)
    """Of all trials of a cell."""
    epochs: Counter[str] = field(default_factory=Counter)
    """Of the same trials."""

    def add(self, cell: str, seconds: float, epochs: int) -> None:
        self.seconds[cell] = self.seconds.get(cell, 0.0) + seconds
        self.epochs[cell] += epochs

    def epoch_of(self, cell: str) -> float | None:
        """Seconds of an epoch of a cell."""
        return self.seconds[cell] / self.epochs[cell] if self.epochs[cell] else None

    @property
    def mean(self) -> float | None:
        """Seconds of an epoch of any cell."""
        return sum(self.seconds.values()) / self.epochs.total() if self.epochs else None


class TrialTimes:
    """What trials of each cell and phase take, from those that have ended."""

    def __init__(self) -> None:
        self._earlier, self._now = _Sums(), _Sums()
        self._trials: Counter[str] = Counter()
        self._epochs: Counter[str] = Counter()

    def add(self, row: Mapping[str, Any], earlier: bool) -> None:
        """Takes the row of a trial that ended; ``earlier``: in an earlier run."""
        seconds, epochs = row.get("seconds"), row.get("epochs_done")
        if not seconds or not epochs:
            return
        cell, phase = kind_of(row)
        (self._earlier if earlier else self._now).add(cell, seconds, epochs)
        self._trials[phase] += 1
        self._epochs[phase] += epochs

    def total(self, trials: Mapping[Kind, int]) -> float:
        """The work of so many trials of each kind: seconds, if nothing else runs than in the past.

        It is the epochs that a trial of the phase trains on average, times what an epoch of the
        cell took. Earlier runs go before this one, so that all cells are told from one source.
        """
        return sum(
            count * self._epoch(cell) * self._epochs_of(phase)
            for (cell, phase), count in trials.items()
        )

    def _epoch(self, cell: str) -> float:
        known = (
            self._earlier.epoch_of(cell), self._now.epoch_of(cell),
            self._earlier.mean, self._now.mean,
        )  # fmt: skip
        return next((seconds for seconds in known if seconds is not None), 1.0)

    def _epochs_of(self, phase: str) -> float:
        if self._trials[phase]:
            return self._epochs[phase] / self._trials[phase]
        return self._epochs.total() / self._trials.total() if self._trials else 1.0


def kind_of(row: Mapping[str, Any]) -> Kind:
    """The cell and phase of a row of ``trials``."""
    return row["cell"], row["phase"]


def seconds_left(
    times: TrialTimes, missing: Mapping[Kind, int], ended: Mapping[Kind, int], seconds: float
) -> float:
    """The seconds that the missing trials take, at the pace of those that ended last.

    Args:
        times: of all trials that have ended.
        missing: number of missing trials of each kind.
        ended: number of trials of each kind that ended last, in all at least one.
        seconds: in which they ended; several may have run at once.
    """
    return times.total(missing) * seconds / times.total(ended)
