"""The command line: quick help, one-line errors, nothing half-written."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.in_process import mixco

MIXCO = Path(sys.executable).with_name("mixco")
QUICK = [
    "trial", "--dataset", "digits", "--encoder", "resnet10", "--width", "4", "--epochs", "2",
    "--batch-size", "64", "--queue-size", "64",
]  # fmt: skip


def installed(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The installed command, in a process of its own."""
    return subprocess.run([MIXCO, *arguments], cwd=cwd, capture_output=True, text=True, timeout=200)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cpu_seconds() -> float:
    """Processor time of all finished children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_imports_neither_torch_nor_ray_and_answers_within_half_a_second(
    tmp_path: Path,
) -> None:
    code = (
        "import sys; sys.argv = ['mixco', '--help']\n"
        "from study.commands.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'ray', 'pandas', 'optuna'} & set(sys.modules), 'too much'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
    seconds = []
    for _ in range(5):
        start = cpu_seconds()
        result = installed("--help", cwd=tmp_path)
        seconds.append(cpu_seconds() - start)
    assert result.returncode == 0
    assert "report" in result.stdout
    # Its own processor time, and the fastest of five: the machine may be busy.
    assert min(seconds) < 0.5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trial", "--width", "0"], "width"),
        (["trial", "--dataset", "nope"], "nope"),
        (["trial", "--config", "missing.yaml"], "missing.yaml"),
        (["trial", "--config", "bad.yaml"], "bad.yaml"),
        (["trial", "--config", "typo.yaml"], "widht"),
        (["trial", "--preset", "slow"], "paper"),
        (["trial", "--recipe", "slow"], "--recipe: no recipe 'slow'"),
        (["trial", "--config", "latin.yaml"], "latin.yaml: not UTF-8 text"),
        (["study", "plan", "latin.yaml"], "latin.yaml: not UTF-8 text (invalid start byte at"),
        (["report", "\udcff"], "\\xff: the path is not UTF-8 (rename the folder)"),
        (["export", "x", "--results", "s3://k:s@b/x"], "--results s3://b/x: a URI holds no check"),
        (["trial", "--config", "empty"], "--config empty: Is a directory"),
        (["trial", "--config", "y" * 5000], "File name too long"),
        (["trial", "--repeat", "x", "--results", "none"], "none"),
        (["trial", "--results", "s3://bucket/x"], "local folder"),
        (["study", "run", "demo", "--results", "s4://bucket/x"], "s4"),
        (["study", "run", "demo", "--address", "head"], "HOST:PORT"),
        (["study", "submit", "demo", "--address", "head", "--results", "/x"], "http://HEAD:8265"),
        (["report", "missing"], "missing"),
        (["report", "empty"], "empty"),
        (["study", "run", "nope"], "demo"),
        (["study", "run", "typo.yaml"], "widht"),
        (["data", "info", "nope"], "digits"),
        (["space", "show", "moco", "nope"], "mixco"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2_and_writes_nothing(
    arguments: list[str],
    said: str,
    here: Path,
) -> None:
    (here / "bad.yaml").write_text("width: [1\n")
    (here / "latin.yaml").write_bytes(b"\xff")
    (here / "typo.yaml").write_text("widht: 8\n")
    (here / "empty").mkdir()
    before = sorted(here.rglob("*"))
    ended = mixco(*arguments)
    assert ended.code == 2, ended.err
    assert ended.err.startswith("mixco: ")
    assert ended.err.count("\n") == 1
    assert said in ended.err
    assert ended.out == ""
    assert sorted(here.rglob("*")) == before


def test_a_results_folder_that_cannot_be_made_is_found_before_training(here: Path) -> None:
    (here / "taken").write_text("a file")
    ended = mixco(*QUICK, "--results", "taken", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("mixco: taken") and ended.err.count("\n") == 1


def test_the_installed_command_shows_no_traceback(tmp_path: Path) -> None:
    result = installed("space", "show", "moco", "nope", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("mixco: ") and result.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_trial_is_recorded_once_repeated_exactly_and_goes_on_after_a_kill(here: Path) -> None:
    first = mixco(*QUICK, "--json")
    assert first.code == 0, first.err
    *epochs, row = [json.loads(line) for line in first.out.splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert row["status"] == "complete"
    assert row["split"] == "test"
    again = mixco(*QUICK, "--json")
    assert "recorded" in again.err
    assert json.loads(again.out)["accuracy"] == row["accuracy"]
    threads = torch.get_num_threads()
    torch.set_num_threads(threads % 2 + 1)  # other sums, if it were to repeat with so many
    try:
        repeated = mixco("trial", "--repeat", row["trial_id"])
        assert "repeated exactly" in repeated.err
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(threads)

    killed = subprocess.Popen(
        [MIXCO, *QUICK, "--results", "killed", "--json"],
        cwd=here, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert killed.stdout is not None
    killed.stdout.readline()  # the first epoch's row, printed after its checkpoint
    killed.kill()
    killed.wait()
    resumed = installed(*QUICK, "--results", "killed", "--json", cwd=here)
    assert "continuing after" in resumed.stderr or "recorded" in resumed.stderr
    assert json.loads(resumed.stdout.splitlines()[-1])["accuracy"] == row["accuracy"]


def test_a_plan_names_what_is_missing_and_writes_nothing(here: Path) -> None:
    spec = "name: planned\ndatasets: [digits]\nmethods: [moco]\nwidths: [4, 8]\n"
    spec += "trials: 3\nsearches: 1\nseeds: 2\n"
    (here / "planned.yaml").write_text(spec + "base: {epochs: 2, batch_size: 64}\n")
    ended = mixco("study", "plan", "planned.yaml", "--untimed")
    assert ended.code == 0, ended.err
    assert ended.out.count("digits-moco-resnet18-w") == 4
    total = next(line for line in ended.out.splitlines() if line.startswith("missing in all"))
    assert total.split()[3:5] == ["20", "40"]
    assert [path.name for path in here.iterdir()] == ["planned.yaml"]
