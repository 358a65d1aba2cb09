"""The capacity factors in words."""

from __future__ import annotations

import pandas as pd

from reports.statistics.equivalence import BELOW, BEYOND, WITHIN


def equivalence_words(table: pd.DataFrame) -> str:
    """A sentence on each arm, from `equivalence.equivalence_table`."""
    sentences = []
    for arm, rows in table.groupby("arm", sort=True):
        within = rows.loc[rows["range"] == WITHIN, "factor"]
        parts = []
        if len(within):
            low, high = f"{within.min():.2f}", f"{within.max():.2f}"
            parts.append(
                f"to match {arm} without mixing, the encoder would need "
                f"{low if low == high else f'{low} to {high}'} times the "
                f"{rows['measure'].iloc[0]}"
            )
        for where, place, bound in (
            (BEYOND, "better than the largest", "lower"),
            (BELOW, "worse than the smallest", "upper"),
        ):
            count = int((rows["range"] == where).sum())
            if count:
                parts.append(
                    f"in {count} of {len(rows)} cases {arm} is {place} baseline measured, so the "
                    f"factor is only {'an' if bound == 'upper' else 'a'} {bound} bound"
                )
        text = "; ".join(parts)
        sentences.append(text[:1].upper() + text[1:] + ".")
    return " ".join(sentences)
