"""`mixco study dashboard`."""

from __future__ import annotations

from typing import Annotated

import typer

from study.commands.study.options import Stored
from study.console import say


def dashboard(
    results: Stored,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8080,
) -> None:
    """Browse the search of each cell with optuna-dashboard, on this machine (Ctrl-C ends)."""
    from reports.store.tables import open_store
    from study.dashboard import serve

    serve(open_store(results), port, lambda url: say(f"{url} (Ctrl-C ends)"))
