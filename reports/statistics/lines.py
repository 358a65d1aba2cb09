"""Lines as arrays: the values of paired trials by seed and by size of the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.statistics.intervals import Floats


@dataclass(frozen=True)
class Line:
    """The values of one line of one arm.

    Attributes:
        dataset: name of the data set.
        widths: width of each size.
        sizes: parameters of the encoders, ascending (sizes,).
        scores: (seeds, sizes), NaN where a pair is missing. Lines that were made together have
            the same seeds in the same rows, since lines share seeds.
    """

    dataset: str
    widths: tuple[int, ...]
    sizes: Floats
    scores: Floats

    @property
    def means(self) -> Floats:
        """Mean over the seeds that are there, for each size."""
        return np.asarray(np.nanmean(self.scores, axis=0))

    @property
    def seeds(self) -> int:
        """Seeds that have a pair at any size."""
        return int((~np.isnan(self.scores)).any(axis=1).sum())

    @property
    def lost(self) -> int:
        """Pairs that are missing, of the seeds that have any pair on this line."""
        seeds = ~np.isnan(self.scores).all(axis=1)
        return int(np.isnan(self.scores[seeds]).sum())

    def without(self, width: int) -> Line:
        """The line without one of its widths."""
        kept = [place for place, own in enumerate(self.widths) if own != width]
        return Line(
            self.dataset,
            tuple(self.widths[place] for place in kept),
            self.sizes[kept],
            self.scores[:, kept],
        )


def lines_of(frames: Sequence[pd.DataFrame], value: str = "gain") -> list[Line]:
    """The lines in ``frames``, each a part of `gain.pairs`, over the seeds of all of them."""
    seeds = np.unique(np.concatenate([frame["seed"].to_numpy() for frame in frames]))
    return [_line(frame, value, seeds) for frame in frames]


def _line(frame: pd.DataFrame, value: str, seeds: Floats) -> Line:
    sizes, first, column = np.unique(
        frame["parameters"].to_numpy(float), return_index=True, return_inverse=True
    )
    scores = np.full((len(seeds), len(sizes)), np.nan)
    scores[np.searchsorted(seeds, frame["seed"].to_numpy()), column] = frame[value]
    widths = frame["width"].to_numpy()[first]
    return Line(str(frame["dataset"].iloc[0]), tuple(int(w) for w in widths), sizes, scores)


def contrast(sizes: Floats) -> Floats:
    """Weights whose dot product with values at these sizes is their least-squares slope.

    The slope is over log2(sizes): per doubling.
    """
    x = np.log2(sizes)
    centred = x - x.mean()
    return np.asarray(centred / np.sum(centred**2))


def seed_slopes(frame: pd.DataFrame, value: str = "gain") -> Floats:
    """Least-squares slope of ``value`` for each seed that has every width of a line.

    Returns:
        Points per doubling, one for each such seed; empty below two widths.
    """
    line = lines_of([frame], value)[0]
    complete = line.scores[~np.isnan(line.scores).any(axis=1)]
    return complete @ contrast(line.sizes) if len(line.sizes) >= 2 else np.empty(0)
