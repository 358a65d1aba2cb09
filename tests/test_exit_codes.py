"""Errors, signals, lost output: one line, and an exit code that says whether the work was done."""

from __future__ import annotations

import errno
import json
import lzma
import os
import re
import resource
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch

from reports.store.files import StoreError
from study.commands.interruption import Kept
from study.commands.loading import loading
from study.console import console, open_streams
from study.exit_codes import ending
from trainables import checkpoint
from trainables.errors import InputError

MIXCO = Path(sys.executable).with_name("mixco")
PLAIN = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def raised(code: Any) -> BaseException:
    with pytest.raises(BaseException) as caught:
        code()
    return caught.value


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("width: 0"), 2, "width: 0"),
        (StoreError("r: cannot write results"), 1, "r: cannot write results"),
        (OSError(errno.ENOSPC, "No space left on device", "x.pt"), 1, "x.pt: No space left"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a\nb"), 2, "a\\nb: No such file"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "y" * 999), 2, "File name too long"),
        (PermissionError(errno.EACCES, "Permission denied", b"\xff"), 2, "\\xff: Permission"),
        (OSError("cannot identify image file"), 2, "cannot identify image file"),
        (MemoryError(), 1, "out of memory"),
        (RecursionError("maximum recursion depth exceeded"), 2, "nested too deeply"),
        (EOFError(), 2, "a file ends too early"),
        (raised(lambda: b"\xff".decode()), 2, "not utf-8 text: invalid start byte at byte 0"),
        (raised(lambda: "a\u2026".encode("ascii")), 2, "PYTHONUTF8=1"),
        (raised(lambda: json.loads("{")), 2, "line 1"),
        (zipfile.BadZipFile("File is not a zip file"), 2, "not a zip file"),
        (tarfile.ReadError("truncated header"), 2, "truncated header"),
        (lzma.LZMAError("Corrupt input data"), 2, "Corrupt input data"),
        (pa.ArrowInvalid("magic bytes not found\nin footer"), 2, "bytes not found in footer"),
        (subprocess.CalledProcessError(1, "c++"), 1, "c++"),
    ],
)  # fmt: skip
def test_each_error_has_its_exit_code_and_one_line(
    error: BaseException, code: int, said: str
) -> None:
    end = ending(error)
    assert end.code == code
    assert said in end.line
    assert end.line.isprintable() and len(end.line) <= 1500


def test_a_bug_is_said_to_be_one_and_its_traceback_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    end = ending(raised(lambda: len(7)))  # type: ignore[arg-type]
    assert end.code == 1
    assert end.line.startswith("a bug in mixco-study: TypeError: object of type 'int' has no len()")
    (kept,) = tmp_path.iterdir()
    assert str(kept) in end.line
    assert "Traceback (most recent call last)" in kept.read_text()


@pytest.mark.parametrize("asked", ["--debug", "MIXCO_DEBUG"])
def test_a_traceback_is_printed_where_it_is_asked_for(asked: str) -> None:
    arguments = ["space", "show", "moco", "nope", *([asked] if asked == "--debug" else [])]
    environment = {**os.environ, **({} if asked == "--debug" else {asked: "1"})}
    done = run(*arguments, env=environment)
    assert done.returncode == 2
    assert b"Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(b"mixco: ")


def test_a_wrong_command_line_is_one_line() -> None:
    done = run("trial", "--widht", "8")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"mixco: No such option: --widht")
    assert done.stderr.count(b"\n") == 1


def test_a_wrong_command_line_prints_no_secret() -> None:
    done = run("study", "status", "results/a", "s3://KEY:HUSH@bucket/prefix")
    assert done.returncode == 2
    assert b"s3://" in done.stderr and b"HUSH" not in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["locale", "ascii", "latin-1"])
def test_streams_that_are_not_utf8_get_plain_signs(encoding: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    environment |= PLAIN if encoding == "locale" else {"PYTHONIOENCODING": encoding}
    done = run("trial", "--help", env={**environment, "COLUMNS": "60"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"--recipe" in done.stdout
    assert done.stdout.isascii()


def test_signs_that_an_encoding_lacks_are_spelt_with_those_it_has() -> None:
    open_streams()
    said = "\u22121.5 \u00b1 \u2026 \u2500\u2502 caf\u00e9 \u4e2d \udcff"
    assert said.encode("ascii", "mixco") == b"-1.5 +/- ... -| cafe \\u4e2d \\xff"
    assert "caf\u00e9 \u2212".encode("latin-1", "mixco") == "caf\u00e9 -".encode("latin-1")
    assert "\u4e2d \udcff".encode("utf-8", "mixco") == "\u4e2d \\xff".encode()


WORK = """
import sys
from study.commands import main
from study.console import news_of, say
def work(arguments):
    {declare}
    for line in range(20_000):
        say("line of output")
    open("done", "w").close()
    return 0
main._command = work
main.main()
"""


@pytest.mark.parametrize(
    ("declare", "output", "code", "said", "done"),
    [
        ("pass", "full", 1, "mixco: standard output: No space left on device\n", False),
        ("pass", "closed", 0, "", False),  # the reader has read what it wanted
        ("news_of('results/x')", "full", 0, "is lost; see results/x\n", True),
        (
            "news_of('results/x', data=True)",
            "full",
            1,
            "is lost; see results/x\n",
            True,
        ),
        ("news_of('results/x', data=True)", "closed", 0, "", True),
    ],
)
def test_lost_output_ends_a_command_that_only_prints_and_no_other(
    declare: str, output: str, code: int, said: str, done: bool, tmp_path: Path
) -> None:
    if output == "full":
        sink = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, sink = os.pipe()
        os.close(reader)
    command = [sys.executable, "-c", WORK.format(declare=declare)]
    ended = subprocess.run(
        command, cwd=tmp_path, stdout=sink, stderr=subprocess.PIPE, text=True, timeout=100
    )
    os.close(sink)
    assert ended.returncode == code
    assert ended.stderr.endswith(said) and ended.stderr.count("\n") == bool(said)
    assert (tmp_path / "done").exists() == done


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_that_cannot_be_written_is_one_line(option: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([MIXCO, option], stdout=full, stderr=subprocess.PIPE, timeout=100)
    assert done.returncode == 1
    assert done.stderr == b"mixco: standard output: No space left on device\n"


def test_names_are_text_in_tables_and_bars(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.table import Table

    name = "[red]ant[/red] [/b] :cat:"
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    out = console()
    out.print(table)
    out.print(name)
    assert capsys.readouterr().out.count(name) == 4
    monkeypatch.setenv("FORCE_COLOR", "1")  # bars are drawn on terminals
    with loading() as progress:
        progress(name, 1, 2)
    assert "[/b]" in capsys.readouterr().err


class Notes:
    """Stands for the view of a trial."""

    def __init__(self) -> None:
        self.said = ""

    def note(self, text: str) -> None:
        self.said += text

    def step(self, step: int, steps: int) -> None: ...
    def epoch(self, row: dict[str, Any]) -> None: ...


@pytest.fixture
def default_signals() -> Iterator[None]:
    """As in a fresh process. A Ray that an earlier test started here left its own handlers."""
    fresh = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in fresh.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_says_what_is_kept_and_how_to_go_on(
    number: str, code: int, tmp_path: Path, default_signals: None
) -> None:
    view, checkpoint = Notes(), tmp_path / "trial.pt"
    trial = SimpleNamespace(epoch=3, steps_done=0, steps_per_epoch=9)
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with pytest.raises(SystemExit) as ended, Kept(checkpoint, view) as kept:
        kept.follow(trial)
        signal.raise_signal(getattr(signal, number))  # in this thread, at once
    assert ended.value.code == code
    assert "up to epoch 3 is kept" in view.said and str(checkpoint) in view.said
    assert "the same command goes on" in view.said
    assert {n: signal.getsignal(n) for n in before} == before
    early = Notes()
    with pytest.raises(SystemExit), Kept(checkpoint, early):
        signal.raise_signal(getattr(signal, number))  # in this thread, at once
    assert "nothing is kept" in early.said
    within = Notes()
    with pytest.raises(SystemExit) as ended, Kept(checkpoint, within) as kept:
        kept.follow(trial)
        kept.step(4, 9)
        assert not kept.pause()
        signal.raise_signal(getattr(signal, number))  # during step 5: the trial cannot be saved
        kept.step(5, 9)
        assert kept.pause()
        trial.steps_done = 5
        kept.saved(None)
    assert ended.value.code == code
    assert "up to step 5 of 9 in epoch 4 is kept" in within.said


def test_a_second_signal_does_not_wait_for_the_step(tmp_path: Path, default_signals: None) -> None:
    view = Notes()
    with pytest.raises(SystemExit), Kept(tmp_path / "trial.pt", view) as kept:
        kept.step(1, 9)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("the signal was ignored")
    assert "nothing is kept" in view.said


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([MIXCO, *arguments], capture_output=True, timeout=100, env=env)


def test_a_full_disk_names_the_checkpoint_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "trial.pt"
    checkpoint.save(path, {"weights": torch.zeros(3)})
    whole = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # as a full disk: write() fails
    try:
        with pytest.raises(OSError, match=re.escape(str(path))) as full:
            checkpoint.save(path, {"weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ending(full.value) == (1, f"{path}: File too large")
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_sigterm_within_an_epoch_keeps_its_steps(tmp_path: Path) -> None:
    options = "--dataset digits --width 4 --epochs 2 --batch-size 32 --queue-size 64 --knn-every 0"
    options += " --threads 1 --json"

    def trial(folder: str) -> subprocess.Popen[str]:
        arguments = ["trial", *options.split(), "--results", str(tmp_path / folder)]
        return subprocess.Popen(
            [MIXCO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    whole, _ = trial("whole").communicate(timeout=300)
    cut = trial("cut")
    assert cut.stdout and json.loads(cut.stdout.readline())["epoch"] == 1
    time.sleep(0.3)  # a few of the 40 steps of the second epoch
    cut.terminate()
    _, said = cut.communicate(timeout=100)
    assert cut.returncode == 143
    assert re.search(r"up to step \d+ of \d+ in epoch 2 is kept", said)
    rest, said = trial("cut").communicate(timeout=300)
    assert re.search(r"continuing after step \d+ of \d+ in epoch 2", said)
    expected, found = (json.loads(text.splitlines()[-1]) for text in (whole, rest))
    for measured in ("accuracy", "loss", "images", "alignment"):
        assert found[measured] == expected[measured]
