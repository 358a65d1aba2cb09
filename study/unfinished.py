"""How many trials a study still lacks, from its spec and its rows; needs no agenda and no torch."""

from __future__ import annotations

import pandas as pd

from reports.store.schema import COMPLETE, CONFIRM, TUNE
from study.looks import due_look, wants_more
from study.plan import open_replicates, planned_confirms, problems
from study.spec import StudySpec


def unfinished(spec: StudySpec, trials: pd.DataFrame) -> str | None:
    """One sentence on the trials that have ended; None where all have.

    Args:
        spec: the study.
        trials: the trials table.
    """
    own = trials[trials["study"] == spec.name]
    searches = open_replicates(spec, own["search"])
    own = own[own["search"] < searches]
    tuned = own[(own["phase"] == TUNE) & (own["number"] < spec.trials)]
    planned_tune = len(problems(spec)) * searches * spec.trials
    # A search in which no trial completed has nothing to confirm.
    by_search = tuned["status"].eq(COMPLETE).groupby([tuned["cell"], tuned["search"]])
    complete = by_search.agg(["size", "any"])
    dead = int(((complete["size"] >= spec.trials) & ~complete["any"].astype(bool)).sum())
    planned_confirm = searches * sum(
        planned_confirms(spec, problem.widths) for problem in problems(spec)
    )
    planned_confirm -= dead * spec.seeds_of_search
    confirmed = own[own["phase"] == CONFIRM].drop_duplicates(["cell", "search", "width", "seed"])
    ended, planned = len(tuned) + len(confirmed), planned_tune + planned_confirm
    # A joint search confirms only the widths that it came to.
    joint = spec.treat_width == "joint"
    if ended >= planned or (joint and len(tuned) >= planned_tune):
        if wants_more(spec, searches, due_look(spec, searches, own)):
            return (
                f"Partial results: {searches} of at most {spec.most_searches} searches have ended, "
                "and the look at them asks for one more."
            )
        return None
    return (
        f"Partial results: {ended} of the study's {planned} trials have ended "
        f"({len(tuned)} of {planned_tune} tune, {len(confirmed)} of {planned_confirm} confirm)."
    )
