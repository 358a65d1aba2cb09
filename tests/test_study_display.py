"""What a plan, a status and a running study show."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from reports.store.tables import open_store
from study import provenance
from study.agenda import Agenda
from study.display import StudyDisplay, cell_table, duration, fitting_table
from study.overview import Overview
from study.spec import parse_spec
from tests.in_process import mixco

SPEC = (
    "name: shown\ndatasets: [digits]\nmethods: [moco]\nwidths: [4, 8, 12]\n"
    "trials: 2\nsearches: 1\nseeds: 2\n"
)


def ended(agenda: Agenda, **more: object) -> dict[str, object]:
    due = agenda.next()
    assert due
    row = {**due.identity(), "status": "complete", "accuracy": 50.0, "study": "shown", **more}
    agenda.record(row)
    return row


def text(renderable: object, height: int = 50) -> str:
    console = Console(file=io.StringIO(), width=100, height=height)
    console.print(renderable)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_only_trials_that_compute_are_running() -> None:
    agenda = Agenda(parse_spec(SPEC, "x"))
    due = [agenda.next() for _ in range(3)]
    assert text(cell_table(agenda)).count(" 1 ") == 0
    assert due[1]
    agenda.started.add(due[1].trial_id)
    (line,) = [line for line in text(cell_table(agenda)).splitlines() if line.split()[3:4] == ["1"]]
    assert line.split()[0] == due[1].cell
    agenda.give_back(due[1])
    assert not agenda.started


def test_a_table_is_never_longer_than_the_terminal() -> None:
    agenda = Agenda(parse_spec(SPEC.replace("[4, 8, 12]", str(list(range(4, 40)))), "x"))
    while due := agenda.next():
        agenda.started.add(due.trial_id)
    for height in (6, 12, 30):
        console = Console(file=io.StringIO(), width=100, height=height)
        table = fitting_table(agenda, console, lines_below=2)
        assert 1 <= len(console.render_lines(table)) <= height - 3


def test_the_status_of_a_large_study_that_rests_shows_every_search(tmp_path: Path) -> None:
    spec = parse_spec(SPEC.replace("[4, 8, 12]", str(list(range(4, 40)))), "x")
    provenance.write(store := open_store(tmp_path, create=True), spec)
    shown = text(Overview(store).render())
    assert all(name in shown for name in Agenda(spec).searches)


def test_the_time_left_is_told_only_once_trials_show_a_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    agenda = Agenda(parse_spec(SPEC, "x"))
    display = StudyDisplay(agenda, console=Console(file=io.StringIO()))
    clock[0] = 60.0  # starting up; then a trial each second
    for _ in range(3):
        display.show_ended(ended(agenda))
        clock[0] += 1
        assert "left" not in display.headline()
    display.show_ended(ended(agenda))
    assert display.headline().endswith(f"about {agenda.planned - 4} s left")


def test_the_time_left_is_that_of_the_trials_that_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trials of width 12 take 20 s, others 5 s. An earlier run was three times as slow."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    spec, ends = parse_spec(SPEC, "x"), []

    def seconds_of_next(agenda: Agenda) -> float:
        due = agenda.next()
        assert due
        agenda.give_back(due)
        return 20.0 if due.config.width == 12 else 5.0

    earlier = Agenda(spec)
    rows = [ended(earlier, seconds=3 * seconds_of_next(earlier), epochs_done=4) for _ in range(6)]
    agenda = Agenda(spec, rows)
    display = StudyDisplay(agenda, console=Console(file=io.StringIO()))
    while not agenda.finished:
        seconds = seconds_of_next(agenda)
        clock[0] += seconds
        display.show_ended(ended(agenda, seconds=seconds, epochs_done=4))
        ends.append((clock[0], display.headline()))
    told = [(at, line) for at, line in ends if "left" in line]
    assert len(told) == agenda.planned - 6 - 4
    for at, line in told:
        assert line.endswith(f"about {duration(clock[0] - at)} left")


def test_a_plan_says_what_the_study_cannot_do(tmp_path: Path) -> None:
    spec = parse_spec(SPEC, "x")
    store = open_store(tmp_path / "results", create=True)
    store.append(ended(Agenda(spec)))
    provenance.write(store, spec)
    file = tmp_path / "x.yaml"
    file.write_text(SPEC + "base: {epochs: 7}\narms: [mixco]\n")
    shown = mixco("study", "plan", str(file), "--results", str(tmp_path / "results"), "--untimed")
    assert "will refuse this study" in shown.out and "base.epochs default -> 7" in shown.out
    assert "no gain can be computed: arms [mixco] lack none" in shown.out
    file.write_text(SPEC)
    shown = mixco("study", "plan", str(file), "--results", str(tmp_path / "results"), "--untimed")
    assert "refuse" not in shown.out and "no gain" not in shown.out


def test_a_watched_status_waits_for_the_study(tmp_path: Path) -> None:
    command = [
        Path(sys.executable).with_name("mixco"), "study", "status", "later", "--watch",
        "--every", "0.5",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ},
    )  # fmt: skip
    assert process.stderr and select.select([process.stderr], [], [], 60)[0]
    assert "waiting for one" in process.stderr.readline()
    provenance.write(open_store(tmp_path / "later", create=True), parse_spec(SPEC, "x"))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "0 of 24 trials" in out
