"""`mixco study new`: the file that it writes, and the design that fits the hours."""

from __future__ import annotations

import os
import pty
import re
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from study.draft import _DESIGNS, Answers, Design, fitting, study_yaml
from study.spec import parse_spec
from tests.in_process import mixco


@settings(max_examples=25)
@given(
    st.lists(
        st.text(
            st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="="),
            min_size=1,
        ) | st.just("few=parquet:/data/few"),
        min_size=1, max_size=3, unique=True,
    ),
    st.sampled_from(_DESIGNS),
    st.booleans(),
)  # fmt: skip
@example(["?0"], _DESIGNS[0], False)  # a key, in brackets only
def test_any_answers_are_read_back_from_the_file(
    datasets: list[str], design: Design, gpus: bool
) -> None:
    answers = Answers("x", tuple(datasets), gpus=gpus)
    spec = parse_spec(study_yaml(answers, design), "x.yaml")
    assert spec.datasets == answers.datasets
    found = Design(spec.searches, spec.trials, spec.base["epochs"], spec.seeds_of_search)
    assert found == design
    assert 0 < spec.base["warmup_epochs"] <= min(10, design.epochs / 10)
    assert spec.resources.gpus == ("auto" if gpus else 0.0)


def test_the_largest_design_that_fits_is_taken() -> None:
    for design in _DESIGNS:
        assert fitting(design.cost * 0.5, hours_of_an_epoch=0.5) == design
    assert fitting(1.0, hours_of_an_epoch=1.0) is None
    costs = [design.cost for design in _DESIGNS]
    assert costs == sorted(costs, reverse=True)


def test_a_study_is_written_with_its_plan_and_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--dataset", "digits", "--width", "4", "--width", "8", "--method", "moco")
    ended = mixco("study", "new", "mine", *options)
    assert ended.code == 0, ended.err
    assert "digits-moco-resnet18-w8-mixco" in ended.out
    spec = parse_spec((tmp_path / "mine.yaml").read_text(), "mine.yaml")
    assert (spec.widths, spec.methods, spec.searches) == ((4, 8), ("moco",), 5)
    of_timm = ("--dataset", "digits", "--encoder", "timm:test_vit", "--arm", "none")
    assert mixco("study", "new", "timm", *of_timm).code == 0
    assert parse_spec((tmp_path / "timm.yaml").read_text(), "timm.yaml").widths == ()
    again = mixco("study", "new", "mine", *options)
    assert (again.code, again.err.count("\n")) == (2, 1)
    wrong = mixco("study", "new", "other", "--dataset", "digit")
    assert wrong.code == 2 and "did you mean 'digits'?" in wrong.err
    assert not (tmp_path / "other.yaml").exists()


def test_in_a_terminal_it_asks_and_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keyboard, terminal = pty.openpty()
    os.write(keyboard, b"digit\ndigits\n\n4, 8\n\n\n")  # an empty line takes what is offered
    with os.fdopen(terminal) as lines:
        monkeypatch.setattr(sys, "stdin", lines)
        ended = mixco("study", "new", "mine", "--method", "moco")
    os.close(keyboard)
    assert ended.code == 0, ended.err
    asked = re.findall("Data sets|Encoders|Widths|Arms|Hours", ended.err)
    assert asked == ["Data sets", "Data sets", "Encoders", "Widths", "Arms", "Hours"]
    assert "did you mean 'digits'?" in ended.err
    spec = parse_spec((tmp_path / "mine.yaml").read_text(), "mine.yaml")
    assert (spec.datasets, spec.widths) == (("digits",), (4, 8))
