"""`mixco study`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from study.spec import StudySpec

app = typer.Typer(no_args_is_help=True)

Spec = Annotated[
    str,
    typer.Argument(metavar="SPEC", help="A study's YAML file, a preset, or - (standard input)."),
]
Results = Annotated[
    str | None,
    typer.Option("--results", metavar="DIR", help="Results folder or URI; default results/NAME."),
]
Data = Annotated[Path | None, typer.Option("--data", help="Folder with data sets.")]


@app.callback()
def group() -> None:
    """Run, plan and watch studies."""


@app.command("run")
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

    from reports.store.tables import StoreError, open_store
    from study.on_ray.driver import StudyError, run_study

    place = results or f"results/{study.name}"
    store = open_store(place, create=True)
    options: dict[str, Any] = {
        "address": address,
        "data_dir": data.absolute() if data else None,
        "accept_mixed": accept_mixed,
        "retry_failed": retry_failed,
    }
    try:
        if address and address.startswith("ray://"):
            from study.on_ray.client import run_through_client

            complete = run_through_client(study, store, **options)
        else:
            complete = run_study(study, store, **options)
    except (StudyError, StoreError) as error:
        typer.echo(f"mixco: {error}", err=True)
        raise typer.Exit(1) from None
    if not complete:
        typer.echo(f"interrupted; finished trials are in {place}; the same command goes on")
        raise typer.Exit(130)
    typer.echo(f"complete: {place} (next: mixco report {shlex.quote(str(place))})")


Dashboard = Annotated[
    str, typer.Option("--address", help="The cluster's dashboard, http://HEAD:8265.")
]


@app.command("submit")
def submit(
    spec: Spec,
    address: Dashboard,
    results: Annotated[
        str, typer.Option("--results", help="URI, or absolute path that the nodes share.")
    ],
    data: Annotated[
        str | None, typer.Option("--data", help="Folder with data sets, on the nodes.")
    ] = None,
    accept_mixed: Annotated[
        bool, typer.Option("--accept-mixed", help="As of `mixco study run`.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="As of `mixco study run`.")
    ] = False,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", help="NAME or NAME=VALUE: a variable for the job; repeatable."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow the job's log.")] = False,
) -> None:
    """Run SPEC on a cluster as a Ray job, and follow its log (Ctrl-C leaves it running)."""
    import os

    from study.on_ray.cluster import check_shared
    from study.on_ray.jobs import Jobs
    from study.spec import load_spec

    study = load_spec(spec)
    check_shared(results, "a job runs in a folder of its own on the cluster")
    options = ["--results", results]
    options += ["--data", data] if data else []
    options += ["--accept-mixed"] if accept_mixed else []
    options += ["--retry-failed"] if retry_failed else []
    environment = {}
    for item in env or ():
        name, given, value = item.partition("=")
        environment[name] = value if given else os.environ.get(name, "")
    jobs = Jobs(address)
    job_id = jobs.submit(study, options, environment)
    again = f"mixco study logs {job_id} --address {address}"
    typer.echo(f"{job_id}: follow it with: {again}", err=True)
    if not detach:
        _follow(jobs, job_id, again)


@app.command("logs")
def logs(
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID", help="As `submit` printed it.")],
    address: Dashboard,
) -> None:
    """Follow the log of a submitted study to its end; exits with the job's code."""
    from study.on_ray.jobs import Jobs

    _follow(Jobs(address), job_id, f"mixco study logs {job_id} --address {address}")


def _follow(jobs: Any, job_id: str, again: str) -> None:
    try:
        code = jobs.follow(job_id, lambda text: typer.echo(text, nl=False))
    except KeyboardInterrupt:
        typer.echo(f"\nleft running; follow it again with: {again}", err=True)
        raise typer.Exit(130) from None
    raise typer.Exit(code)


@app.command("plan")
def plan(
    spec: Spec,
    results: Results = None,
    data: Data = None,
    timed: Annotated[
        bool, typer.Option("--timed/--untimed", help="Time a few steps of each width.")
    ] = True,
) -> None:
    """Show what SPEC still needs, what that costs, and what the study can detect."""
    from study.spec import load_spec

    study = load_spec(spec)

    import math

    from rich.console import Console
    from rich.table import Table

    from reports.store.tables import open_store
    from study import cost
    from study.agenda import Agenda
    from study.overview import recorded_rows

    store = open_store(results or f"results/{study.name}", create=True)
    agenda = Agenda(study, recorded_rows(store))
    work = cost.missing_work(agenda, data.absolute() if data else None, timed)
    table = Table(box=None, pad_edge=False)
    table.add_column("cell", overflow="fold")
    columns = ["trials", "epochs", "PFLOP", *(["CPU-hours", "GPU-hours"] if timed else [])]
    for column in columns:
        table.add_column(column, justify="right")
    total = cost.Work()
    for name, cell in work.items():
        total += cell
        table.add_row(name, *_cells_of(cell, timed))
    table.add_section()
    table.add_row("missing in all", *_cells_of(total, timed))
    console = Console()
    console.print(table)

    spread = cost.gain_spread(store.read("trials"))
    source = "of the gains in these results"
    if spread is None:
        spread = cost.TYPICAL_SPREAD * math.sqrt(2)
        source = f"assumed: {cost.TYPICAL_SPREAD} points for each arm"
    for encoder in study.encoders:
        configs = [
            config
            for state in agenda.cells.values()
            for config in state.cell.configs
            if config.encoder == encoder
        ]
        slopes = _detectable(study, cost.encoder_sizes(configs), spread)
        console.print(
            f"{encoder}: {slopes} (spread of a gain over seeds {spread:.2f}, {source})",
            soft_wrap=True,
        )


def _detectable(study: StudySpec, sizes: list[int], spread: float) -> str:
    """The smallest slopes that a report of the study would find, as its verdicts are made."""
    import math

    from reports.statistics.power import POWER, detectable_slope

    seeds = len(study.confirm_seeds)
    design = f"{len(sizes)} widths and {seeds} seeds"
    lines = len(study.datasets) * len(study.methods) * len(study.encoders)
    arms = len(study.arms) - 1
    found = [
        [
            f"{slope:.2f}"
            for together in ([True, False] if lines > 1 else [True])
            for slope in [
                detectable_slope(
                    sizes, seeds, spread, lines, together, arms * (1 if together else lines), luck
                )
            ]
            if math.isfinite(slope)
        ]
        for luck in (0.0, spread)
        if arms
    ]
    if not found or not found[0]:
        return f"{design} give no verdict on a slope of the gain (it takes 3 and 2)"
    where = f"on all {lines} lines together and on one alone" if lines > 1 else "on the one line"
    steady, lucky = (" and ".join(slopes) for slopes in found)
    return (
        f"{design} detect a slope of the gain with {POWER:.0%} power, as a report's verdict is "
        f"made, from {steady} points per doubling of parameters {where}; from {lucky} if luck in "
        "the searches scatters a width's gain as much as seeds do"
    )


def _cells_of(work: Any, timed: bool) -> list[str]:
    hours = [f"{work.cpu_hours:.2f}", f"{work.gpu_hours:.2f}"] if timed else []
    return [str(work.trials), str(work.epochs), f"{work.flops / 1e15:.3g}", *hours]


@app.command("status")
def status(
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="Results folder or URI.")],
    watch: Annotated[
        bool, typer.Option("--watch", help="Refresh until the study is done.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between refreshes.")] = 5.0,
) -> None:
    """Show what is done, how trials ended, and the best of each cell."""
    import time

    from rich.console import Console
    from rich.live import Live

    from reports.store.tables import open_store
    from study.overview import Overview

    store = open_store(results)
    overview = Overview(store)
    console = Console()
    if not (watch and console.is_terminal):
        console.print(overview.render())
        return
    with Live(overview.render(), console=console, auto_refresh=False) as live:
        while not overview.finished:
            time.sleep(every)
            overview = Overview(store)
            live.update(overview.render(), refresh=True)


@app.command("dashboard")
def dashboard(
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="Results folder or URI.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8080,
) -> None:
    """Browse the search of each cell with optuna-dashboard, on this machine (Ctrl-C ends)."""
    from reports.store.tables import open_store
    from study.dashboard import serve

    serve(open_store(results), port, lambda url: typer.echo(f"{url} (Ctrl-C ends)"))
