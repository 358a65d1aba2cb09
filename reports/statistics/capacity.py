"""Lines: over which encoders a gain is followed, and what orders them.

A line has a data set, a method and a name. Its encoders may be widths of one ResNet, depths at one
width, or models of several families. Capacity orders them: parameters, or FLOPs of one image.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd

from reports.statistics.lines_rule import Lines, labels_on, line_names
from trainables.data.naming import short_name

SIZE = ["encoder", "width"]
"""The columns that hold a size: which encoder, at which width (`lines_rule.Size`)."""
OF_SIZE = ["size", "capacity", "measure"]
"""The columns that `with_capacity` adds to say what a size is called and what its capacity is."""
Measure = Literal["parameters", "flops"]
"""What capacity is."""
MEASURES: dict[Measure, str] = {"parameters": "parameters", "flops": "FLOPs"}
"""The measures in words."""
COLUMNS: dict[Measure, str] = {"parameters": "parameters", "flops": "encoder_flops"}
"""The columns of trials that hold the measures."""


def with_short_names(trials: pd.DataFrame) -> pd.DataFrame:
    """``trials`` with the short name of each data set that has one, in place of NAME=PLACE."""
    if "dataset" not in trials:
        return trials
    return trials.assign(dataset=trials["dataset"].map(short_name))


def with_capacity(
    trials: pd.DataFrame, lines: Lines = "auto", measure: Measure = "parameters"
) -> pd.DataFrame:
    """``trials`` with the columns that statistics of capacity need.

    These are ``line`` (its name), ``size`` (what the size is called on its line, such as "width 16"
    or "resnet34"), ``capacity`` (a number; NaN where it was not recorded) and ``measure``
    (`MEASURES`). Data sets get their short names.

    Raises:
        InputError: an encoder of the results is in none of the groups of ``lines``.
    """
    sizes = list(trials[SIZE].drop_duplicates().itertuples(index=False, name=None))
    names = line_names(sizes, lines)
    labels = labels_on(names)
    keys = list(trials[SIZE].itertuples(index=False, name=None))
    column = COLUMNS[measure]
    return with_short_names(trials).assign(
        line=pd.Series([names[key] for key in keys], trials.index, dtype=object),
        size=pd.Series([labels[key] for key in keys], trials.index, dtype=object),
        capacity=trials[column].astype(float) if column in trials else np.nan,
        measure=MEASURES[measure],
    )


def kind_of(names: Iterable[str]) -> Literal["width", "encoder"]:
    """What encoders with these names (column ``size``) are: "width" where only widths differ."""
    return "width" if all(name.startswith("width ") for name in names) else "encoder"


def encoders_on(frame: pd.DataFrame) -> int:
    """Number of distinct encoders in the rows of a line."""
    return len(frame[SIZE].drop_duplicates())
