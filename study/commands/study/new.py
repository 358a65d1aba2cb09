"""`mixco study new`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from study.commands.completion import data_sets, values_of
from study.commands.study.options import Data
from study.console import say, tell
from trainables.errors import InputError

if TYPE_CHECKING:
    from study.draft import Answers, Design


def new(
    name: Annotated[str, typer.Argument(help="Name of the study; the file is NAME.yaml.")],
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="Data set; repeatable.", autocompletion=data_sets),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Method; repeatable.", autocompletion=values_of("method")),
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="Encoder; repeatable.", autocompletion=values_of("encoder")),
    ] = None,
    width: Annotated[list[int] | None, typer.Option(help="Width; repeatable.")] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(help="Arm; repeatable.", autocompletion=values_of("arm")),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(min=0.01, help="Hours that this machine may run: chooses epochs and trials."),
    ] = None,
    data: Data = None,
) -> None:
    """Write a study file with comments, and show its plan.

    In a terminal, asks for what no option gives.
    """
    from study import draft

    path = Path(f"{name}.yaml")
    if path.exists():
        raise InputError(f"{path}: is there already; edit it, or choose another name")
    given = {
        "datasets": dataset, "methods": method, "encoders": encoder, "widths": width, "arms": arm,
    }  # fmt: skip
    known = {field: tuple(values) for field, values in given.items() if values}
    answers: Answers = replace(draft.Answers(name, gpus=_has_gpus()), **known)  # type: ignore[arg-type]
    _checked(answers)
    if sys.stdin.isatty():
        answers = _asked(answers, [field for field in given if field not in known])
        hours = hours or _asked_hours()
    design = _design(answers, hours, data) if hours else draft.DEFAULT
    path.write_text(draft.study_yaml(answers, design), encoding="utf-8")
    say(f"{path}: edit it as you like; then: mixco study run {path}")

    from study.commands.study.plan import plan

    plan(str(path), data=data, timed=False)


def _checked(answers: Answers) -> None:
    """Refuses answers that make no study.

    Raises:
        InputError: what is wrong, and what is allowed.
    """
    from study.draft import DEFAULT, study_yaml
    from study.spec import parse_spec
    from trainables.data.sources import check_name

    parse_spec(study_yaml(answers, DEFAULT), "study")
    for dataset in answers.datasets:
        check_name(dataset)


_QUESTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "datasets": ("Data sets (`mixco data list`)", str),
    "methods": ("Methods (moco, simclr)", str),
    "encoders": ("Encoders", str),
    "widths": ("Widths", int),
    "arms": ("Arms; gains are measured against none", str),
}


def _asked(answers: Answers, fields: list[str]) -> Answers:
    """``answers`` with the user's own for ``fields``; what makes no study is asked again."""
    for field in fields:
        known = answers.default_widths if field == "widths" else getattr(answers, field)
        if not known:
            continue  # no encoder of the study has a width
        question, kind = _QUESTIONS[field]
        default = ", ".join(map(str, known))
        while True:
            text = typer.prompt(question, default=default, err=True)
            try:
                values = tuple(kind(part.strip()) for part in text.split(",") if part.strip())
                candidate = replace(answers, **{field: values})  # type: ignore[arg-type]
                _checked(candidate)
            except ValueError as error:  # InputError is one
                tell(str(error))
            else:
                answers = candidate
                break
    return answers


def _asked_hours() -> float | None:
    text = typer.prompt("Hours that this machine may run (0: do not estimate)", 0.0, err=True)
    return text or None


def _has_gpus() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))


def _design(answers: Answers, hours: float, data: Path | None) -> Design:
    """The largest design that fits into ``hours`` of this machine; a few steps are timed."""
    from study import cost, draft
    from study.agenda import Agenda
    from study.fitting import this_machine
    from study.spec import parse_spec

    once = parse_spec(
        draft.study_yaml(answers, draft.Design(searches=1, trials=1, epochs=1)), "study"
    )
    try:
        work = cost.missing_work(
            Agenda(once), cost.TrialCosts(once, data.absolute() if data else None)
        )
    except InputError as error:
        tell(f"hours not estimated: {error}")
        return draft.DEFAULT
    machine = this_machine(once)
    used = sum(part.gpu_hours if machine.gpus else part.cpu_hours for part in work.values())
    epoch = used / (machine.gpus or machine.cpus) / 2  # one tune trial and one confirm trial
    design = draft.fitting(hours, epoch)
    if design is None:
        design = draft.smallest()
        tell(
            f"{hours:g} hours are too few: the smallest design takes about "
            f"{design.cost * epoch:.1f} on this machine; leave out widths, methods or data sets"
        )
        return design
    say(
        f"{design.searches} searches of {design.trials} trials of {design.epochs} epochs in each "
        f"cell take about {design.cost * epoch:.2g} hours on this machine"
    )
    return design
