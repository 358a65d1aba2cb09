"""`mixco study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)

Spec = Annotated[str, typer.Argument(metavar="SPEC", help="A study's YAML file, or a preset.")]
Results = Annotated[
    str | None,
    typer.Option("--results", metavar="DIR", help="Results folder or URI; default results/NAME."),
]


@app.callback()
def group() -> None:
    """Run, plan and watch studies."""


@app.command("run")
def run(
    spec: Spec,
    results: Results = None,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster's address; default: this machine.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder with data sets.")] = None,
    accept_mixed: Annotated[
        bool,
        typer.Option(
            "--accept-mixed", help="Go on although the study changed in what makes rows comparable."
        ),
    ] = False,
) -> None:
    """Run every trial of SPEC that the results lack."""
    from study.spec import load_spec

    study = load_spec(spec)

    from study.runner import StudyError, run_study
    from study.store import StoreError, open_store

    place = results or f"results/{study.name}"
    store = open_store(place, create=True)
    try:
        complete = run_study(
            study,
            store,
            address=address,
            data_dir=data.absolute() if data else None,
            accept_mixed=accept_mixed,
        )
    except (StudyError, StoreError) as error:
        typer.echo(f"mixco: {error}", err=True)
        raise typer.Exit(1) from None
    if not complete:
        typer.echo(f"interrupted; finished trials are in {place}; the same command goes on")
        raise typer.Exit(130)
    typer.echo(f"complete: {place} (next: mixco report {place})")
