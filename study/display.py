"""Shows a running study: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from reports.store.schema import DIVERGED, FAILED, PRUNED
from study.agenda import Agenda
from study.console import console as default_console
from study.console import whole
from study.pace import Kind, kind_of, seconds_left

_SHOWN_CELLS = 30
_MIN_ENDED = 3
"""Trials that must have ended before the time left is estimated from them."""


class StudyDisplay:
    """Shows what is done and what is missing while a study runs."""

    def __init__(
        self, agenda: Agenda, dashboard: str | None = None, console: Console | None = None
    ) -> None:
        self._agenda = agenda
        self._dashboard = dashboard
        self._console = console or default_console()
        self._first_end: float | None = None
        self._ended: Counter[Kind] = Counter()
        """The trials that ended after the first."""
        self._live = (
            Live(console=self._console, get_renderable=self._render, refresh_per_second=2)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        else:
            self.say(self.headline())
            if self._dashboard:
                self.say(f"Ray's dashboard: {self._dashboard}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        for name in self._agenda.unconfirmed:
            self.say(f"{name}: not confirmed, since no tune trial completed")

    def stop(self) -> None:
        """Ends the live table, so that the terminal can be used again."""
        if self._live:
            self._live.stop()

    def show_ended(self, row: Mapping[str, Any]) -> None:
        """Shows a trial that has just ended."""
        if self._first_end is None:
            self._first_end = time.monotonic()
        else:
            self._ended[kind_of(row)] += 1
        if self._live:
            return
        accuracy = row.get("accuracy")
        result = f"{accuracy:.2f} %" if accuracy is not None else row.get("error") or ""
        self.say(f"{row['trial_id']}: {row['status']} {result}".rstrip() + f"; {self.headline()}")

    def headline(self) -> str:
        """Trials done and planned, how many ended without a score, and the time left."""
        agenda = self._agenda
        parts = [f"{agenda.done} of {agenda.planned} trials"]
        if agenda.spec.until == "verdict":
            parts.append(f"search {agenda.replicates} of at most {agenda.spec.most_searches}")
        for status in (PRUNED, DIVERGED, FAILED):
            if count := agenda.count(status):
                parts.append(f"{count} {status}")
        if left := self._time_left():
            parts.append(f"about {left} left")
        return ", ".join(parts)

    def _time_left(self) -> str | None:
        """At the pace since the first trial ended: what came before was mostly starting up."""
        missing = self._agenda.missing
        if self._first_end is None or self._ended.total() < _MIN_ENDED or not missing:
            return None
        since = time.monotonic() - self._first_end
        return duration(seconds_left(self._agenda.times, missing, self._ended, since))

    def say(self, text: str) -> None:
        """Prints a line, above the live table if there is one."""
        self._console.print(whole(text), soft_wrap=True)

    def _render(self) -> Group:
        lines = [f"{self._agenda.spec.name}: {self.headline()}"]
        if self._dashboard:
            lines.append(f"Ray's dashboard: {self._dashboard}")
        headline = Text("\n".join(lines))
        return Group(fitting_table(self._agenda, self._console, len(lines)), headline)


def fitting_table(agenda: Agenda, console: Console, lines_below: int) -> Table:
    """`cell_table` with as many rows as the terminal has room for: a longer one would tear."""
    room = console.size.height - lines_below - 1
    table = cell_table(agenda)
    excess = len(console.render_lines(table)) - room
    return table if excess <= 0 else cell_table(agenda, max(1, table.row_count - excess))


def cell_table(agenda: Agenda, most: int = _SHOWN_CELLS) -> Table:
    """Each search with its trials done of planned and its best validation accuracy so far.

    Where there are more than ``most`` searches, those that run.
    """
    table = Table(box=None, pad_edge=False)
    table.add_column("cell", overflow="fold")
    table.add_column("tuned", justify="right")
    table.add_column("confirmed", justify="right")
    table.add_column("running", justify="right")
    table.add_column("best validation %", justify="right")
    spec = agenda.spec
    states = list(agenda.searches.items())
    computing = [due for due in list(agenda.running.values()) if due.trial_id in agenda.started]
    # A screen has no room for all searches of a large study: show those with running trials.
    if len(states) > most:
        busy = {due.search_id for due in computing}
        states = [item for item in states if item[0] in busy][:most]
    for name, state in states:
        planned = agenda.planned_confirms(state)
        running = sum(due.search_id == name for due in computing)
        best = state.best_accuracy
        table.add_row(
            name,
            f"{state.tuned}/{spec.trials}",
            f"{state.confirmed}/{planned}",
            str(running) if running else "",
            f"{best:.2f}" if best is not None else "",
        )
    return table


def duration(seconds: float) -> str:
    """A time in seconds, minutes or hours, whichever suits its length."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
