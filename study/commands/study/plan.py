"""`mixco study plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from study.commands.study.options import Data, Results, Spec
from study.console import console

if TYPE_CHECKING:
    from study.spec import StudySpec


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
    import os

    from rich.table import Table

    from reports.store.tables import open_store
    from study import cost
    from study.agenda import Agenda
    from study.fitting import misfits, this_machine
    from study.overview import recorded_rows
    from study.provenance import differences

    out = console()
    store = open_store(results or f"results/{study.name}", create=True)
    trials = store.read("trials")
    agenda = Agenda(study, recorded_rows(store, trials))
    for line in _warnings(study, differences(store, study) if len(trials) else ""):
        out.print(line, soft_wrap=True)
    if not agenda.finished and not os.environ.get("RAY_ADDRESS"):  # else `run` uses that cluster
        for misfit in misfits(study, [this_machine(study)]):
            out.print(f"does not fit on this machine: {misfit}", soft_wrap=True)
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
    out.print(table)

    spread = cost.gain_spread(trials)
    source = "of the gains in these results"
    if spread is None:
        spread = cost.TYPICAL_SPREAD * math.sqrt(2)
        source = f"assumed: {cost.TYPICAL_SPREAD} points for each arm"
    for encoder in study.encoders:
        configs = [
            config
            for state in agenda.searches.values()
            for config in state.cell.configs
            if config.encoder == encoder
        ]
        slopes = _detectable(study, cost.encoder_sizes(configs, trials), spread)
        out.print(
            f"{encoder}: {slopes} (spread of a gain over seeds {spread:.2f}, {source})",
            soft_wrap=True,
        )


def _warnings(study: StudySpec, changes: str) -> list[str]:
    """What the study cannot do as it stands; ``changes``: since its recorded trials."""
    lines = []
    if changes:
        lines.append(
            "`mixco study run` will refuse this study: its recorded trials are not comparable "
            f"with it any more ({changes}); give it another name or --results, or pass "
            "--accept-mixed"
        )
    if "none" not in study.arms:
        lines.append(
            f"no gain can be computed: arms [{', '.join(study.arms)}] lack none, the arm that "
            "gains are measured against"
        )
    return lines


def _detectable(study: StudySpec, sizes: list[int], spread: float) -> str:
    """The smallest slopes that a report of the study would find, as its verdicts are made."""
    import math

    from reports.statistics.power import POWER, detectable_slope

    seeds = study.seeds_of_search
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
