"""`mixco check`: the contract test of an arm, a method, an encoder, a data set or a sampler."""

from __future__ import annotations

from typing import Annotated, Literal, assert_never

import typer

from study.console import say

app = typer.Typer(add_completion=False)

Kind = Literal["arm", "method", "encoder", "dataset", "sampler"]


@app.command()
def check(
    kind: Annotated[Kind, typer.Argument(help="What NAME is.", show_default=False)],
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="package.module:Name (the current folder is searched), or a name; of a data set "
            "also package.module:Name:PATH.",
        ),
    ],
) -> None:
    """Test whether an object keeps to the contract of its kind; takes a minute or two.

    Of an arm, a method or an encoder, small trials on the digits data set check shapes, targets,
    gradients, seeds, checkpoints, FLOPs, and that two worker processes compute what one computes.
    All images of a data set are read. A sampler suggests to made-up trials. Exit code 1: a point
    fails.
    """
    from study.samplers import SAMPLERS
    from trainables.arms import ARMS
    from trainables.data.sources import check_name
    from trainables.encoders import ENCODERS
    from trainables.methods import METHODS

    match kind:
        case "arm":
            ARMS.find(name)
            from trainables.contract.arm import points
        case "method":
            METHODS.find(name)
            from trainables.contract.method import points
        case "encoder":
            ENCODERS.find(name)
            from trainables.contract.encoder import points
        case "dataset":
            check_name(name)
            from trainables.contract.dataset import points
        case "sampler":
            SAMPLERS.find(name).check_installed()
            from study.sampler_contract import points
        case _:
            assert_never(kind)

    from trainables.contract.points import run

    failed = 0
    every = points(name)
    for verdict in run(every):
        failed += verdict.problem is not None
        say(
            f"fails: {verdict.name}: {verdict.problem}"
            if verdict.problem
            else f"ok: {verdict.name}"
        )
    if failed:
        say(f"{kind} {name}: {failed} of {len(every)} points fail")
        raise typer.Exit(1)
    say(f"{kind} {name}: all {len(every)} points hold")
