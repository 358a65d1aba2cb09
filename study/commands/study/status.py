"""`mixco study status`."""

from __future__ import annotations

from typing import Annotated

import typer

from study.commands.study.options import Stored
from study.console import console, tell


def status(
    results: Stored,
    watch: Annotated[
        bool, typer.Option("--watch", help="Refresh until the study is done.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between refreshes.")] = 5.0,
) -> None:
    """Show what is done, how trials ended, and the best of each cell."""
    import time

    from rich.live import Live

    from reports.store.tables import open_store
    from study.overview import Overview
    from study.provenance import stored_spec

    out = console()
    store = open_store(results, create=watch)
    if watch and stored_spec(store) is None:
        tell(f"{store.name}: no study was run there yet; waiting for one (Ctrl-C ends)")
        while stored_spec(store) is None:
            time.sleep(every)
    overview = Overview(store)
    if not (watch and out.is_terminal):
        out.print(overview.render())
        return
    with Live(overview.render(), console=out, auto_refresh=False) as live:
        while not overview.finished:
            time.sleep(every)
            overview = Overview(store)
            live.update(overview.render(), refresh=True)
