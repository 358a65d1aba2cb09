"""`mixco doctor`: what works on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from study.console import console, say

app = typer.Typer(add_completion=False)

_MARKS = {"ok": "ok", "note": "note", "broken": "BROKEN"}


@app.command()
def doctor(
    data: Annotated[Path | None, typer.Option(help="folder with data sets")] = None,
) -> None:
    """Show what works on this machine, and what to do about the rest.

    Exit code 1 if something that every trial needs is broken.
    """
    from rich.table import Table

    from study.doctor import examine
    from trainables.data_dir import default_data_dir
    from trainables.errors import shown

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    findings = list(examine(data or default_data_dir()))
    for name, finding in findings:
        advice = f"\n-> {finding.advice}" if finding.advice else ""
        table.add_row(_MARKS[finding.state], name, shown(finding.says, 500) + advice)
    console().print(table)
    broken = [name for name, finding in findings if finding.state == "broken"]
    if broken:
        say(f"to be repaired first: {', '.join(broken)}")
        raise typer.Exit(1)
    say("trials run here; start with: mixco study run demo")
