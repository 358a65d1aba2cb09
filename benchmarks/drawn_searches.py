"""Searches that are drawn from the measured configurations of an arm.

- full: every configuration is trained to the end; the best by validation accuracy is chosen.
- halved: ASHA (Li et al. 2020) with Ray's rule, one trial after another. At a rung a configuration
  goes on if its kNN accuracy is among the best third of those that came to this rung before it.

The first trial of a search is the default configuration and always goes on. The others are drawn
from the random configurations, with replacement. A few configurations of one cell would be drawn
again and again, so the cells of all widths are put together, each relative to its own mean. This
takes searches as equally lucky at all widths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.learning_curves import Cell, Curves
from reports.statistics.intervals import Floats
from trainables.errors import InputError

REDUCTION = 3
"""Of so many configurations at a rung, one goes on."""
Places = npt.NDArray[np.int64]


class Found(NamedTuple):
    """What searches of one arm found and took.

    Attributes:
        expected: accuracy that the chosen configuration has over seeds, relative to the mean of
            the cell (searches,), points.
        cost: whole trainings that each search took (searches,).
    """

    expected: Floats
    cost: Floats


@dataclass(frozen=True)
class Configurations:
    """The configurations of one arm at all widths, relative to the means of their cells.

    A configuration was trained on one seed, so its accuracy is that of the configuration and the
    luck of the seed. The default configuration was trained in every search and shows how large
    that luck is. ``expected`` and ``doubt`` follow from it, both parts taken as normal.

    Attributes:
        shares: of the epochs at each rung.
        rungs: kNN accuracy at each rung (configurations, rungs), points.
        final: validation accuracy (configurations,), points.
        default: whether it is the default configuration (configurations,).
        expected: mean accuracy over seeds, as far as it is known (configurations,), points.
        doubt: standard deviation of what is not known of ``expected`` (configurations,), points.
        noise: standard deviation of an accuracy over seeds, points.
    """

    shares: tuple[float, ...]
    rungs: Floats
    final: Floats
    default: npt.NDArray[np.bool_]
    expected: Floats
    doubt: Floats
    noise: float

    def full(self, rng: np.random.Generator, trials: int, searches: int) -> Found:
        """Searches that train each of ``trials`` configurations to the end."""
        drawn = self._drawn(rng, trials, searches)
        chosen = _chosen(drawn, self.final[drawn])
        return Found(self._over_seeds(chosen, rng), np.full(searches, float(trials)))

    def halved(self, rng: np.random.Generator, trials: int, searches: int) -> Found:
        """Searches of ``trials`` configurations by ASHA, one trial after another."""
        drawn = self._drawn(rng, trials, searches)
        alive = np.ones(drawn.shape, bool)
        cost = np.zeros(drawn.shape)
        for rung, share in enumerate(np.diff((0, *self.shares))):
            cost += share * alive
            reached = np.where(alive, self.rungs[drawn, rung], np.nan)
            for trial in range(1, trials):  # trial 0 has reached every rung
                cut = stats.quantile(
                    reached[:, :trial], 1 - 1 / REDUCTION, axis=1, nan_policy="omit"
                )
                alive[:, trial] &= reached[:, trial] >= cut
        cost += (1 - self.shares[-1]) * alive
        chosen = _chosen(drawn, np.where(alive, self.final[drawn], -np.inf))
        return Found(self._over_seeds(chosen, rng), cost.sum(axis=1))

    def _drawn(self, rng: np.random.Generator, trials: int, searches: int) -> Places:
        first = rng.choice(np.flatnonzero(self.default), (searches, 1))
        others = rng.choice(np.flatnonzero(~self.default), (searches, trials - 1))
        return np.hstack([first, others])

    def _over_seeds(self, chosen: Places, rng: np.random.Generator) -> Floats:
        return self.expected[chosen] + self.doubt[chosen] * rng.normal(size=len(chosen))


def _chosen(drawn: Places, scores: Floats) -> Places:
    """Of each search, the configuration with the highest score; of equal ones the first."""
    best = np.argmax(scores, axis=1)
    return np.asarray(drawn[np.arange(len(drawn)), best])


def configurations(curves: Mapping[Cell, Curves]) -> dict[str, Configurations]:
    """The configurations of each arm.

    Raises:
        InputError: some cell was searched once, so nothing shows the luck of a seed.
    """
    return {
        arm: _of_arm([curves[cell] for cell in sorted(curves) if cell[1] == arm])
        for arm in sorted({name for _, name in curves})
    }


def _of_arm(cells: list[Curves]) -> Configurations:
    if min(cell.default.sum() for cell in cells) < 2:
        raise InputError("some cell was searched once: it takes two searches or more of each cell")
    noise = _spread([cell.final[cell.default] for cell in cells])
    spread = _spread([cell.final[~cell.default] for cell in cells])
    reliability = max(0.0, 1 - (noise / spread) ** 2) if spread else 0.0
    expected = []
    for cell in cells:
        base, random = cell.final[cell.default].mean(), cell.final[~cell.default]
        of_random = random.mean() + reliability * (cell.final - random.mean())
        expected.append(np.where(cell.default, base, of_random) - cell.final.mean())
    default = np.concatenate([cell.default for cell in cells])
    return Configurations(
        cells[0].shares,
        np.concatenate([cell.rungs - cell.rungs.mean(axis=0) for cell in cells]),
        np.concatenate([cell.final - cell.final.mean() for cell in cells]),
        default,
        np.concatenate(expected),
        np.where(default, 0.0, noise * np.sqrt(reliability)),
        noise,
    )


def _spread(cells: list[Floats]) -> float:
    """The standard deviation within cells, pooled over them."""
    squares = sum(float(np.sum((cell - cell.mean()) ** 2)) for cell in cells)
    return float(np.sqrt(squares / sum(len(cell) - 1 for cell in cells)))
