"""`mixco study run`."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer

from study.commands.study.options import Data, Results, Spec
from study.console import news_of, say


def run(
    spec: Spec,
    results: Results = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="A Ray cluster: auto, HOST:PORT or ray://HOST:PORT; default: this machine."
        ),
    ] = None,
    data: Data = None,
    accept_mixed: Annotated[
        bool,
        typer.Option(
            "--accept-mixed", help="Go on although the study changed in what makes rows comparable."
        ),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run trials that failed before once more.")
    ] = False,
) -> None:
    """Run every trial of SPEC that the results lack."""
    from study.spec import load_spec

    study = load_spec(spec)

    from reports.store.tables import open_store
    from study.on_ray.cluster import resolved
    from study.on_ray.driver import run_study
    from study.on_ray.interruption import EXIT_CODE, interrupted_line

    store = open_store(results or f"results/{study.name}", create=True)
    options: dict[str, Any] = {
        "address": address,
        "data_dir": data.absolute() if data else None,
        "accept_mixed": accept_mixed,
        "retry_failed": retry_failed,
    }
    news_of(store.name)
    where = resolved(address)
    if where.startswith("ray://"):  # Tune cannot run in a client of the cluster
        from study.on_ray.client import run_through_client

        options["address"] = where
        complete = run_through_client(study, store, **options, named=bool(address))
    else:
        complete = run_study(study, store, **options)
    if not complete:
        say(interrupted_line(store.name))
        raise typer.Exit(EXIT_CODE)
    say(f"complete: {store.name} (next: mixco report {shlex.quote(store.name)})")
