"""Looks of a study at its own results: they decide whether every cell is searched once more.

With ``until: verdict`` a look is due whenever all replicates that are open have ended. It depends
on the recorded rows alone, so a driver that was killed takes the same looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, assert_never

from reports.store.registration import read_registration, record_look, register
from reports.store.schema import COMPLETE, CONFIRM
from study.plan import replicate_of
from study.provenance import stored_spec
from study.spec import StudySpec, dump_spec

if TYPE_CHECKING:
    import pandas as pd

    from reports.statistics.decision import Look
    from reports.store.tables import Store
    from study.agenda import Agenda


def due_look(spec: StudySpec, replicates: int, trials: pd.DataFrame) -> Look | None:
    """The look at a study whose ``replicates`` have all ended; None if it has no planned looks.

    Args:
        spec: the study.
        replicates: that are there.
        trials: the trials table.
    """
    match spec.until:
        case "searches":
            return None
        case "verdict":
            # Imported lazily: scipy takes seconds, and most studies need no look.
            from reports.statistics.capacity import with_capacity
            from reports.statistics.decision import decide
            from reports.statistics.looks import LookPlan

            plan = LookPlan(spec.searches, spec.most_searches)
            of_lines = with_capacity(trials, spec.lines)
            return decide(of_lines[of_lines["search"] < replicates], plan)
        case _:
            assert_never(spec.until)


def wants_more(spec: StudySpec, replicates: int, look: Look | None) -> bool:
    """Whether ``look``, at so many replicates, asks for one more."""
    if look is None:
        return False
    from reports.statistics.decision import Outcome

    return look.outcome is Outcome.GO_ON and replicates < spec.most_searches


def open_next(agenda: Agenda, trials: pd.DataFrame) -> Look | None:
    """Opens the next replicate if all others have ended and the look at them asks for it.

    Returns:
        The look; None if none is due.
    """
    if not agenda.finished:
        return None
    look = due_look(agenda.spec, agenda.replicates, trials)
    if wants_more(agenda.spec, agenda.replicates, look):
        agenda.open_replicate()
    return look


def take_look(agenda: Agenda, store: Store, say: Callable[[str], None]) -> None:
    """As `open_next`, and registers the look; ``say`` tells of one that is new.

    Raises:
        InputError: the registration is damaged.
        StoreError: the file system refused.
    """
    if agenda.spec.until == "searches" or not agenda.finished:
        return
    searches = agenda.replicates
    look = open_next(agenda, store.read("trials"))
    assert look is not None
    known = read_registration(store)
    taken = {} if known is None else {one.searches: one for one in known.looks}
    # The same rows give the same look: one that is registered is not taken again.
    if searches in taken and (taken[searches].p, taken[searches].outcome) == (look.p, look.outcome):
        return
    record_look(store, searches, dict(look.p), look.outcome)
    say(f"look after {searches} of at most {agenda.spec.most_searches} searches: {look.outcome}")


def register_plan(store: Store, spec: StudySpec, rows: Iterable[Mapping[str, Any]]) -> None:
    """Registers what a run sets out to do, before it runs a trial.

    Args:
        store: the results.
        spec: the study.
        rows: the recorded ones. A search with a confirm trial counts as one that could be seen.

    Raises:
        InputError: the registration is damaged.
        StoreError: the file system refused.
    """
    seen = {
        replicate_of(row) for row in rows if row["phase"] == CONFIRM and row["status"] == COMPLETE
    }
    if seen and read_registration(store) is None and (old := stored_spec(store)) is not None:
        # These results are older than registrations: what they were run with was the plan.
        register(store, dump_spec(old), old.searches, old.most_searches, 0)
    register(store, dump_spec(spec), spec.searches, spec.most_searches, len(seen))
