"""The contract of a sampler: its suggestions, when outcomes come in and after an interruption."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from optuna.samplers import BaseSampler

from reports.store.schema import COMPLETE, DIVERGED, FAILED, PRUNED
from study.plan import Cell, cells
from study.samplers import SAMPLERS
from study.search import CellSearch, Outcome
from study.spec import Search, parse_spec
from trainables.contract.points import Point, require

_STUDY = """
name: contract
datasets: [digits]
methods: [moco]
widths: [4, 8]
arms: [none, mixco]
base: {epochs: 3}
"""
_TRIALS, _STARTUP, _PARALLEL = 9, 3, 2
_STOP = 7
"""Ended trials after which a search is interrupted and resumed."""
_ENDINGS = {1: PRUNED, 4: DIVERGED, 5: FAILED}
"""How trials end that are not complete."""

Suggestions = list[dict[str, Any]]


def points(name: str) -> list[Point]:
    """What must hold for the sampler ``name``."""
    checks: dict[str, Callable[[str], None]] = {
        "makes a sampler of Optuna from a seed": _made,
        "suggestions lie inside the space, and differ": _inside,
        "the same seed gives the same suggestions, and another seed others": _seeds,
        "a resumed search goes on with the same suggestions": _resumed,
    }
    if SAMPLERS.find(name).two_objectives:
        checks["width can be searched with the rest, for two objectives"] = partial(
            _resumed, joint=True
        )
    return [Point(text, partial(check, name)) for text, check in checks.items()]


def _made(name: str) -> None:
    made = SAMPLERS.find(name).make(0, _STARTUP)
    require(
        isinstance(made, BaseSampler),
        f"make(seed, startup_trials) returns {type(made).__name__}, not an optuna BaseSampler",
    )


def _inside(name: str) -> None:
    _all_inside(_cell(), _suggestions(name, _cell()))


def _all_inside(cell: Cell, found: Suggestions) -> None:
    for number, parameters in enumerate(found):
        for field, distribution in cell.space.items():
            require(field in parameters, f"trial {number} has no {field}")
            value = parameters[field]
            require(
                distribution._contains(distribution.to_internal_repr(value)),
                f"trial {number} has {field} {value!r}, outside {distribution}",
            )
    later = found[len(cell.widths) :]
    require(any(one != later[0] for one in later), "every suggestion is the same")


def _seeds(name: str) -> None:
    first, again, other = (_suggestions(name, _cell(), seed) for seed in (0, 0, 1))
    require(
        first == again,
        f"suggestions differ with the same seed, from trial {_first_difference(first, again)} on: "
        "draw from the seed that make is given, and from nothing else",
    )
    require(first != other, "suggestions are the same with another seed")


def _resumed(name: str, joint: bool = False) -> None:
    cell = _cell(joint)
    whole, resumed = _suggestions(name, cell), _suggestions(name, cell, stop=_STOP)
    _all_inside(cell, whole)
    require(
        resumed == whole,
        f"a search that is interrupted after {_STOP} of {_TRIALS} trials suggests others from "
        f"trial {_first_difference(resumed, whole)} on: a sampler that keeps its state in the "
        "trials that it was asked for needs replayed=True; keep no other state",
    )


def _cell(joint: bool = False) -> Cell:
    treat = "treat_width: joint\n" if joint else ""
    return cells(parse_spec(_STUDY + treat, "contract"))[-1]


def _suggestions(name: str, cell: Cell, seed: int = 0, stop: int | None = None) -> Suggestions:
    """What a search suggests to its trials, by number, with made-up outcomes.

    Args:
        name: of the sampler.
        cell: whose space is searched.
        seed: of the search.
        stop: ended trials after which a new search takes over, from what is recorded.
    """
    found: dict[int, dict[str, Any]] = {}
    ended: dict[int, Outcome] = {}
    search = _search(name, cell, seed, ended)
    running: list[int] = []
    for count in itertools.count():
        if count == stop:
            running, search = [], _search(name, cell, seed, ended)
        for number, parameters in iter(search.next, None):
            found[number] = parameters
            running.append(number)
        if not running:
            break
        number = running.pop(0)
        ended[number] = _outcome(number, found[number])
        search.record(number, ended[number])
    return [found[number] for number in sorted(found)]


def _search(name: str, cell: Cell, seed: int, ended: Mapping[int, Outcome]) -> CellSearch:
    options = Search(sampler=name, startup_trials=_STARTUP, parallel_per_cell=_PARALLEL)
    search = CellSearch(cell, options, _TRIALS, seed)
    for number, outcome in ended.items():
        search.record(number, outcome)
    return search


def _outcome(number: int, parameters: Mapping[str, Any]) -> Outcome:
    """An ending that depends on the parameters alone, smoothly where it is an accuracy."""
    numbers = [float(v) for v in parameters.values() if isinstance(v, int | float)]
    accuracy = 50 + sum(math.sin(math.log(1e-6 + abs(value))) for value in numbers)
    flops = 1000.0 * float(parameters.get("width", 4)) ** 2
    status = _ENDINGS.get(number, COMPLETE)
    if status != COMPLETE:
        by_epoch = {1: accuracy} if status == PRUNED else {}
        return Outcome(status, parameters, None, by_epoch, flops)
    return Outcome(status, parameters, accuracy, {}, flops)


def _first_difference(one: Suggestions, other: Suggestions) -> int:
    pairs: Iterator[tuple[Any, Any]] = itertools.zip_longest(one, other)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), len(one))
