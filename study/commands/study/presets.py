"""`mixco study presets`."""

from __future__ import annotations

from typing import Annotated

import typer

from study.commands.completion import preset_names
from study.console import console, say


def presets(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Print the YAML of this preset, to start a study of your own from.",
            autocompletion=preset_names,
        ),
    ] = None,
) -> None:
    """List the studies that ship with the tool, and what each is for."""
    from rich.table import Table

    from study import shipped

    if name:
        say_all(shipped.preset_text(name))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("preset")
    table.add_column("what it is for", overflow="fold")
    for preset in shipped.presets():
        table.add_row(preset, shipped.preset_purpose(preset))
    console().print(table)
    say("mixco study plan NAME shows its cost; mixco study presets NAME prints its file")


def say_all(text: str) -> None:
    """Print a text of several lines."""
    for line in text.splitlines():
        say(line)
