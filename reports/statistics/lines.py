"""Lines as arrays: the values of paired trials by unit and by encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from reports.statistics.capacity import SIZE
from reports.statistics.intervals import Floats
from reports.statistics.units import REPEATED, UNIT


@dataclass(frozen=True)
class Line:
    """The values of one line of one arm.

    Attributes:
        dataset: name of the data set.
        names: what names each encoder, such as "width 16" or "resnet34".
        capacities: of the encoders, ascending (encoders,).
        scores: (units, encoders), NaN where a unit has no pair. Lines that were made together have
            the same units in the same rows, since lines share them.
        seeds_of_search: confirm seeds of each search, where a unit is a search; None where the line
            was searched once and a unit is a seed (`units.by_unit`).
    """

    dataset: str
    names: tuple[str, ...]
    capacities: Floats
    scores: Floats
    seeds_of_search: int | None = None
    measure: str = "parameters"
    """What the capacities are (`capacity.MEASURES`)."""

    @property
    def repeated(self) -> bool:
        """Whether a unit is a search, so that luck in a search is told from an effect."""
        return self.seeds_of_search is not None

    @property
    def means(self) -> Floats:
        """Mean over the units that are there, for each encoder (encoders,)."""
        return np.asarray(np.nanmean(self.scores, axis=0))

    @property
    def units(self) -> int:
        """Units that have a value at any encoder."""
        return int((~np.isnan(self.scores)).any(axis=1).sum())

    @property
    def searches(self) -> int:
        """Searches that have a pair at any encoder."""
        return self.units if self.repeated else 1

    @property
    def seeds(self) -> int:
        """Confirm seeds of each search."""
        return self.units if self.seeds_of_search is None else self.seeds_of_search

    @property
    def lost(self) -> int:
        """Values that are missing, of the units that have any value on this line."""
        units = ~np.isnan(self.scores).all(axis=1)
        return int(np.isnan(self.scores[units]).sum())

    def without(self, name: str) -> Line:
        """The line without one of its encoders."""
        kept = [place for place, own in enumerate(self.names) if own != name]
        return replace(
            self,
            names=tuple(self.names[place] for place in kept),
            capacities=self.capacities[kept],
            scores=self.scores[:, kept],
        )


def lines_of(frames: Sequence[pd.DataFrame], value: str = "gain") -> list[Line]:
    """The lines in ``frames``, over the units of all of them.

    Args:
        frames: of `units.by_unit`, each the rows of one line with one arm; either all of them or
            none are of a line that was searched several times.
        value: the column of the values.
    """
    units = np.unique(np.concatenate([frame[UNIT].to_numpy() for frame in frames]))
    return [_line(frame, value, units) for frame in frames]


def _line(frame: pd.DataFrame, value: str, units: Floats) -> Line:
    by_encoder = frame.groupby(["capacity", *SIZE], sort=True)
    first = by_encoder.head(1).sort_values(["capacity", *SIZE])
    scores = np.full((len(units), len(first)), np.nan)
    rows = np.searchsorted(units, frame[UNIT].to_numpy())
    scores[rows, by_encoder.ngroup().to_numpy()] = frame[value]
    repeated = bool(frame[REPEATED].iloc[0])
    seeds = int(frame["seeds"].max()) if repeated else None
    return Line(
        str(frame["dataset"].iloc[0]),
        tuple(first["size"].astype(str)),
        first["capacity"].to_numpy(float),
        scores,
        seeds,
        str(first["measure"].iloc[0]),
    )


def contrast(capacities: Floats) -> Floats:
    """Weights whose dot product with values at these capacities is their least-squares slope.

    The slope is over log2(capacity): per doubling.

    Args:
        capacities: two different ones or more (encoders,).

    Returns:
        Weights (encoders,).
    """
    x = np.log2(capacities)
    centred = x - x.mean()
    return np.asarray(centred / np.sum(centred**2))


def unit_slopes(frame: pd.DataFrame) -> Floats:
    """Least-squares slope of the gain for each unit that has every encoder of a line.

    Args:
        frame: of `units.by_unit`, the rows of one line with one arm.

    Returns:
        Points per doubling (units,); empty below two encoders.
    """
    line = lines_of([frame])[0]
    complete = line.scores[~np.isnan(line.scores).any(axis=1)]
    return complete @ contrast(line.capacities) if len(line.capacities) >= 2 else np.empty(0)
