"""Mutated data sets and names: `mixco data info` reads them or says one line what is wrong."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from study.commands.data import app
from tests.image_trees import encoded, make_image_folder, picture, write_columns
from tests.refusals import line_of
from trainables.errors import InputError

bounded = settings(
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
PNG = encoded(picture(1))


def info(name: str, data_dir: Path) -> str | None:
    """The error line of `mixco data info` on ``name``; None where it is read."""
    command = ["info", "--image-size", "8", "--data", str(data_dir), "--", name]
    result = CliRunner().invoke(app, command)
    if result.exit_code == 0:
        assert "fingerprint" in result.stdout
        return None
    if not isinstance(result.exception, InputError):
        raise result.exception or AssertionError(result.output)
    return line_of(result.exception)


@pytest.fixture
def fresh(tmp_path: Path) -> Any:
    """New empty folders below ``tmp_path``, and a data folder for them."""
    numbers = iter(range(10**6))

    def make() -> tuple[Path, Path]:
        place = tmp_path / str(next(numbers))
        place.mkdir()
        return place, tmp_path / "data"

    return make


# Names

PIECES = "parquet: imagefolder: tiny-imagenet: digits cifar10 ? image= label= & config=x ~ ~nobody"
ODD_PIECES = ("/", "..", "/proc/self", "a" * 300, "\0", "\n", "\udcff", "%", "[red]", "é", " ", ":")
words = st.sampled_from((*PIECES.split(), *ODD_PIECES))


@bounded
@given(st.lists(words, max_size=6), st.text(max_size=5))
def test_any_name_is_read_or_one_line(fresh: Any, parts: list[str], tail: str) -> None:
    place, data_dir = fresh()
    name = "".join(parts) + tail
    if "~" not in name and ":/" not in name and ".." not in name:
        name = name.replace(":", f":{place}/", 1)
    info(name, data_dir)


# Parquet

columns = st.dictionaries(
    st.sampled_from(["image", "img", "Label", "label", "id", "target", "a.b", "", "\n", "é"]),
    st.sampled_from(
        [
            pa.array([PNG] * 8),
            pa.array([PNG, b"", None, PNG[:50]] * 2, pa.large_binary()),
            pa.array([{"bytes": PNG, "path": None}] * 8),
            pa.array([{"bytes": None, "path": "x"}] * 8, pa.struct({"bytes": pa.binary()})),
            pa.array([0, 1] * 4),
            pa.array([0, 1] * 4).dictionary_encode(),
            pa.array([-1] * 8),
            pa.array([None] * 8, pa.null()),
            pa.array([2**64 - 1, 0] * 4, pa.uint64()),
            pa.array([0.0, float("inf")] * 4),
            pa.array(["a", "b\n\x1b[31m"] * 4),
            pa.array([[0], [1]] * 4),
            pa.array([True, False] * 4),
        ]
    ),
    max_size=4,
)
names = st.none() | st.lists(st.sampled_from(["a", "b", "", "[/x]"]), max_size=4)
FILE_NAMES = """train test val train-00000-of-00002 data/train-0 x/train/0 train/test y/test/0
test-00000-of-00001-0123456789ab -of-00001 train-99999999-of-99999999"""
files = st.dictionaries(
    st.sampled_from(FILE_NAMES.split()),
    st.tuples(columns, names),
    min_size=1,
    max_size=4,
)


@bounded
@given(files, st.sampled_from(["", "?label=id", "?image=img&label=Label", "?config=x"]))
def test_any_parquet_folder_is_read_or_one_line(fresh: Any, files: Any, options: str) -> None:
    place, data_dir = fresh()
    for file, (fields, class_names) in files.items():
        write_columns(place / f"{file}.parquet", class_names, **fields)
    info(f"parquet:{place}{options}", data_dir)


@bounded
@given(st.data())
def test_any_damaged_parquet_file_is_read_or_one_line(fresh: Any, data: st.DataObject) -> None:
    place, data_dir = fresh()
    good = place / "test.parquet"
    write_columns(good, ["a", "b"], image=pa.array([PNG] * 8), label=pa.array([0, 1] * 4))
    whole = bytearray(good.read_bytes())
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.sampled_from([0, footer]))
        at = data.draw(st.integers(start, len(whole) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "repeat"])):
            case "flip":
                whole[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del whole[at : at + data.draw(st.integers(1, 50))]
            case _:
                whole[at:at] = whole[at : at + 20]
        if len(whole) < 2:
            break
        footer = min(footer, len(whole) - 1)
    (place / "train.parquet").write_bytes(whole)
    info(f"parquet:{place}", data_dir)


# Folders

mutations = st.lists(
    st.tuples(
        st.sampled_from(["train", "test", "train/ant", "test/bee", "train/ant/deep/er", "."]),
        st.sampled_from(["x.png", "x", "ant", "val", "..png", "\n.jpg", "\udcff.png", "a" * 200]),
        st.sampled_from(["bytes", "png", "empty", "folder", "pipe", "up", "self", "sibling"]),
    ),
    max_size=6,
)


@bounded
@given(mutations, st.sampled_from(["imagefolder", "tiny-imagenet", "parquet"]))
def test_any_folder_is_read_or_one_line(fresh: Any, mutations: Any, kind: str) -> None:
    place, data_dir = fresh()
    tree = make_image_folder(place / "tree", train=3, test=1, size=(8, 8))
    for folder, name, what in mutations:
        path = tree / folder / name
        if any(above.exists() and not above.is_dir() for above in path.parents):
            continue  # a file lies where this one needs a folder
        if path.exists() or path.is_symlink():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        match what:
            case "bytes" | "png" | "empty":
                path.write_bytes({"bytes": b"\xff\xd8\xff\xe0", "png": PNG, "empty": b""}[what])
            case "folder":
                path.mkdir()
            case "pipe":
                os.mkfifo(path)
            case _:
                path.symlink_to({"up": "..", "self": name, "sibling": "../bee"}[what])
    info(f"{kind}:{tree}", data_dir)


def test_the_fuzzed_layouts_are_read_when_nothing_is_wrong(fresh: Any) -> None:
    place, data_dir = fresh()
    for split in ("train", "test"):
        write_columns(
            place / f"{split}.parquet", image=pa.array([PNG] * 24), label=pa.array([0, 1] * 12)
        )
    assert info(f"parquet:{place}", data_dir) is None
    assert pq.read_table(place / "train.parquet").num_rows == 24
    tree = make_image_folder(place / "tree", size=(8, 8))
    assert info(f"imagefolder:{tree}", data_dir) is None
