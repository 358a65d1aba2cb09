"""`mixco export`: a recorded trial's encoder, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from study.commands import by_hand
from study.console import news_of, say
from trainables.errors import InputError

app = typer.Typer(add_completion=False)

_RECORDED = (
    "trial_id", "study", "phase", "split", "accuracy", "top5_accuracy", "knn_accuracy",
    "scored_images", "parameters", "encoder_flops", "epochs_done", "images", "train_images",
    "classes", "data_fingerprint", "hardware", "version", "git_revision", "torch_version",
)  # fmt: skip


@app.command()
def export(
    trial: Annotated[
        str, typer.Argument(metavar="TRIAL", help="id of a recorded trial, or how it begins")
    ],
    results: Annotated[str, typer.Option(help="results folder that has the trial")] = (
        by_hand.RESULTS
    ),
    out: Annotated[
        Path | None, typer.Option(help="folder to write", show_default="RESULTS/exports/TRIAL")
    ] = None,
) -> None:
    """Write the trained encoder of TRIAL: weights, program, card and a loading example."""
    from reports.store.address import is_uri, public
    from reports.store.configs import config_of
    from reports.store.schema import COMPLETE
    from reports.store.tables import open_store
    from study import local_trial
    from trainables.export import export as write

    if is_uri(results):
        raise InputError(
            f"--results {public(results)}: a URI holds no checkpoints (allowed: a folder of this "
            "machine in which `mixco trial` left the trial's checkpoint)"
        )
    place = Path(results)
    row = local_trial.find(open_store(place), trial)
    trial_id = str(row["trial_id"])
    if row["status"] != COMPLETE:
        raise InputError(f"{trial_id}: is {row['status']}; only complete trials are exported")
    path = local_trial.checkpoint_path(place, trial_id)
    if not path.is_file():
        raise InputError(
            f"{trial_id}: no checkpoint at {path}; studies keep none of finished trials, "
            f"`mixco trial` does: run this configuration with it"
        )
    config = config_of(row)
    card = {name: _plain(row[name]) for name in _RECORDED}
    folder = out or place / "exports" / trial_id
    write(path, config, {**card, "config": config.model_dump(mode="json")}, folder)
    news_of(str(folder))
    say(f"{folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")


def _plain(value: Any) -> Any:
    """A cell of the table as JSON has it; a missing one is null."""
    value = value.item() if hasattr(value, "item") else value
    return None if value is None or value != value else value
