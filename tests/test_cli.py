"""The command line: quick help, one-line errors, nothing half-written."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from study.commands.main import main

MIXCO = Path(sys.executable).with_name("mixco")
QUICK = [
    "trial", "--dataset", "digits", "--encoder", "resnet10", "--width", "4", "--epochs", "2",
    "--batch-size", "64", "--queue-size", "64",
]  # fmt: skip


def mixco(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The installed command, in a process of its own."""
    return subprocess.run([MIXCO, *arguments], cwd=cwd, capture_output=True, text=True, timeout=200)


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same command line in this process: no seconds of imports for each call."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["mixco", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, exit.value.code or 0, said.out, said.err)

    return run


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
        result = mixco("--help", cwd=tmp_path)
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
    tmp_path: Path,
    here: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    (tmp_path / "bad.yaml").write_text("width: [1\n")
    (tmp_path / "latin.yaml").write_bytes(b"\xff")
    (tmp_path / "typo.yaml").write_text("widht: 8\n")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    result = here(*arguments)
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("mixco: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert result.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_results_folder_that_cannot_be_made_is_found_before_training(
    tmp_path: Path, here: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "taken").write_text("a file")
    result = here(*QUICK, "--results", "taken", "--json")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("mixco: taken") and result.stderr.count("\n") == 1


def test_the_installed_command_shows_no_traceback(tmp_path: Path) -> None:
    result = mixco("space", "show", "moco", "nope", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("mixco: ") and result.stderr.count("\n") == 1


def test_a_trial_is_recorded_once_repeated_exactly_and_goes_on_after_a_kill(
    tmp_path: Path, here: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    first = here(*QUICK, "--json")
    assert first.returncode == 0, first.stderr
    *epochs, row = [json.loads(line) for line in first.stdout.splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert row["status"] == "complete"
    assert row["split"] == "test"
    again = here(*QUICK, "--json")
    assert "recorded" in again.stderr
    assert json.loads(again.stdout)["accuracy"] == row["accuracy"]
    threads = torch.get_num_threads()
    torch.set_num_threads(threads % 2 + 1)  # other sums, if it were to repeat with so many
    try:
        repeated = here("trial", "--repeat", row["trial_id"])
        assert "repeated exactly" in repeated.stderr
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(threads)

    killed = subprocess.Popen(
        [MIXCO, *QUICK, "--results", "killed", "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert killed.stdout is not None
    killed.stdout.readline()  # the first epoch's row, printed after its checkpoint
    killed.kill()
    killed.wait()
    resumed = mixco(*QUICK, "--results", "killed", "--json", cwd=tmp_path)
    assert "continuing after" in resumed.stderr or "recorded" in resumed.stderr
    assert json.loads(resumed.stdout.splitlines()[-1])["accuracy"] == row["accuracy"]


def test_a_plan_names_what_is_missing_and_writes_nothing(
    here: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    spec = (
        "name: planned\ndatasets: [digits]\nmethods: [moco]\nwidths: [4, 8]\ntrials: 3\nseeds: 2\n"
    )
    (tmp_path / "planned.yaml").write_text(spec + "base: {epochs: 2, batch_size: 64}\n")
    result = here("study", "plan", "planned.yaml", "--untimed")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("digits-moco-resnet18-w") == 4
    total = next(line for line in result.stdout.splitlines() if line.startswith("missing in all"))
    assert total.split()[3:5] == ["20", "40"]
    assert [path.name for path in tmp_path.iterdir()] == ["planned.yaml"]
