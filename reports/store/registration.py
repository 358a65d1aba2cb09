"""What was planned before the first trial of a study, and every look that was taken since.

    ROOT/registration.json

The file is written at the first run and only grows: later plans and looks are added to it, and what
was planned first stays. So a report can tell a planned look from a study that was extended until it
showed something.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reports.store.files import Files
from trainables.errors import InputError

FILE = "registration.json"
Count = Annotated[int, Field(ge=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    at: datetime
    """When it was recorded, UTC."""


class Plan(_Record):
    """What a run set out to do."""

    spec: str
    """SHA-256 of the study's file, hexadecimal."""
    first: Count
    """Searches at the first look; equal to ``last`` where only the end is looked at."""
    last: Count
    """Searches at the last look."""
    searches: Annotated[int, Field(ge=0)]
    """Searches that were whole when this plan was made."""


class TakenLook(_Record):
    """A look that a run took at its results."""

    searches: Count
    """Searches that were whole."""
    p: dict[str, float | None]
    """Two-sided p-value of each arm's slope, of this look alone; None where there was none."""
    outcome: str
    """verdict, futile or go on."""


class Registration(BaseModel):
    """The plans and looks of a study, oldest first."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    plans: Annotated[tuple[Plan, ...], Field(min_length=1)]
    looks: tuple[TakenLook, ...] = ()

    @property
    def planned(self) -> Plan:
        """What was planned before results could be seen: the newest such plan, else the first."""
        unseen = [plan for plan in self.plans if not plan.searches]
        return unseen[-1] if unseen else self.plans[0]

    @property
    def has_changed(self) -> bool:
        """Whether trials may have been added to a plan: by a later one, or before the first."""
        return len(self.plans) > 1 or self.planned.searches > 0

    @property
    def extended_to(self) -> int | None:
        """Searches of the longest plan that was made after results could be seen.

        None where what was planned still holds: no such plan has more searches.
        """
        later = [
            plan.last for plan in self.plans if plan.searches and plan.last > self.planned.last
        ]
        return max(later, default=None)


def read_registration(store: Files) -> Registration | None:
    """The registration of a study; None where there is none, as in older results.

    Raises:
        InputError: the file is damaged.
        StoreError: the file system is out of reach.
    """
    content = store.read_bytes(FILE)
    if content is None:
        return None
    try:
        return Registration.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{store.name}/{FILE}: is damaged ({where or 'the file'}: {first['msg']}); delete it "
            "to go on without what was registered"
        ) from None


def register(store: Files, spec: str, first: int, last: int, searches: int) -> Registration:
    """Add what a run sets out to do, unless the newest plan is the same.

    Args:
        store: of the study.
        spec: text of the study's file with all its defaults; its hash is kept.
        first: searches at the first look; ``last`` where only the end is looked at.
        last: searches at the last look.
        searches: how many are whole already.

    Raises:
        InputError: the file there is damaged.
        StoreError: the file system refused.
    """
    digest = hashlib.sha256(spec.encode()).hexdigest()
    plan = Plan(at=_now(), spec=digest, first=first, last=last, searches=searches)
    known = read_registration(store)
    if known is None:
        return _write(store, Registration(plans=(plan,)))
    newest = known.plans[-1]
    if (newest.spec, newest.first, newest.last) == (plan.spec, plan.first, plan.last):
        return known
    return _write(store, known.model_copy(update={"plans": (*known.plans, plan)}))


def record_look(
    store: Files, searches: int, p: dict[str, float | None], outcome: str
) -> Registration:
    """Add a look that a run took; a look at as many searches as the newest replaces it.

    Raises:
        InputError: nothing was registered, or the file is damaged.
        StoreError: the file system refused.
    """
    known = read_registration(store)
    if known is None:
        raise InputError(f"{store.name}/{FILE}: is missing, so no look can be recorded")
    look = TakenLook(at=_now(), searches=searches, p=p, outcome=outcome)
    earlier = tuple(taken for taken in known.looks if taken.searches != searches)
    return _write(store, known.model_copy(update={"looks": (*earlier, look)}))


def _write(store: Files, registration: Registration) -> Registration:
    store.write_bytes(FILE, registration.model_dump_json(indent=2).encode())
    return registration


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
