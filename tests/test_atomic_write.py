"""Files and folders are written whole or not at all, in one place."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from trainables.atomic_write import LEFTOVERS, atomic_file, atomic_folder, atomic_write

ROOT = Path(__file__).parent.parent
PACKAGES = ("trainables", "search_spaces", "reports", "study")


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_an_error_keeps_the_old_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    atomic_write(path, b"old")
    with pytest.raises(RuntimeError), atomic_file(path) as file:
        file.write(b"half")
        raise RuntimeError
    with pytest.raises(RuntimeError), atomic_folder(path.with_name("folder")) as folder:
        (folder / "a").touch()
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert names(path.parent) == ["file"]


def test_two_writers_of_one_file_do_not_share_a_temporary_name(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_file(path) as one, atomic_file(path) as other:
        one.write(b"one")
        other.write(b"other")
        assert len(list(tmp_path.glob(LEFTOVERS))) == 2
    assert path.read_bytes() == b"one"
    assert names(tmp_path) == ["file"]


def test_permissions_are_those_of_a_new_file_and_folder(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        atomic_write(tmp_path / "file", b"")
        with atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o755


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127])
def test_the_longest_name_that_a_file_may_have_is_written(name: str, tmp_path: Path) -> None:
    atomic_write(tmp_path / name, b"content")
    assert (tmp_path / name).read_bytes() == b"content"


def test_a_folder_with_content_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(OSError), atomic_folder(folder) as draft:
        (draft / "new").touch()
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_no_other_module_writes_a_temporary_name_of_its_own() -> None:
    own = re.compile(r"mkstemp|mkdtemp\(dir|NamedTemporary|fsync|os\.re(name|place)|partial\.re")
    users = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if own.search(path.read_text())
    ]
    assert users == ["trainables/atomic_write.py"]
