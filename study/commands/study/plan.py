"""`mixco study plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from study.commands.study.options import Data, Results, Spec
from study.console import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd
    from rich.table import Table

    from study.agenda import Agenda
    from study.cost import TrialCosts, Work
    from study.designs import Design
    from study.spec import StudySpec
    from study.spread import Spread


def plan(
    spec: Spec,
    results: Results = None,
    data: Data = None,
    timed: Annotated[
        bool,
        typer.Option(
            "--timed/--untimed", help="Time a few steps of each encoder without recorded trials."
        ),
    ] = True,
    spread: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Standard deviation of a paired gain over seeds, in points; default: of the gains "
            "in the results, else what the number of test images lets expect.",
        ),
    ] = None,
) -> None:
    """Show what SPEC still needs, what that costs, and what it and cheaper designs can detect."""
    from study.spec import load_spec

    study = load_spec(spec)

    from reports.store.tables import open_store
    from study import cost
    from study.agenda import Agenda
    from study.doctor.hardware import other_load
    from study.looks import open_next
    from study.overview import recorded_rows
    from study.provenance import differences
    from study.spread import spread_of

    out = console()
    store = open_store(results or f"results/{study.name}", create=True)
    trials = store.read("trials")
    agenda = Agenda(study, recorded_rows(store, trials))
    open_next(agenda, trials)
    changes = differences(store, study) if len(trials) else ""
    for line in [*_warnings(study, changes), *_misfits(agenda)]:
        out.print(line, soft_wrap=True)
    load = other_load()  # before the timed steps, which are load, too
    costs = cost.TrialCosts(study, data.absolute() if data else None, timed, trials)
    work = cost.missing_work(agenda, costs)
    out.print(_missing_table(work, timed))
    if timed and not agenda.finished:
        out.print(_hours_line(_sum_of(work.values()), costs, agenda), soft_wrap=True)
        if load and costs.from_steps:
            out.print(load, soft_wrap=True)
    for line in _further_searches(agenda):
        out.print(line, soft_wrap=True)
    images = trials["scored_images"].where(trials["phase"] == "confirm").min()
    known = costs.test_images() or (int(images) if images == images else None)
    if (found := spread_of(trials, spread, known)) is None:
        return
    for line in dict.fromkeys(study.line_of.values()):
        out.print()
        out.print(_design_table(line, agenda, trials, found, None if agenda.finished else costs))
    out.print(_explanation(agenda, found), soft_wrap=True)


def _warnings(study: StudySpec, changes: str) -> list[str]:
    """What the study cannot do as it stands; ``changes``: since its recorded trials."""
    from trainables.arms import BASELINE

    lines = []
    if changes:
        lines.append(
            "`mixco study run` will refuse this study: its recorded trials are not comparable "
            f"with it any more ({changes}); give it another name or --results, or pass "
            "--accept-mixed"
        )
    if BASELINE not in study.arms:
        lines.append(
            f"no gain can be computed: arms [{', '.join(study.arms)}] lack {BASELINE}, the arm "
            "that gains are measured against"
        )
    return lines


def _misfits(agenda: Agenda) -> list[str]:
    """A line for each kind of missing trial that this machine has no room for."""
    import os

    from study.fitting import misfits, this_machine

    if agenda.finished or os.environ.get("RAY_ADDRESS"):  # `run` uses that cluster
        return []
    found = misfits(agenda.spec, [this_machine(agenda.spec)])
    return [f"does not fit on this machine: {misfit}" for misfit in found]


def _missing_table(work: Mapping[str, Work], timed: bool) -> Table:
    """What each cell lacks in all its searches, and their sum."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("cell", overflow="fold")
    hours = _hour_columns(work.values()) if timed else []
    for column in ("trials", "epochs", "PFLOP", *hours):
        table.add_column(column, justify="right")
    for name, cell in work.items():
        table.add_row(name, str(cell.trials), str(cell.epochs), *_compute(cell, hours))
    table.add_section()
    total = _sum_of(work.values())
    table.add_row("missing in all", str(total.trials), str(total.epochs), *_compute(total, hours))
    return table


def _sum_of(works: Iterable[Work]) -> Work:
    from study.cost import Work

    return sum(works, Work())


def _hours_line(missing: Work, costs: TrialCosts, agenda: Agenda) -> str:
    """How long the missing trials take on this machine, and what the hours rest on."""
    import os

    from study.display import duration
    from study.fitting import this_machine

    machine, doubt = this_machine(agenda.spec), costs.doubt
    sources = [
        *(["the recorded trials"] if costs.from_rows else []),
        *(["a few timed steps"] if costs.from_steps else []),
    ]
    basis = (
        f"estimated from {' and '.join(sources)}, right within a factor of {doubt:g} if nothing "
        "else runs here"
    )
    no_gpu = missing.gpu_hours and not machine.gpus
    if no_gpu or os.environ.get("RAY_ADDRESS"):  # `run` uses that cluster
        return f"hours: {basis}"
    here, hours = f"{machine.cpus:g} CPUs", missing.cpu_hours / machine.cpus
    if machine.gpus:
        here += f" and {machine.gpus:g} GPUs"
        hours = max(hours, missing.gpu_hours / machine.gpus)
    seconds = 3600 * hours
    return (
        f"on this machine ({here}): about {duration(seconds)}, from {duration(seconds / doubt)} "
        f"to {duration(seconds * doubt)}; {basis}"
    )


_HOURS: dict[str, Callable[[Work], float]] = {
    "CPU-hours": lambda work: work.cpu_hours,
    "GPU-hours": lambda work: work.gpu_hours,
}


def _hour_columns(works: Iterable[Work]) -> list[str]:
    """The columns of hours that are not zero throughout."""
    works = list(works)
    return [column for column, hours in _HOURS.items() if any(map(hours, works))]


def _compute(work: Work, hour_columns: list[str]) -> list[str]:
    return [f"{work.flops / 1e15:.3g}", *(f"{_HOURS[name](work):.2f}" for name in hour_columns)]


def _further_searches(agenda: Agenda) -> list[str]:
    """What planned looks may add to the missing trials."""
    spec = agenda.spec
    further = spec.most_searches - agenda.replicates
    if further < 1:
        return []
    return [
        f"The study looks at its results after {spec.searches} to {spec.most_searches} searches, "
        f"and may need up to {further} more of each cell than the table counts."
    ]


def _design_table(
    line: str,
    agenda: Agenda,
    trials: pd.DataFrame,
    spread: Spread,
    costs: TrialCosts | None,
) -> Table:
    """The study's design and cheaper ones: what each costs as a whole, and what it detects.

    What it detects is that of a study whose lines are all as long as ``line``.
    ``costs`` is None for a complete study: data sets and torch are not needed then.
    """
    from rich.table import Table

    from study.cost import encoder_sizes
    from study.designs import designs

    cells = {state.cell.name: state.cell for state in agenda.searches.values()}
    configs = [config for cell in cells.values() for config in cell.configs]
    line_of = agenda.spec.line_of
    on_line = [one for one in configs if line_of[one.encoder, one.width] == line]
    sizes = encoder_sizes(on_line, trials)
    all_designs = list(designs(agenda.spec))
    works = costs and [
        _sum_of(costs.of(cell) * (design.trials // len(cells)) for cell in cells.values())
        for design in all_designs
    ]
    hours = _hour_columns(works) if works and costs and costs.timed else []
    table = Table(box=None, pad_edge=False)
    table.add_column(f"design, {line}", overflow="fold")
    for column in ("trials", *(["PFLOP", *hours] if costs else []), "slope detected", "with luck"):
        table.add_column(column, justify="right")
    for place, design in enumerate(all_designs):
        table.add_row(
            design.change or "this study",
            str(design.trials),
            *(_compute(works[place], hours) if works else []),
            _slopes(design, sizes, spread, lucky=False),
            _slopes(design, sizes, spread, lucky=True),
        )
    return table


def _slopes(design: Design, sizes: list[int], spread: Spread, lucky: bool) -> str:
    """The slope that a design detects, and its range over what the spread may be."""
    luck = spread.value if spread.luck is None else spread.luck
    middle, low, high = (
        design.slope(sizes, value, luck * (value / spread.value) if lucky and luck else 0.0)
        for value in (spread.value, spread.low, spread.high)
    )
    if middle != middle:
        return "none"
    return f"{middle:.2f}" if low == high else f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _explanation(agenda: Agenda, spread: Spread) -> str:
    from reports.statistics.power import POWER
    from study.designs import lines_in

    lines = lines_in(agenda.spec)
    over = f"over all {lines} lines" if lines > 1 else "over the one line"
    band = "" if spread.low == spread.high else f", {spread.low:.2f} to {spread.high:.2f}"
    if spread.luck is None:
        luck = "if luck in the searches spreads a gain as much again"
    else:
        luck = f"luck in the searches spreads a gain by {spread.luck:.2f} points in these results"
    return (
        f"slope detected: points per doubling of the parameters, {over}, on which a verdict falls "
        f"with {POWER:.0%} power. A gain spreads over seeds by {spread.value:.2f} points "
        f"({spread.source}{band}; --spread sets it). with luck: {luck}. A cheaper search may find "
        "worse configurations: this is not counted."
    )
