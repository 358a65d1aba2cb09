"""Whether the confirm seeds of a study ran together, or some were added after others had ended."""

from __future__ import annotations

import pandas as pd

from reports.statistics.selection import CELL, LINE


def seed_batches(confirm: pd.DataFrame) -> list[list[int]]:
    """The confirm seeds in batches, each of which started after the one before had ended.

    A run starts the confirm trials of a cell together, as soon as that cell is tuned, so the seeds
    of a study with many cells overlap in time. Seeds of which no trial started before the last
    trial of all earlier seeds ended, in every cell, were added later, unless the study has so few
    cells that all of them run at once.

    Args:
        confirm: confirm rows that count, with ``search``, ``seed``, ``started_at`` and
            ``finished_at``. Lines that were searched several times are passed over: their searches
            may run one after another by plan.

    Returns:
        One batch where nothing can be seen: one cell, or times that were not recorded.
    """
    confirm = confirm[confirm.groupby(LINE)["search"].transform("nunique") == 1]
    seeds = sorted(int(seed) for seed in confirm["seed"].unique())
    timed = confirm.dropna(subset=["started_at", "finished_at"])
    if len(timed) < len(confirm) or len(confirm[CELL].drop_duplicates()) < 2:
        return [seeds] if seeds else []
    times = timed.groupby("seed").agg(start=("started_at", "min"), end=("finished_at", "max"))
    times = times.sort_values("start")
    ended_before = times["end"].cummax().shift()
    batch = (times["start"] > ended_before).cumsum()
    return [sorted(int(seed) for seed in group.index) for _, group in times.groupby(batch)]
