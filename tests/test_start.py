"""What a new user meets first: presets, completion, names that are misspelt."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from study.shipped import preset_purpose, preset_text, presets
from study.spec import load_spec, parse_spec
from tests.in_process import mixco
from trainables.errors import InputError, meant
from trainables.recipes import recipe

BIN = Path(sys.executable).parent


def test_presets_are_listed_with_what_each_is_for() -> None:
    shown = mixco("study", "presets")
    assert shown.code == 0
    assert presets() == ["demo", "pilot", "capacity", "paper"]
    for name in presets():
        assert f"\n{name}" in shown.out
        assert len(preset_purpose(name)) > 40


def test_a_preset_is_printed_as_the_file_that_it_is() -> None:
    assert mixco("study", "presets", "pilot").out == preset_text("pilot")


def test_the_paper_preset_has_the_values_of_the_paper_recipe() -> None:
    spec = load_spec("paper")
    for method in spec.methods:
        config = spec.fixed("tiny-imagenet", method, "resnet18", 64, "mixco")
        recorded = config.model_dump()
        assert {name: recorded[name] for name in recipe("paper", method)} == recipe("paper", method)


def test_completion_is_installed_for_bash_and_completes(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{BIN}:{os.environ['PATH']}"}
    bash = shutil.which("bash")
    assert bash
    subprocess.run(
        [bash, "-c", "mixco --install-completion; exit $?"],
        env=environment, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    questions = (
        "mixco stu", "mixco study plan p", "mixco trial --method s", "mixco export --res",
    )  # fmt: skip
    asked = "\n".join(
        f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=(); "
        "$(complete -p mixco | sed 's/.*-F \\([^ ]*\\).*/\\1/') mixco; echo ${COMPREPLY[*]}"
        for words in questions
    )
    answers = subprocess.run(
        [bash, "-c", f"source ~/.bashrc\n{asked}"],
        env=environment, check=True, capture_output=True, text=True, timeout=60,
    ).stdout.splitlines()  # fmt: skip
    assert answers == ["study", "pilot paper", "simclr", "--results"]


def test_only_the_root_command_offers_to_install_completion() -> None:
    assert "--install-completion" in mixco("--help").out
    for command in ("trial", "report", "export", "study", "data", "space"):
        assert "completion" not in mixco(command, "--help").out


def test_help_of_a_trial_shows_defaults() -> None:
    assert "[default: (resnet18)]" in " ".join(mixco("trial", "--help").out.split()).replace(
        "│ │ ", ""
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["studdy"], "Did you mean 'study'?"),
        (["study", "plan", "piolt"], "did you mean 'pilot'?"),
        (["trial", "--method", "mocco"], "did you mean 'moco'?"),
        (["trial", "--encoder", "resnt18"], "did you mean 'resnet18'?"),
        (["trial", "--dataset", "cifar01"], "did you mean 'cifar10'?"),
        (["trial", "--recipe", "papre"], "did you mean 'paper'?"),
        (["space", "show", "moco", "mixo"], "did you mean 'mixco'?"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_name_that_was_meant(
    arguments: list[str], line: str
) -> None:
    ended = mixco(*arguments)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert line in ended.err


def test_an_unknown_name_in_a_list_is_one_clause() -> None:
    text = "name: x\ndatasets: [digits]\nwidths: [4]\nmethods: [mocco]\nepoch: 3\n"
    with pytest.raises(InputError) as error:
        parse_spec(text, "x.yaml")
    assert "Tuple" not in str(error.value)
    assert str(error.value).count("methods") == 2  # the wrong one, and the allowed fields
    assert "got 'mocco', did you mean 'moco'?" in str(error.value)


def test_nothing_is_suggested_for_a_name_that_is_like_no_other() -> None:
    assert meant("zzz", ["moco", "simclr"]) == ""
    assert meant("m" * 10_000, ["m" * 9_999]) == ""
    assert meant(3, ["moco"]) == ""
