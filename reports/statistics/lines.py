"""Lines as arrays: the values of paired trials by unit and by size of the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from reports.statistics.intervals import Floats
from reports.statistics.units import REPEATED, UNIT


@dataclass(frozen=True)
class Line:
    """The values of one line of one arm.

    Attributes:
        dataset: name of the data set.
        widths: width of each size.
        sizes: parameters of the encoders, ascending (sizes,).
        scores: (units, sizes), NaN where a unit has no pair. Lines that were made together have
            the same units in the same rows, since lines share them.
        seeds_of_search: confirm seeds of each search, where a unit is a search; None where the line
            was searched once and a unit is a seed (`units.by_unit`).
    """

    dataset: str
    widths: tuple[int, ...]
    sizes: Floats
    scores: Floats
    seeds_of_search: int | None = None

    @property
    def repeated(self) -> bool:
        """Whether a unit is a search, so that luck in a search is told from an effect."""
        return self.seeds_of_search is not None

    @property
    def means(self) -> Floats:
        """Mean over the units that are there, for each size."""
        return np.asarray(np.nanmean(self.scores, axis=0))

    @property
    def units(self) -> int:
        """Units that have a value at any size."""
        return int((~np.isnan(self.scores)).any(axis=1).sum())

    @property
    def searches(self) -> int:
        """Searches that have a pair at any size."""
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

    def without(self, width: int) -> Line:
        """The line without one of its widths."""
        kept = [place for place, own in enumerate(self.widths) if own != width]
        return replace(
            self,
            widths=tuple(self.widths[place] for place in kept),
            sizes=self.sizes[kept],
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
    sizes, first, column = np.unique(
        frame["parameters"].to_numpy(float), return_index=True, return_inverse=True
    )
    scores = np.full((len(units), len(sizes)), np.nan)
    scores[np.searchsorted(units, frame[UNIT].to_numpy()), column] = frame[value]
    widths = tuple(int(width) for width in frame["width"].to_numpy()[first])
    repeated = bool(frame[REPEATED].iloc[0])
    seeds = int(frame["seeds"].max()) if repeated else None
    return Line(str(frame["dataset"].iloc[0]), widths, sizes, scores, seeds)


def contrast(sizes: Floats) -> Floats:
    """Weights whose dot product with values at these sizes is their least-squares slope.

    The slope is over log2(sizes): per doubling.
    """
    x = np.log2(sizes)
    centred = x - x.mean()
    return np.asarray(centred / np.sum(centred**2))


def unit_slopes(frame: pd.DataFrame, value: str = "gain") -> Floats:
    """Least-squares slope of ``value`` for each unit that has every width of a line.

    Args:
        frame: of `units.by_unit`, the rows of one line with one arm.
        value: the column of the values.

    Returns:
        Points per doubling, one for each such unit; empty below two widths.
    """
    line = lines_of([frame], value)[0]
    complete = line.scores[~np.isnan(line.scores).any(axis=1)]
    return complete @ contrast(line.sizes) if len(line.sizes) >= 2 else np.empty(0)
