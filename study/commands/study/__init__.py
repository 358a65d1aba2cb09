"""`mixco study`: one file for each of its commands."""

from __future__ import annotations

import typer

from study.commands.study.dashboard import dashboard
from study.commands.study.logs import logs
from study.commands.study.new import new
from study.commands.study.plan import plan
from study.commands.study.presets import presets
from study.commands.study.run import run
from study.commands.study.status import status
from study.commands.study.submit import submit

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def group() -> None:
    """Start, plan, run and watch studies."""


for command in (presets, new, plan, run, status, dashboard, submit, logs):
    app.command(command.__name__)(command)
