"""Trials run by hand: the same trial and the same row as in a study, without Ray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never, cast

from reports.store.schema import COMPLETE, CONFIRM, SINGLE, TUNE
from reports.store.tables import Store
from study.plan import Cell
from trainables.config import TrialConfig
from trainables.endings import ending_of
from trainables.errors import InputError

if TYPE_CHECKING:
    from trainables.on_ray.train import TrainTrial
    from trainables.trial import Trial

OnSaved = Callable[[dict[str, Any] | None], None]
"""Called when the checkpoint is written: with the row of the epoch that has ended, if one has."""
Progress = Callable[[int, int], None]
Pause = Callable[[], bool]


def identity(config: TrialConfig) -> dict[str, Any]:
    """The columns that say which trial this is. One configuration always has the same id."""
    cell = Cell(config, {}, (config.width,)).name
    return {
        "trial_id": f"{cell}-single-s{config.seed}-{config.digest()}",
        "cell": cell,
        "phase": SINGLE,
        **config.model_dump(mode="json"),
    }


def checkpoint_path(results: Path, trial_id: str) -> Path:
    """The checkpoint of a trial run by hand, to continue the trial or to export its encoder."""
    return results / "checkpoints" / f"{trial_id}.pt"


def run(
    trial: Trial | TrainTrial,
    store: Store,
    checkpoint: Path,
    on_saved: OnSaved,
    progress: Progress | None,
    runner: str = "reused",
    pause: Pause | None = None,
) -> dict[str, Any]:
    """Run ``trial`` to its end; record it and return its row.

    A checkpoint is written after each epoch, and within an epoch where ``pause`` answers yes.

    A trial that diverges is recorded with the status ``diverged``. Every other error is raised.
    """
    row = {**identity(trial.config), "runner": runner}
    try:
        while not trial.done:
            epoch = trial.advance(progress, pause)
            trial.save(checkpoint)
            on_saved(epoch)
        result = trial.finish()
    except Exception as error:
        ending = ending_of(error)
        match ending.status:
            case "diverged":
                row |= {**trial.summary(), "status": ending.status, "error": ending.error}
                store.append(row, _with_id(trial.rows, row))
                return row
            case "failed":  # The command prints the error. The same command continues the trial.
                raise
            case _:
                assert_never(ending.status)
    row |= {**result.trial, "status": COMPLETE}
    store.append(row, _with_id(trial.rows, row), _with_id(result.evaluations, row))
    return row


def find(store: Store, trial_id: str) -> dict[str, Any]:
    """The recorded trial ``trial_id``, or the only trial whose id begins with ``trial_id``.

    Raises:
        InputError: no trial has such an id, or more than one trial has.
    """
    trials = store.read("trials")
    ids = trials["trial_id"]
    found = trials[ids == trial_id]
    if found.empty:
        found = trials[ids.str.startswith(trial_id)]
    if len(found) != 1:
        some = ", ".join(sorted(found["trial_id"] if len(found) else ids)[:3])
        problem = f"{len(found)} trials begin with it" if len(found) else "no such trial"
        raise InputError(f"{trial_id}: {problem} in {store.name} (for example {some})")
    return cast(dict[str, Any], found.iloc[0].to_dict())


def recorded_how(row: dict[str, Any]) -> tuple[str, int]:
    """Runner and number of workers of a recorded trial.

    Old rows lack these columns. Their trials ran in one process.
    """
    workers = row["workers"]
    return row["runner"] or "reused", int(workers) if workers and workers == workers else 1


def recorded_threads(row: dict[str, Any]) -> int | None:
    """Threads of each worker of a recorded trial on a CPU; None if the row does not say.

    To repeat the trial bit for bit takes as many threads: they decide how sums are rounded.
    """
    threads = row["threads"]
    return int(threads) if threads and threads == threads else None


def recorded_split(row: dict[str, Any]) -> str:
    """The split that scored a recorded trial."""
    return (
        "validation"
        if row["phase"] == TUNE
        else "test"
        if row["phase"] == CONFIRM
        else row["split"]
    )


def _with_id(rows: list[dict[str, Any]], trial: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"trial_id": trial["trial_id"], **row} for row in rows]
