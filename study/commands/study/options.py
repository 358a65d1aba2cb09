"""Arguments and options that several commands of `mixco study` take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from study.commands.completion import specs

RESULTS_VARIABLE = "MIXCO_RESULTS"
"""The environment variable that may hold ``--results``: a URI with a secret, for a Ray job."""

Spec = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        help="A study's YAML file, a preset, or - (standard input).",
        autocompletion=specs,
    ),
]
Results = Annotated[
    str | None,
    typer.Option(
        "--results",
        metavar="DIR",
        envvar=RESULTS_VARIABLE,
        show_envvar=False,
        help="Results folder or URI; default results/NAME.",
    ),
]
Data = Annotated[Path | None, typer.Option("--data", help="Folder with data sets.")]
Stored = Annotated[str, typer.Argument(metavar="RESULTS", help="Results folder or URI.")]
Dashboard = Annotated[
    str, typer.Option("--address", help="The cluster's dashboard, http://HEAD:8265.")
]
