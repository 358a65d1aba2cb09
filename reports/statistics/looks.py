"""Planned looks at a growing study: the level of each look, so that all looks together keep 5 %.

The level is spent as a function of the share of the planned searches that is there (Lan and DeMets
1983), almost nothing at first and almost all at the end (the type of O'Brien and Fleming), half of
it on each side. The statistics of the looks are taken as a Brownian motion at these shares, which
holds for many searches. With few searches, the p-value of Student's t is compared with the level of
the look (Jennison and Turnbull 2000, section 11.5), which is reduced a little (`FEW_SEARCHES`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy  # loads `optimize` and `stats` where they are first used
from scipy.special import ndtr, ndtri

from reports.statistics.intervals import ALPHA, Floats
from reports.statistics.searches import FEWEST_SEARCHES

FUTILE = 0.1
"""A study is futile where the chance of a verdict at any later look falls below this."""
FEW_SEARCHES = 0.87
"""The levels of several looks are multiplied by this, because Student's t of a few searches crosses
the boundaries in 5.7 instead of 5 % of studies without a trend (docs/statistics.md)."""
_NODES = 121
_FARTHEST = 39.0
"""No normal deviate lies beyond this: its probability underflows."""


@dataclass(frozen=True)
class LookPlan:
    """A look after each search, from ``first`` searches on up to ``last``.

    Raises:
        ValueError: ``first`` is below 2, or above ``last``.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        if not FEWEST_SEARCHES <= self.first <= self.last:
            raise ValueError(
                f"looks from {self.first} to {self.last} searches: the first look needs "
                f"{FEWEST_SEARCHES} searches or more, and the last is not before the first"
            )

    def until(self, searches: int, taken: Iterable[int] = ()) -> Level:
        """The level of the look at ``searches`` searches, after all that came before it.

        Looks before it are the planned ones and those that were ``taken`` beside the plan. A look
        after the last planned one gets all that is left. Before the first planned one no look is
        due (`NOT_DUE`).
        """
        if searches < self.first:
            return NOT_DUE
        planned = range(self.first, self.last + 1)
        before = {look for look in (*planned, *taken) if look < searches}
        last = max(self.last, searches)
        return Level(tuple(look / last for look in (*sorted(before), searches)))

    @property
    def final(self) -> Level:
        """The level of the last look."""
        return self.until(self.last)


@dataclass(frozen=True)
class Level:
    """The level of the last of some looks.

    Attributes:
        shares: the share of the planned searches that was there at each look, ascending, above 0
            and at most 1; empty where no look is due yet.
    """

    shares: tuple[float, ...] = (1.0,)

    @property
    def due(self) -> bool:
        """Whether this is a look that may give a verdict."""
        return bool(self.shares)

    def nominal(self, alpha: float = ALPHA) -> float:
        """The two-sided level of this look, where all looks together have the level ``alpha``.

        Where no look is due, it is ``alpha``: nothing is spent on what gives no verdict.

        >>> round(Level((0.5, 1.0)).nominal(), 4)
        0.0426
        """
        if self in (ONE_LOOK, NOT_DUE):
            return alpha
        return FEW_SEARCHES * 2 * float(ndtr(-boundaries(self.shares, alpha)[-1]))

    def adjusted(self, p: float) -> float:
        """The repeated p-value: the least level of all looks at which this look shows an effect.

        It is below ``alpha`` exactly where ``p`` is below ``nominal(alpha)``; NaN stays NaN.
        """
        if self in (ONE_LOOK, NOT_DUE) or not math.isfinite(p):
            return p

        def excess(log_alpha: float) -> float:
            return math.log(self.nominal(math.exp(log_alpha)) or 1e-300) - math.log(max(p, 1e-300))

        most = math.log(0.999)
        if excess(most) <= 0:
            return 1.0
        return math.exp(scipy.optimize.brentq(excess, math.log(max(p, 1e-300)), most, xtol=1e-6))


ONE_LOOK = Level()
"""A study that is looked at once, at its end."""
NOT_DUE = Level(())
"""A study before its first planned look."""


def spent(share: float, alpha: float) -> float:
    """The level spent up to a share of the planned searches, both sides together.

    Source: Lan and DeMets 1983, the function of O'Brien and Fleming's type, once for each side.
    """
    return 4 * float(ndtr(ndtri(alpha / 4) / math.sqrt(share)))


@lru_cache(maxsize=4096)
def boundaries(shares: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """The absolute normal deviates that show an effect, one for each look.

    Source: the recursive integration of Armitage, McPherson and Rowe 1969, by Gauss and Legendre.

    Args:
        shares: of the planned searches at each look, ascending.
        alpha: the two-sided level of all looks together.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    going = _Going(np.zeros(1), np.ones(1))
    found: list[float] = []
    before = used = 0.0
    for share in shares:
        step, root, budget = math.sqrt(share - before), math.sqrt(share), spent(share, alpha) - used
        deviate = scipy.optimize.brentq(
            lambda z, g, s, r, b: g.leaving(z * r, s) - b,
            0.0,
            _FARTHEST,
            args=(going, step, root, budget),
            xtol=1e-10,
        )
        found.append(float(deviate))
        edge = deviate * root
        going = _Going(edge * nodes, edge * weights * going.density(edge * nodes, step))
        before, used = share, used + budget
    return tuple(found)


@dataclass(frozen=True)
class _Going:
    """The studies without a trend that have not stopped: the distribution of their score.

    The score is the normal deviate times the root of the share.

    Attributes:
        places: points of a quadrature (points,).
        mass: of the studies at each point (points,).
    """

    places: Floats
    mass: Floats

    def leaving(self, edge: float, step: float) -> float:
        """The share of all studies whose score is beyond ``edge``, on either side, at this look.

        ``step`` is the standard deviation of the score's change since the look before.
        """
        beyond, below = ndtr((self.places - edge) / step), ndtr((-edge - self.places) / step)
        return float(self.mass @ (beyond + below))

    def density(self, places: Floats, step: float) -> Floats:
        """The density of the score at this look, at each of ``places``."""
        distances = (places[:, None] - self.places) / step
        return np.asarray(scipy.stats.norm.pdf(distances) @ self.mass / step)


def chance_of_verdict(
    p: Floats | float, plan: LookPlan, searches: int, alpha: float = ALPHA
) -> Floats:
    """The chance that the last look shows an effect, given the look at ``searches`` searches.

    Source: predictive power (Spiegelhalter, Freedman and Blackburn 1986): the effect is as
    uncertain as the searches so far leave it, with a flat prior. Both directions count.

    Args:
        p: two-sided p-values of this look alone, of any shape.
        plan: of the looks.
        searches: at this look, fewer than ``plan.last``.
        alpha: the two-sided level of all looks together.
    """
    share = searches / plan.last
    found, limit = -ndtri(p / 2), -ndtri(plan.final.nominal(alpha) / 2)
    rest, needed = math.sqrt(1 - share), limit * math.sqrt(share)
    return np.asarray(ndtr((found - needed) / rest) + ndtr((-found - needed) / rest))
