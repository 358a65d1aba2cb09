"""`mixco doctor` on machines that lack something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from study import doctor
from study.doctor import data, hardware, software
from tests.in_process import mixco


def test_it_answers_without_torch_and_says_what_to_do(tmp_path: Path) -> None:
    ended = mixco("doctor", "--data", str(tmp_path))
    assert ended.code == 0
    assert "not here: fashion-mnist, cifar10" in " ".join(ended.out.split())
    assert "`mixco data fetch NAME`" in ended.out
    code = (
        "import sys; from pathlib import Path; from study.doctor import examine\n"
        "list(examine(Path('.')))\n"
        "assert Path('/dev/nvidia0').exists() or not {'torch', 'ray'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_compiler_that_does_not_work_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    assert software.compiler(Path()).state == "note"
    monkeypatch.setenv("CXX", "/bin/false")
    assert "exit code 1" in software.compiler(Path()).says
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt-get install g++" in software.compiler(Path()).advice


def test_what_every_trial_needs_ends_with_exit_code_1(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    ended = mixco("doctor", "--data", str(taken / "data"))
    assert ended.code == 1
    assert ended.out.splitlines()[-1] == "to be repaired first: data folder"


def test_a_machine_without_proc_and_dev_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "_PROC", tmp_path)
    monkeypatch.setattr(hardware, "_DEV", tmp_path)
    found = dict(doctor.examine(tmp_path))
    assert found["bf16"].says.startswith("could not be looked at: FileNotFoundError")
    assert found["/dev/shm"].state == "note"
    assert "broken" not in {finding.state for finding in found.values()}


def test_a_long_path_of_temporary_files_is_found_before_ray_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("a" * 80)))
    assert software.ray(tmp_path).state == "broken"
    assert "TMPDIR" in software.ray(tmp_path).advice


def test_data_sets_that_are_here_are_named(tmp_path: Path) -> None:
    assert data.found(tmp_path).says.startswith("digits; not here: ")
