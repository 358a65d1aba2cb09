"""The unit that is repeated: a search of every cell where there are several, else a confirm seed.

Luck in a search is shared by all confirm seeds of the configuration that it found. So only searches
that were made independently of each other tell luck from an effect, and their confirm seeds are
averaged first. Where there is one search, its seeds are all that there is to judge by.
"""

from __future__ import annotations

import pandas as pd

from reports.statistics.capacity import SIZE
from reports.statistics.selection import LINE_ARM

UNIT = "unit"
REPEATED = "repeated"
_CAPACITIES = ["parameters", "encoder_flops", "capacity"]
"""Numbers of the encoder, equal in all rows of a cell: a mean over the rows might round them."""


def with_unit(rows: pd.DataFrame) -> pd.DataFrame:
    """``rows`` with the columns ``unit`` and ``repeated``.

    ``repeated`` says whether the line was searched twice or more with this arm. Then ``unit`` is
    the number of the search, else the seed.
    """
    repeated = rows.groupby(LINE_ARM)["search"].transform("nunique") > 1
    unit = rows["search"].where(repeated, rows["seed"])
    return rows.assign(unit=unit, repeated=repeated)


def by_unit(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each unit of each cell, from pairs or from confirm rows.

    Args:
        rows: `gain.pairs` or the confirm rows of a selection, with ``search`` and ``seed``.

    Returns:
        The columns of ``rows``, with those of `with_unit` and ``seeds`` (confirm seeds in the
        unit). Of a search with several seeds, measured values are means over the seeds; every other
        column is that of the first seed.
    """
    rows = with_unit(rows).assign(seeds=1)
    key = [*LINE_ARM, *SIZE, UNIT]
    if not rows.duplicated(key).any():
        return rows
    measured = rows.select_dtypes("float").columns.difference([*key, *_CAPACITIES])
    how = dict.fromkeys(rows.columns.difference(key), "first") | dict.fromkeys(measured, "mean")
    whole = rows.groupby(key, as_index=False, sort=True).agg(how | {"seeds": "sum"})
    return whole[rows.columns]
