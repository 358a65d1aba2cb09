"""Gains that rest on encoders whose features collapsed to few dimensions."""

from __future__ import annotations

import pandas as pd

from reports.output.names import arm_on_line
from reports.output.numbers import counted


def collapse_words(collapsed: pd.DataFrame) -> list[str]:
    """Where encoders collapsed, one sentence for each row of `collapse.collapsed`."""
    notes = []
    for row in collapsed.to_dict("records"):
        ranks = _from_to(row["low"], row["high"])
        partner = _from_to(row["partner_low"], row["partner_high"])
        notes.append(
            f"{arm_on_line(row)}, {row['size']}: in {row['count']} of "
            f"{counted(row['pairs'], 'pair')} the features of {row['collapsed']} fill less than "
            f"half as many dimensions as those of its partner (effective rank {ranks}, of the "
            f"partner {partner}): dimensional collapse. "
            f"{'This pair counts' if row['count'] == 1 else 'These pairs count'} in the gain and "
            "in the slope like all others."
        )
    return notes


def _from_to(low: float, high: float) -> str:
    """A range of ranks, or the one rank."""
    first, last = f"{low:.1f}", f"{high:.1f}"
    return first if first == last else f"{first} to {last}"
