"""Results paths with any characters, paths that are no folders, and secrets of URIs."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.store.address import is_uri, public, without_credentials
from reports.store.tables import open_store
from study.on_ray.trackers.mlflow import plain_path
from tests.in_process import mixco
from tests.trial_rows import trial_row
from trainables.errors import InputError

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfi"
ODD = ["a?b", "a#b", "a%20b", "a b", "ü", "a:b", "s3:", "x;y&z", "[1]", "a'b", "-x", "{a}"]


@pytest.mark.parametrize("name", ODD)
def test_every_file_stands_under_a_results_path_of_any_characters(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(name, create=True)
    store.append(trial_row("a"))
    store.write_bytes("study.yaml", b"name: x")
    assert open_store(name).ids() == {"a"}
    assert {path.name for path in tmp_path.iterdir()} == {name}
    assert {str(path.relative_to(name)) for path in Path(name).rglob("*.*")} == {
        *("trials/a.parquet", "study.yaml")
    }
    folder = Path(store.root, "trackers/mlflow")
    folder.mkdir(parents=True)
    uri = f"sqlite:///{plain_path(folder)}/mlflow.db"
    from sqlalchemy import create_engine, text

    engine = create_engine(uri)
    with engine.begin() as connection:
        connection.execute(text("create table t (a int)"))
    engine.dispose()
    assert sqlite3.connect(folder / "mlflow.db").execute("select * from t").fetchall() == []
    assert {path.name for path in tmp_path.iterdir()} == {name}


def test_what_is_no_results_folder_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for root in (file, file / "below", tmp_path / "none", "x" * 300, "s9://x", tmp_path):
        for command in (["study", "status"], ["study", "dashboard"], ["report"]):
            ended = mixco(*command, str(root))
            assert ended.code == 2, (command, root, ended)
            assert len(ended.err.splitlines()) == 1, ended.err
    with pytest.raises(InputError, match="is a file, not a results folder"):
        open_store(file, create=True)
    with pytest.raises(InputError, match="NUL"):
        open_store(f"{tmp_path}/a\0b")
    assert "no study.yaml: no study was run there" in mixco("study", "status", str(tmp_path)).err


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        open_store(tmp_path)


@given(
    key=st.text("AKIA019", min_size=4),
    secret=st.text("abcXYZ019/+=@:", min_size=12),
    scheme=st.sampled_from(["s3", "gs", "abfs", "S3"]),
    query=st.sampled_from(["", "?region=us-east-1", "?secret_key=", "?x=1&client_secret="]),
)
@settings(max_examples=200)
def test_no_secret_of_a_uri_is_printed(key: str, secret: str, scheme: str, query: str) -> None:
    hidden = secret if query.endswith("=") else ""
    uri = f"{scheme}://{key}:{secret}@bucket/x{query}{hidden}"
    shown = public(uri)
    assert secret not in shown
    assert secret not in public(Path(uri))
    if not hidden:
        assert shown == f"{scheme}://bucket/x{query}"
    bare = f"{scheme}://bucket/x{query.partition('?')[0]}"
    kept = {"?region=us-east-1": "?region=us-east-1", "?x=1&client_secret=": "?x=1"}
    assert without_credentials(uri) == bare + kept.get(query, "")


def test_paths_and_uris_without_secrets_are_printed_as_they_are() -> None:
    for root in ("a@b:c", "/x/y@z", "s3://bucket/a@b?region=eu", "gs://b/p", "results/demo"):
        assert public(root) == root == without_credentials(root)
    assert public("a\nb") == "a\\nb"
    assert is_uri("s3://x")
    assert not is_uri("./s3:/x")
    assert not is_uri(Path("s3://x"))


COMMANDS = [
    ["study", "status", "URI"],
    ["study", "dashboard", "URI"],
    ["study", "plan", "demo", "--untimed", "--results", "URI"],
    ["study", "run", "demo", "--results", "URI"],
    ["report", "URI"],
    ["report", "URI", "--out", "report"],
    ["report", "demo", "--compare", "URI"],
    ["trial", "--dataset", "digits", "--results", "URI"],
    ["trial", "--repeat", "x", "--results", "URI"],
    ["export", "x", "--results", "URI"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "uri", [f"s3://KEY:{SECRET}@bucket/x", f"s9://KEY:{SECRET}@b/x?token=k/ey7"]
)
def test_a_command_that_cannot_use_a_uri_keeps_its_secret(
    arguments: list[str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = mixco(*[uri if word == "URI" else word for word in arguments])
    assert ended.code == 2, ended
    text = ended.out + ended.err
    assert not [part for part in (*SECRET.split("/"), "ey7") if part in text], text
    assert not list(tmp_path.rglob("*KEY*"))
