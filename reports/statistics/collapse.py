"""Dimensional collapse: features that fill far fewer dimensions than those of the partner."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.statistics.gain import WIDTH
from reports.statistics.selection import BASELINE

SHARE = 0.5
"""An encoder with less than this share of its partner's effective rank counts as collapsed.

The rank is compared with that of the partner, which has the same width, search and seed, because
wider encoders have more dimensions.
"""


def collapsed(pairs: pd.DataFrame) -> pd.DataFrame:
    """Where encoders collapsed: they have a small share of the effective rank of their partner.

    Features in few dimensions leave a linear probe little to work with (Jing et al. 2022,
    arXiv:2110.09348; Garrido et al. 2023, arXiv:2210.02885).

    Args:
        pairs: `gain.pairs`.

    Returns:
        One row for each (dataset, method, encoder, width, arm) and ``collapsed``, the arm whose
        encoders collapsed: this one or ``none``. Columns beside those: ``size``, ``pairs`` (of the
        arm, with both ranks), ``count`` (of them with a collapsed encoder), ``low`` and ``high``
        (smallest and largest rank of the collapsed encoders), ``partner_low`` and ``partner_high``
        (of their partners).
    """
    known = pairs.dropna(subset=["effective_rank", "effective_rank_none"])
    own, partner = known["effective_rank"], known["effective_rank_none"]
    ranked = known.assign(
        collapsed=np.select(
            [own < SHARE * partner, partner < SHARE * own], [known["arm"], BASELINE], ""
        ),
        rank=np.minimum(own, partner),
        partner_rank=np.maximum(own, partner),
        pairs=known.groupby(WIDTH)["gain"].transform("size"),
    )
    found = ranked[ranked["collapsed"] != ""]
    return found.groupby([*WIDTH, "collapsed", "size", "pairs"], as_index=False).agg(
        count=("rank", "size"),
        low=("rank", "min"),
        high=("rank", "max"),
        partner_low=("partner_rank", "min"),
        partner_high=("partner_rank", "max"),
    )
