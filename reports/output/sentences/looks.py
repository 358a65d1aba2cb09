"""The looks that were taken at a study, planned or not, in words."""

from __future__ import annotations

from reports.output.numbers import counted, percent
from reports.statistics.intervals import LEVEL
from reports.statistics.looks import ONE_LOOK, Level
from reports.store.registration import Registration
from trainables.errors import listed

_TOO_OFTEN = (
    "If a verdict would have ended the study earlier, a false verdict is more likely than the "
    f"{percent(1 - LEVEL)} that the intervals claim."
)
"""What an extension without a plan does to the intervals."""


def extension(registration: Registration | None) -> str:
    """What stands beside a verdict of a study that was extended; empty where it was not."""
    if registration is None or registration.extended_to is None:
        return ""
    return (
        f" This study was extended without a plan, from {registration.planned.last} to "
        f"{counted(registration.extended_to, 'search')}."
    )


def look_words(registration: Registration | None, look: Level) -> list[str]:
    """How the looks at a study change its intervals, from `decision.look_of`."""
    notes = []
    if registration is not None and not look.due:
        notes.append(
            f"There is no verdict before {counted(registration.planned.first, 'search')} of every "
            "cell are complete: this was planned before results could be seen. Intervals and "
            "p-values describe what is there so far, as if it were the whole study. A study that "
            "ends early because of them makes false verdicts more likely."
        )
    elif look != ONE_LOOK:
        level = 1 - look.nominal()
        notes.append(
            f"This is look {len(look.shares)} at a study that is looked at while it grows. All "
            f"looks together may be wrong in {percent(1 - LEVEL)} of studies without a trend. The "
            f"interval of a slope at this look therefore has the level {percent(level)}, and p is "
            "adjusted for the looks."
        )
    if registration is not None and registration.extended_to is not None:
        planned = counted(registration.planned.last, "search")
        notes.append(
            f"This study was extended without a plan: {planned} of every cell at first, "
            f"{counted(registration.extended_to, 'search')} after results could be seen. "
            f"{_TOO_OFTEN}"
        )
    return notes


def batch_words(batches: list[list[int]]) -> list[str]:
    """Seeds that were added after others had ended, from `batches.seed_batches`."""
    if len(batches) < 2:
        return []
    first, *later = batches
    added = [seed for batch in later for seed in batch]
    return [
        f"This study was extended: {counted(len(added), 'confirm seed')} ({listed(added, 6)}) "
        f"started only after all trials of {listed(first, 6)} had ended. {_TOO_OFTEN}"
    ]
