"""Parameters of one's own: declared, validated, searched, recorded and reported like fields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from optuna.distributions import FloatDistribution

from reports.statistics.hyperparameters import chosen_table, searched
from reports.store.configs import config_of
from reports.store.tables import Store, open_store
from search_spaces import space
from study import local_trial
from study.agenda import Agenda
from study.overview import recorded_rows
from study.spec import parse_spec
from tests.stored_files import write_version
from trainables.arms import ARMS
from trainables.arms.none import Baseline
from trainables.config import TrialConfig, parse_config
from trainables.encoders import ENCODERS
from trainables.encoders.base import EncoderFamily
from trainables.errors import InputError
from trainables.own_parameters import Parameter

STUDY = """
name: own
datasets: [digits]
methods: [moco]
widths: [2]
arms: [none, "tests.own:Boxed"]
of_arm: {"tests.own:Boxed": {kind: round}}
space: {side: {low: 0.2, high: 0.6}, temperature: false}
trials: 3
searches: 1
seeds: 1
"""


class Boxed(Baseline):
    own_parameters = (
        Parameter("side", 0.5, "of the box", low=0, high=1, space={"low": 0.1, "high": 0.9}),
        Parameter("kind", "square", "of box", choices=("square", "round")),
        Parameter("boxes", 1, "in an image", low=1),
    )


class Sized(EncoderFamily):
    """A family with a parameter."""


SIZED = Sized(
    "sized", "a family", ("tests.own:SIZED",), ("small",), "tests.own:Net",
    own_parameters=(Parameter("expansion", 4, "of a block", low=1),),
)  # fmt: skip
BOXED = "tests.own:Boxed"


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(ARMS._own, BOXED, Boxed())
    monkeypatch.setitem(ENCODERS._own, "tests.own:SIZED", SIZED)
    yield


def config(**fields: Any) -> TrialConfig:
    return parse_config({"arm": BOXED, **fields}, "test")


def test_parameters_are_given_like_fields_and_completed_with_defaults() -> None:
    found = config(side=1, boxes=2)
    assert found.own_parameters == {"side": 1.0, "kind": "square", "boxes": 2}
    assert found.value("side") == 1.0
    assert found.value("width") == 64
    assert config(own_parameters={"side": 1.0, "boxes": 2}) == found
    assert config(**{**dict(found), "side": 0.25}).own_parameters["side"] == 0.25
    assert hash(found) == hash(config(side=1.0, boxes=2))
    both = config(encoder="tests.own:SIZED", expansion=2)
    assert both.own_parameters == {"expansion": 2, "side": 0.5, "kind": "square", "boxes": 1}
    assert TrialConfig().own_parameters == {}


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"side": 1.5}, "side: 1.5 is above 1"),
        ({"side": "wide"}, "side: float is expected, got 'wide'"),
        ({"side": True}, "side: float is expected, got True"),
        ({"boxes": 0}, "boxes: 0 is below 1"),
        ({"boxes": 1.0}, "boxes: int is expected, got 1.0"),
        ({"kind": "oval"}, "kind: 'oval' (allowed: square, round)"),
        ({"own_parameters": {"sid": 1.0}}, "unknown sid (allowed: side, kind, boxes)"),
        ({"own_parameters": 3}, "a mapping of names to values is expected"),
        ({"arm": "none", "side": 0.5}, "side: unknown field"),
        ({"arm": "none", "own_parameters": {"side": 0.5}}, "nothing declares any"),
    ],
)
def test_wrong_values_are_refused_in_one_line(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as raised:
        config(**fields)
    assert line in str(raised.value)


def test_a_parameter_may_not_have_the_name_of_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Boxed, "own_parameters", (Parameter("width", 3, "of the box"),))
    with pytest.raises(InputError, match="width: an own parameter has the name of a field"):
        config()


def test_only_values_that_differ_from_their_defaults_name_a_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, changed = config().digest(), config(side=0.25).digest()
    assert plain != changed
    more = (*Boxed.own_parameters, Parameter("later", 1.0, "added after trials were recorded"))
    monkeypatch.setattr(Boxed, "own_parameters", more)
    assert config().digest() == plain
    assert config(side=0.25).digest() == changed
    assert config(later=2.0).digest() != plain


def test_declared_spaces_are_searched_and_a_study_changes_them() -> None:
    assert space("moco", BOXED)["side"] == FloatDistribution(0.1, 0.9)
    assert "side" not in space("moco", "none")
    spec = parse_spec(STUDY, "study")
    assert spec.space_of("moco", BOXED)["side"] == FloatDistribution(0.2, 0.6)
    assert "side" not in spec.space_of("moco", "none")
    fixed = spec.fixed("digits", "moco", "resnet18", 2, BOXED)
    assert fixed.own_parameters["kind"] == "round"
    with pytest.raises(InputError, match=r"boxes: 0 is below 1"):
        parse_spec(STUDY.replace("side: {", "boxes: [0, 1], side: {"), "study")
    with pytest.raises(InputError, match=r"space.sides: cannot be searched"):
        parse_spec(STUDY.replace("side: {", "sides: {"), "study")


def run(store: Store) -> Agenda:
    """Runs the study's trials as far as they are missing; accuracy grows with the side."""
    agenda = Agenda(parse_spec(STUDY, "study"), recorded_rows(store))
    while due := agenda.next():
        side = float(due.config.own_parameters.get("side", 0.0))
        row = {**due.identity(), "study": "own", "status": "complete", "accuracy": 50 + 10 * side}
        store.append(row)
        agenda.record(row)
    return agenda


def test_values_are_suggested_stored_read_and_reported(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    run(store)
    rows = [row for row in recorded_rows(store) if row["arm"] == BOXED]
    sides = [row["own_parameters"]["side"] for row in rows if row["phase"] == "tune"]
    assert len(set(sides)) == 3
    assert all(0.2 <= side <= 0.6 for side in sides)
    assert config_of(rows[0]).own_parameters["kind"] == "round"
    (confirm,) = (row for row in rows if row["phase"] == "confirm")
    assert confirm["own_parameters"]["side"] == max(sides)
    assert not run(store).next()  # nothing is missing when the study starts again
    trials = store.read("trials")
    assert "own_parameters.side" in searched(trials)
    chosen = chosen_table(trials).set_index(["arm", "hyperparameter"])["value"]
    assert chosen[BOXED, "own_parameters.side"] == pytest.approx(max(sides))


def test_rows_of_older_schemas_have_no_own_parameters(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    row = {**local_trial.identity(TrialConfig(dataset="digits")), "status": "complete"}
    store.append({**row, "accuracy": 50.0})
    (path,) = tmp_path.glob("trials/*.parquet")
    table = pq.read_table(path).drop_columns(["own_parameters"])
    write_version(path, table, 1)
    assert config_of(recorded_rows(store)[0]).own_parameters == {}
