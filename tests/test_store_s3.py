"""Results in an object store: whole in spite of errors and latency, and the same as local ones."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.fs
import pytest
from typer.testing import CliRunner

from reports.store.files import StoreError
from reports.store.tables import open_store
from study.commands import report as report_command
from study.commands import study as study_command
from tests.in_process import mixco
from tests.local_head import free_ports
from tests.object_store import ObjectStore, Trouble, object_store
from tests.study_tables import assert_same_tables
from tests.test_study_kill import kill_with_ray
from tests.trial_rows import trial_row
from trainables.errors import InputError

SPEC = """
name: far
datasets: [digits]
methods: [moco]
widths: [4]
arms: [none, mixco]
base: {epochs: 2}
trials: 2
searches: 1
seeds: 1
search: {startup_trials: 2}
"""


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectStore]:
    with object_store() as running:
        yield running


@pytest.fixture
def trouble(s3: ObjectStore) -> Iterator[Trouble]:
    proxy = Trouble(s3.port, share=0.1, seconds=0.01)
    yield proxy
    proxy.shutdown()
    proxy.server_close()


def test_a_store_written_through_trouble_is_whole(s3: ObjectStore, trouble: Trouble) -> None:
    far = open_store(s3.uri("rows", trouble.port), create=True)
    trouble.share = 0.25
    for number in range(20):
        trial_id = f"t{number:02}"
        rows = [{"epoch": epoch, "loss": float(number)} for epoch in (1, 2)]
        far.append(trial_row(trial_id), rows)
    assert len(far.read("trials")) == 20
    far.write_bytes("small", b"{}")
    for _ in range(20):
        assert far.open_file(f"{far.root}/small").read() == b"{}"
    far.compact()
    assert min(trouble.met[kind] for kind in ("500", "503", "reset", "late reset")) > 2
    near = open_store(s3.uri("rows"))
    assert list(near.read("trials")["trial_id"]) == [f"t{number:02}" for number in range(20)]
    assert list(near.read("epochs")["loss"].value_counts().unique()) == [2]
    for name in ("trials", "epochs"):
        assert len(near._reader.found(name)) == 1


def test_a_store_out_of_reach_is_not_taken_for_a_damaged_one(
    s3: ObjectStore, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If reading passed over such a file, its trial would count as missing and run again."""
    monkeypatch.setattr("reports.store.files._WRITE_ATTEMPTS", 2)
    monkeypatch.setattr("reports.store.files._READ_ATTEMPTS", 2)
    trouble.share = 0
    far = open_store(s3.uri("lost", trouble.port), create=True)
    far.append(trial_row("a"))
    (file,) = far._reader.found("trials")
    trouble.share = 1
    with pytest.raises(StoreError, match="cannot read results"):
        far.ids()
    monkeypatch.setattr(far._reader, "found", lambda table: [file])
    with pytest.raises(StoreError, match="cannot read results"):
        far.ids()
    with pytest.raises(StoreError, match="cannot write results"):
        far.append(trial_row("b"))
    trouble.share = 0
    assert far.ids() == {"a"}


def test_a_wrong_place_or_key_is_one_line(
    s3: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tmp_path / "far.yaml"
    spec.write_text(SPEC)
    for results, reason in (
        (s3.uri("x", bucket="nobucket"), "NO_SUCH_BUCKET"),
        (s3.uri("x", secret="wrong"), "ACCESS_DENIED"),
    ):
        ended = mixco("study", "run", str(spec), "--results", results)
        assert ended.code == 2, ended.err
        assert len(ended.err.splitlines()) == 1, ended.err
        assert reason in ended.err
        assert s3.secret not in ended.err
    monkeypatch.setattr("reports.store.files._WRITE_ATTEMPTS", 1)
    (port,) = free_ports(1)
    ended = mixco("report", s3.uri("x", port), "--out", str(tmp_path / "page"))
    assert (ended.code, len(ended.err.splitlines())) == (1, 1), ended.err
    assert "Could not connect" in ended.err
    assert s3.secret not in ended.err
    with pytest.raises(InputError, match=r"s3://bucket/none\?.*: no such results folder"):
        open_store(s3.uri("none"))


@pytest.mark.slow
def test_a_study_in_trouble_that_is_killed_and_run_again_gives_the_local_table(
    s3: ObjectStore, trouble: Trouble, tmp_path: Path
) -> None:
    spec = tmp_path / "far.yaml"
    spec.write_text(SPEC)
    uri = s3.uri("killed", trouble.port)

    def drive(results: str, seconds: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.synthetic_driver", str(spec), results, seconds]
        return subprocess.Popen(command, text=True)

    driver = drive(uri, "0.3")
    near = open_store(s3.uri("killed"), create=True)
    while len(near.ids()) < 2:
        assert driver.poll() is None
        time.sleep(0.2)
    kill_with_ray(driver)
    before = near.ids()
    assert drive(uri, "0").wait(200) == 0
    whole = tmp_path / "whole"
    assert drive(str(whole), "0").wait(200) == 0
    far = open_store(s3.uri("killed"))
    assert_same_tables(far, open_store(whole))
    assert min(trouble.met[kind] for kind in ("500", "503", "reset", "late reset")) > 0
    assert not far.filesystem.get_file_info(f"{far.root}/driver.lock").is_file
    left = far.filesystem.get_file_info(pa.fs.FileSelector(far.root, recursive=True))
    assert not [info.path for info in left if ".tune" in info.path]
    # A tracker writes in a thread of its own: what it had still to write went with the driver.
    logged = {info.path.split("/")[-2] for info in left if "tfevents" in info.path}
    assert far.ids() - before <= logged <= far.ids()
    status = CliRunner().invoke(study_command.app, ["status", far.uri])
    assert "complete; 6 of 6 trials" in status.output
    out = str(tmp_path / "report")
    report = CliRunner().invoke(report_command.app, [far.uri, "--out", out, "--no-exports"])
    assert report.exit_code == 0, report.output
    assert (tmp_path / "report" / "index.html").exists()
