"""The tables of one or several results, read as one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pandas as pd

from reports.statistics.capacity import with_short_names
from reports.store.address import public
from reports.store.files import StoreError
from reports.store.registration import Registration, read_registration
from reports.store.schema import CONFIG_FIELDS, CONFIRM, EVALUATIONS
from reports.store.tables import Store, open_store
from trainables.errors import InputError, cause

_TRIAL = ["study", "trial_id"]
"""What names a trial: an id is unique within its study only."""
_EVALUATION = ["trial_id", "dataset", "split", "protocol"]
"""What names an evaluation: two trials with one id computed the same."""
_NOT_COMPARED = ("eval_datasets", "device")
"""Fields in which two records of one trial may differ: on which further data sets its encoder was
evaluated, and where it ran. All other fields may change its accuracy, precision included."""


class Tables(NamedTuple):
    """What a report reads."""

    trials: pd.DataFrame
    evaluations: pd.DataFrame
    """Of the confirm trials."""
    notes: list[str]
    """Files that could not be read, and what cannot be counted, a sentence each."""
    registration: Registration | None = None
    """Of one results folder; several that are read as one study have no common plan."""


def read_results(results: list[str], waiting: bool = False) -> Tables:
    """The trials of all results and the evaluations of confirm trials, each trial once.

    Args:
        results: folders or URIs.
        waiting: accept results without a finished trial.

    Raises:
        InputError: there are no results, there is no finished trial (unless ``waiting``), or two
            results hold different trials under one name.
    """
    trials, evaluations, notes = [], [EVALUATIONS.empty_table().to_pandas()], []
    registrations: list[Registration | None] = []
    for uri in dict.fromkeys(results):
        with _damaged_files() as damaged, _as_input_error(uri):
            store = open_store(uri)
            frame = with_short_names(store.read("trials"))
            evaluations.append(_of_confirm_trials(store, frame))
            registrations.append(read_registration(store))
        if frame.empty and not waiting:
            why = f" ({damaged[-1]})" if damaged else ""
            raise InputError(f"{store.name}: no finished trial yet{why}")
        trials.append(frame)
        notes += damaged
    both = pd.concat(trials, ignore_index=True)
    _check_conflicts(both)
    only = registrations[0] if len(registrations) == 1 else None
    if only is None and any(each is not None and each.looks for each in registrations):
        notes.append(
            "Several results are read as one study, so the looks that were planned for each of "
            "them are not counted: intervals and p-values are those of a single look."
        )
    return Tables(
        both.drop_duplicates(_TRIAL, keep="last", ignore_index=True),
        pd.concat(evaluations, ignore_index=True).drop_duplicates(_EVALUATION, keep="last"),
        notes,
        only,
    )


@contextmanager
def _damaged_files() -> Iterator[list[str]]:
    """Collect the warnings about damaged files. The list is complete once the block has ended."""
    damaged: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield damaged
    damaged += [str(w.message) for w in caught if "damaged, skipped" in str(w.message)]


@contextmanager
def _as_input_error(uri: str) -> Iterator[None]:
    """Turn errors of the file system, or of the URI itself, into one line.

    A store that is out of reach is no wrong input: its `StoreError` passes.
    """
    try:
        yield
    except (InputError, StoreError):
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{public(uri)}: cannot be read ({cause(error)})") from None


def _of_confirm_trials(store: Store, trials: pd.DataFrame) -> pd.DataFrame:
    ids = trials.loc[trials["phase"] == CONFIRM, "trial_id"]
    if ids.empty:
        return EVALUATIONS.empty_table().to_pandas()
    return store.read("evaluations", trial_ids=ids)


def _check_conflicts(trials: pd.DataFrame) -> None:
    """Refuse results that hold one trial of one study with different settings.

    Raises:
        InputError: names the trial and the settings.
    """
    repeated = trials[trials.duplicated(_TRIAL, keep=False)]
    names = [name for name, _ in CONFIG_FIELDS if name not in _NOT_COMPARED]
    differ = repeated.groupby(_TRIAL, dropna=False)[names].nunique(dropna=False).gt(1)
    if differ.any(axis=None):
        first = differ[differ.any(axis=1)].reset_index().iloc[0]
        settings = ", ".join(name for name in names if first[name])
        raise InputError(
            f"two of the results hold trial {first['trial_id']} of study {first['study']} with "
            f"different {settings}: they are two studies of one name; use --compare"
        )
