"""Settings that must not differ between trials whose accuracies are compared."""

from __future__ import annotations

import pandas as pd

from reports.statistics.capacity import SIZE
from reports.statistics.selection import LINE

_COMPARABLE = (
    "image_size", "probe", "validation_fraction", "train_images", "data_fingerprint",
    "scored_images", "classes",
)  # fmt: skip


def mixed_runs(confirm: pd.DataFrame) -> pd.DataFrame:
    """The settings that differ within a line although its accuracies are then not comparable.

    Columns: those of the line, ``setting`` and ``values``. Epochs are compared within each
    arm, since arms that are matched in compute differ in them.
    """
    rows = []
    for key, line in confirm.groupby(LINE, sort=True):
        for name in _COMPARABLE:
            if line[name].nunique() > 1:
                rows.append((*key, name, _listed(line[name])))
        if line.groupby("arm")["epochs"].nunique().gt(1).any():
            rows.append((*key, "epochs", _listed(line["epochs"])))
        if line.groupby(SIZE)["parameters"].nunique().gt(1).any():
            rows.append((*key, "parameters of one encoder", _listed(line["parameters"])))
    return pd.DataFrame(rows, columns=[*LINE, "setting", "values"])


def _listed(column: pd.Series) -> str:
    values = sorted(column.dropna().unique())
    return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
