"""Transfer: the gain on data sets that the encoders were not trained on."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from reports.statistics.gain import gain_from_pairs, pairs
from reports.statistics.selection import Selection


def transfer_table(selection: Selection, evaluations: pd.DataFrame) -> pd.DataFrame:
    """`gain.gain_table` of the confirm trials' accuracy on the test split of other data sets.

    Args:
        selection: the confirm rows that count.
        evaluations: the evaluations table, each evaluation once.

    Returns:
        The columns of `gain.gain_table`, with ``evaluated_on`` and ``protocol`` in front.
    """
    other = evaluations[evaluations["split"] == "test"][
        ["trial_id", "dataset", "protocol", "top1", "images"]
    ].rename(columns={"dataset": "evaluated_on"})
    rows = selection.confirm.merge(other, on="trial_id")
    rows = rows[rows["evaluated_on"] != rows["dataset"]]
    rows = rows.assign(accuracy=rows["top1"], scored_images=rows["images_y"])
    tables = [
        gain_from_pairs(pairs(replace(selection, confirm=group))).assign(
            evaluated_on=str(key[0]), protocol=str(key[1])
        )
        for key, group in rows.groupby(["evaluated_on", "protocol"], sort=True)
    ]
    empty = gain_from_pairs(pairs(replace(selection, confirm=selection.confirm.head(0))))
    table = pd.concat([empty.assign(evaluated_on="", protocol=""), *tables], ignore_index=True)
    return table[["evaluated_on", "protocol", *empty.columns]]
