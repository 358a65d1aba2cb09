"""An estimate with its error, and Student's interval and test for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from reports.statistics.intervals import LEVEL, ROUNDING, t_quantile


@dataclass(frozen=True)
class Estimate:
    """An estimate with its standard error and degrees of freedom.

    NaN and 0 where there is no error. An error of zero counts as none: equal values say nothing
    of their spread.
    """

    value: float
    error: float
    freedom: float

    @property
    def has_error(self) -> bool:
        """Whether there is an error to judge the value by."""
        return self.freedom > 0 and self.error > ROUNDING

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Student's interval; NaN without an error."""
        if not self.has_error:
            return math.nan, math.nan
        half = t_quantile(self.freedom, level) * self.error
        return self.value - half, self.value + half

    def p(self) -> float:
        """Two-sided p-value of the value zero; NaN without an error.

        It is below 1 - level exactly where `interval` at that level excludes zero.
        """
        if not self.has_error:
            return math.nan
        return 2 * float(special.stdtr(self.freedom, -abs(self.value) / self.error))
