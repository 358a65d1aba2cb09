"""The report in the terminal: the verdict, its limits and two tables."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.findings import Findings
from reports.output.names import arm_on_line
from reports.output.numbers import counted, probability, signed, span


def print_summary(findings: Findings, console: Console) -> None:
    """Print the verdicts, the gains and the trends."""
    console.print(Text(findings.name, style="bold"))
    for sentence in findings.sentences.headlines:
        console.print(Text(sentence))
    for sentence in findings.sentences.limits:
        console.print(Text(sentence, style="yellow"))
    if findings.sentences.compute:
        console.print(Text(findings.sentences.compute, style="dim"))
    if not findings.gains.table.empty:
        console.print(_gains(findings))
        console.print(_trends(findings))


def _table(title: str, left: tuple[str, ...], right: tuple[str, ...]) -> Table:
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1)
    )
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _gains(findings: Findings) -> Table:
    """One row for each encoder, in 80 columns at most; the first row of a line names the line."""
    table = _table(
        "Gain over none, percentage points",
        ("line",),
        (findings.kind, "pairs", "none", "gain", "95 % interval", "p"),
    )
    before = Text()
    for row in findings.gains.table.to_dict("records"):
        line = Text(arm_on_line(row))
        table.add_row(
            line if line != before else "",
            str(row["size"]).removeprefix(f"{findings.kind} "),
            str(row["pairs"]),
            f"{row['baseline']:.2f}",
            signed(row["gain"]),
            span(row["low"], row["high"]),
            probability(row["p"]),
        )
        before = line
    return table


def _trends(findings: Findings) -> Table:
    """One row for each line, in 80 columns at most."""
    table = _table(
        f"Trend, points per doubling of the {findings.measure}",
        ("line",),
        (f"{findings.kind}s", "over", "slope", "interval", "p", "claim"),
    )
    for row in findings.trends.lines.to_dict("records"):
        table.add_row(
            Text(arm_on_line(row)),
            str(row["widths"]),
            _unit(row),
            signed(row["slope"]),
            span(row["low"], row["high"]),
            probability(row["p_holm"]),
            row["verdict"],
        )
    return table


def _unit(row: dict[Hashable, Any]) -> str:
    """What the slope is judged over, such as "4 searches"."""
    if row["searches"] > 1:
        return counted(row["searches"], "search")
    return counted(row["seeds"], "seed")
