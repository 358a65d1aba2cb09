"""`mixco space`."""

from __future__ import annotations

from typing import Annotated

import typer

from study.console import console
from trainables.arms import ARMS
from trainables.methods import METHODS

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def group() -> None:
    """Show what a search may vary."""


@app.command("show")
def show(
    method: Annotated[str, typer.Argument(metavar="METHOD", help=f"one of {', '.join(METHODS)}")],
    arm: Annotated[str, typer.Argument(metavar="ARM", help=f"one of {', '.join(ARMS)}")],
) -> None:
    """Print the search space of METHOD and ARM as a table."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
    from rich.table import Table

    from search_spaces import own_parameters, space
    from trainables.config import TrialConfig

    table = Table(box=None, pad_edge=False)
    for column in ("parameter", "values", "scale", "default", "meaning"):
        table.add_column(column)
    described = {name: (f.default, f.description) for name, f in TrialConfig.model_fields.items()}
    for name, own in own_parameters(method, arm).items():
        described[name] = (own.default, own.summary)
    for name, distribution in space(method, arm).items():
        if isinstance(distribution, CategoricalDistribution):
            values, scale = ", ".join(map(str, distribution.choices)), "choice"
        else:
            assert isinstance(distribution, FloatDistribution | IntDistribution)
            values = f"{distribution.low:g} to {distribution.high:g}"
            scale = "log" if distribution.log else "linear"
        default, meaning = described[name]
        table.add_row(name, values, scale, str(default), meaning)
    console().print(table)
