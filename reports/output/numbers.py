"""Numbers as a report prints them."""

from __future__ import annotations

import math


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, a real minus, or a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:+.{digits}f}".replace("-", "−")


def span(low: float, high: float, digits: int = 2) -> str:
    """An interval, in words if it has no ends."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "no interval"
    return f"{signed(low, digits)} to {signed(high, digits)}"


def factor_span(low: float, high: float) -> str:
    """An interval of factors; an end outside the measured range is given in words."""
    if math.isnan(low) or math.isnan(high):
        return "no interval"
    left = f"{low:.2f}" if low > 0 else "below the range"
    right = f"{high:.2f}" if math.isfinite(high) else "beyond the range"
    return f"{left} to {right}"


def probability(p: float) -> str:
    """A p-value as it is printed."""
    if not math.isfinite(p):
        return "–"
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def counted(number: float, noun: str) -> str:
    """A number with its noun, in the plural where it is not one.

    >>> counted(2, "search"), counted(1, "pair")
    ('2 searches', '1 pair')
    """
    plural = "es" if noun.endswith(("ch", "ss")) else "s"
    return f"{int(number)} {noun}" + ("" if number == 1 else plural)


def percent(share: float) -> str:
    """A share in percent, with as many digits as it needs up to two after the point."""
    return f"{round(100 * share, 2):g} %"
