"""Which files and credentials a submitted job gets; needs no cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from study.commands.study.submit import results_of_job
from study.on_ray import job_folder
from study.on_ray.job_folder import STUDY_FILE
from study.spec import StudySpec, parse_spec
from trainables.errors import InputError

SPEC = """
name: shipped
widths: [4]
datasets: [digits, 'imagefolder:data/birds', 'parquet:/nodes/cars', 'parquet:flowers?image=picture']
base: {eval_datasets: ['imagefolder:data/fish']}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudySpec:
    """A study in a folder that is like a home folder: data sets, keys, caches."""
    monkeypatch.chdir(tmp_path)
    for name in (
        *("data/birds/a/1.png", "data/birds/.cache/x", "data/birds/a/.hidden", "data/fish/b/2.png"),
        *(
            "data/other/3.png",
            "flowers/train.parquet",
            "notes.txt",
            ".ssh/id_rsa",
            ".ray/auth_token",
        ),
        *("tool/run.py", "tool/auth_token", "tool/server.pem", "tool/__pycache__/run.pyc"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "tool" / "link.txt").symlink_to(tmp_path / ".ssh" / "id_rsa")
    return parse_spec(SPEC, "test")


def shipped(spec: StudySpec, *includes: str) -> set[str]:
    with job_folder.job_folder(spec, includes) as folder:
        assert parse_spec((folder / STUDY_FILE).read_text(), "shipped") == spec
        names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert not folder.exists()
    return names - {STUDY_FILE}


def test_a_job_gets_what_the_study_names_and_what_is_included(spec: StudySpec) -> None:
    named = {"data/birds/a/1.png", "data/fish/b/2.png", "flowers/train.parquet"}
    assert shipped(spec) == named
    assert shipped(spec, "tool", "notes.txt") == named | {"tool/run.py", "notes.txt"}


@pytest.mark.parametrize(
    ("include", "says"),
    [
        ("nowhere", "no such file"),
        ("..", "below the current folder"),
        (".", "below the current folder"),
        ("/etc/hostname", "below the current folder"),
        (".ssh/id_rsa", "keys and tokens are never shipped"),
        ("tool/auth_token", "keys and tokens are never shipped"),
        ("tool/server.pem", "keys and tokens are never shipped"),
    ],
)
def test_includes_that_cannot_be_shipped_are_refused(
    spec: StudySpec, include: str, says: str
) -> None:
    with (
        pytest.raises(InputError, match=f"--include {include}: .*{says}"),
        job_folder.job_folder(spec, [include]),
    ):
        pass


def test_the_largest_entries_are_named_before_anything_is_sent(
    spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("data/birds/a/large.png").open("wb") as file:
        file.truncate(99 << 20)
    with Path("data/fish/b/more.png").open("wb") as file:
        file.truncate(2 << 20)
    with (
        pytest.raises(
            InputError,
            match=r"have 101\.0 MiB, and at most 100\.0 MiB.*"
            r"data/birds \(99\.0 MiB\), data/fish \(2\.0 MiB\)",
        ),
        job_folder.job_folder(spec, []),
    ):
        pass


def test_a_job_gets_credentials_only_where_they_are_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    uri = "s3://KEY:SECRET@bucket/x?region=eu"
    assert results_of_job(uri, False) == (["--results", "s3://bucket/x?region=eu"], {})
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--send-credentials" in said
    assert "SECRET" not in said
    assert results_of_job(uri, True) == ([], {"MIXCO_RESULTS": uri})
    for send in (False, True):
        assert results_of_job("/shared/x", send) == (["--results", "/shared/x"], {})
    assert capsys.readouterr().err == ""
