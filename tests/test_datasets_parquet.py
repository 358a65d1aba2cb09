"""Parquet: labels by class name, columns by name, every layout of the Hub; errors, no guesses."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from study.plan import cells
from study.spec import load_spec
from tests.image_trees import encoded, picture, write_columns
from tests.refusals import refusal
from trainables.data.dataset import Dataset, load_dataset
from trainables.data.sources import parquet

NAMES = ["cat", "dog", "eel"]

LONGEST = 999
"""Characters of a line about Parquet files, which may list all columns."""


def load(place: Path, options: str = "", **more: Any) -> Dataset:
    return load_dataset(
        f"parquet:{place}{options}", data_dir=place.parent / "data", validation_fraction=0.3, **more
    )


def refused(place: Path, *parts: str, options: str = "") -> str:
    return refusal(lambda: load(place, options), *parts, longest=LONGEST)


def images(seeds: range, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array([encoded(picture(seed)) for seed in seeds], kind or pa.binary())


def write(path: Path, labels: list[Any], names: list[str] | None = None, start: int = 0) -> None:
    """Images start, start + 1, ... with ``labels``."""
    write_columns(
        path, names, image=images(range(start, start + len(labels))), label=pa.array(labels)
    )


def class_of(data: Dataset) -> dict[int, str]:
    """The class name of each picture, by the number from which `picture` makes the picture."""
    numbers = {encoded_pixels(seed): seed for seed in range(40)} | {
        encoded_pixels(seed): seed for seed in range(100, 140)
    }
    return {
        numbers[image.permute(1, 2, 0).numpy().tobytes()]: data.classes[label]
        for split in (data.train, data.validation, data.test)
        for image, label in zip(split.images, split.labels, strict=True)
    }


def encoded_pixels(seed: int) -> bytes:
    return picture(seed).tobytes()


# Labels


def test_labels_are_compared_by_name_between_splits_and_shards(tmp_path: Path) -> None:
    place = tmp_path / "set"
    write(place / "train-00000-of-00002.parquet", [0, 1, 2] * 4, NAMES)
    write(place / "train-00001-of-00002.parquet", [0, 1, 2] * 4, NAMES[::-1], start=12)
    write(place / "test.parquet", [0, 1, 2], ["dog", "eel", "cat"], start=100)

    data = load(place)

    assert data.classes == ("cat", "dog", "eel")
    expected = {seed: NAMES[seed % 3] for seed in range(12)}
    expected |= {seed: NAMES[2 - seed % 3] for seed in range(12, 24)}
    assert class_of(data) == expected | {100: "dog", 101: "eel", 102: "cat"}


@pytest.mark.parametrize(
    ("train", "second", "test", "parts"),
    [
        (NAMES, NAMES, ["cat", "dog", "fox"], ["test.parquet", "'fox'", "train-00000"]),
        (NAMES, ["cat", "dog", "fox"], NAMES, ["train-00001", "train-00000", "eel, fox"]),
        (NAMES, None, NAMES, ["train-00001", "label 0", "train-00000"]),
        (NAMES, NAMES, None, ["test.parquet", "label 0", "train-00000"]),
        (None, None, NAMES, ["test.parquet", "'cat'", "train-00000"]),
        (["cat", "cat", "eel"], ["eel", "cat", "cat"], NAMES, ["train-00001", "'cat' twice"]),
    ],
)
def test_names_that_cannot_be_mapped_name_both_files(
    tmp_path: Path, train: Any, second: Any, test: Any, parts: list[str]
) -> None:
    place = tmp_path / "set"
    write(place / "train-00000-of-00002.parquet", [0, 1, 2] * 4, train)
    write(place / "train-00001-of-00002.parquet", [0, 1, 2] * 4, second, start=12)
    write(place / "test.parquet", [0, 1, 2], test, start=100)
    refused(place, *parts)


def test_a_name_that_two_classes_share_is_no_trouble_where_all_files_agree(tmp_path: Path) -> None:
    names = ["crane", "crane", "eel"]
    write(tmp_path / "set/train.parquet", [0, 1, 2] * 4, names)
    write(tmp_path / "set/test.parquet", [0, 1, 2], names, start=100)
    assert load(tmp_path / "set").test.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (pa.array([3, 7] * 6), ("3", "7")),
        (pa.array([10, 9] * 6, pa.uint8()), ("9", "10")),
        (pa.array(["dog", "cat"] * 6), ("cat", "dog")),
        (pa.array(["dog", "cat"] * 6, pa.large_string()), ("cat", "dog")),
        (pa.array(["dog", "cat"] * 6, pa.string_view()), ("cat", "dog")),
        (pa.array(["dog", "cat"] * 6).dictionary_encode(), ("cat", "dog")),
        (pa.array([3, 7] * 6).dictionary_encode(), ("3", "7")),
        (pa.array([1.0, 0.0] * 6), ("0", "1")),
        (pa.array([True, False] * 6), ("false", "true")),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_labels_of_every_type_become_classes(
    tmp_path: Path, labels: pa.Array, classes: tuple[str, ...]
) -> None:
    write_columns(tmp_path / "set/train.parquet", image=images(range(12)), label=labels)
    write_columns(tmp_path / "set/test.parquet", image=images(range(100, 112)), label=labels)
    data = load(tmp_path / "set")
    assert data.classes == classes
    assert sorted(data.test.labels.tolist()) == [0] * 6 + [1] * 6


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        ([0.5, 1.0] * 6, "the label 0.5 (allowed: whole numbers or text)"),
        ([0.0, float("nan")] * 6, "rows without a label"),
        ([0, None] * 6, "rows without a label"),
        (["a", ""] * 6, "rows without a label"),
        (list(range(12)), "12 classes for 12 training images"),
        ([f"id{number}" for number in range(12)], "12 classes for 12 training images"),
        ([0, 10**15 + 1] * 5 + [5, 6], "4 classes"),
        ([-2, 1] * 6, "labels from -2 to 1 (allowed: 0 and up)"),
    ],
)
def test_columns_that_cannot_be_labels_are_one_line(
    tmp_path: Path, labels: list[Any], part: str
) -> None:
    write(tmp_path / "set/train.parquet", labels)
    write(tmp_path / "set/test.parquet", [0, 1], start=100)
    if part == "4 classes":  # numbers are names, not places: no class for each number between
        write(tmp_path / "set/test.parquet", [0, 10**15 + 1], start=100)
        part = "class '5' has 1 training images"
    refused(tmp_path / "set", "train.parquet" if "class '" not in part else "", part)


def test_numbers_in_one_shard_and_text_in_another(tmp_path: Path) -> None:
    write(tmp_path / "set/train-0.parquet", [0, 1] * 6)
    write(tmp_path / "set/train-1.parquet", ["0", "1"] * 6, start=12)
    write(tmp_path / "set/test.parquet", [0, 1], start=100)
    refused(tmp_path / "set", "train-1.parquet", "holds text", "train-0.parquet", "numbers")


# Columns


def test_columns_are_chosen_by_name_before_type(tmp_path: Path) -> None:
    for split, start in (("train", 0), ("test", 100)):
        rows = range(start, start + 12)
        write_columns(
            tmp_path / f"set/{split}.parquet",
            mask=images(range(200, 212)),
            phash=pa.array([b"x"] * 12),
            fold=pa.array([0, 1, 2] * 4),
            Image=images(rows),
            Target=pa.array(["dog", "cat"] * 6),
            id=pa.array(list(rows)),
        )
    data = load(tmp_path / "set")
    assert data.classes == ("cat", "dog")
    assert class_of(data)[100] == "dog"


@pytest.mark.parametrize("kind", ["binary", "large_binary", "binary_view", "dictionary", "struct"])
def test_images_of_every_type_are_read(tmp_path: Path, kind: str) -> None:
    for split, start in (("train", 0), ("test", 100)):
        column = images(range(start, start + 12))
        match kind:
            case "dictionary":
                column = column.dictionary_encode()
            case "struct":
                paths = pa.array([None] * 12, pa.string())
                column = pa.StructArray.from_arrays([paths, column], ["path", "bytes"])
            case other:
                column = images(range(start, start + 12), getattr(pa, other)())
        write_columns(tmp_path / f"set/{split}.parquet", label=pa.array([0, 1] * 6), pixels=column)
    assert class_of(load(tmp_path / "set"))[101] == "1"


def two_labels(place: Path) -> None:
    for split, start in (("train", 0), ("test", 100)):
        write_columns(
            place / f"{split}.parquet",
            picture_a=images(range(start, start + 12)),
            picture_b=images(range(200, 212)),
            fine_label=pa.array([0, 1, 2, 3] * 3),
            coarse_label=pa.array([0, 1] * 6),
        )


def test_columns_can_be_named(tmp_path: Path) -> None:
    two_labels(tmp_path / "set")
    line = refused(tmp_path / "set", "2 may be it by their type", "picture_b binary")
    assert "parquet:PATH?image=COLUMN&label=COLUMN" in line
    assert len(load(tmp_path / "set", "?image=picture_a").classes) == 4
    data = load(tmp_path / "set", "?label=coarse_label&image=picture%5Fa")
    assert data.classes == ("0", "1")
    assert class_of(data)[101] == "1"


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("?image=picture", "no column 'picture'"),
        ("?image=fine_label", "column 'fine_label' cannot be the image, it is int64"),
        ("?image=picture_a&label=picture_b", "column 'picture_b' cannot be the label"),
        ("?imag=picture_a", "no 'imag' after the ? (allowed: image=VALUE or label=VALUE or config"),
        ("?image=", "no value of 'image'"),
        ("?image=picture_a&image=picture_b", "twice"),
        ("?image=picture_a&label", "'image=picture_a&label' after the ?"),
    ],
)
def test_wrong_options_are_one_line(tmp_path: Path, options: str, part: str) -> None:
    two_labels(tmp_path / "set")
    refused(tmp_path / "set", part, options=options)


def test_names_with_options_make_cells_of_their_own(tmp_path: Path) -> None:
    names = [f"parquet:{tmp_path}{options}" for options in ("", "?label=a", "?label=b")]
    study = tmp_path / "study.yaml"
    study.write_text(
        f"name: some\ndatasets: {names}\nmethods: [simclr]\nwidths: [4]\narms: [none]\n"
        f'base: {{eval_datasets: ["{names[1]}"]}}\n'.replace("'", '"')
    )
    found = cells(load_spec(str(study)))
    assert [cell.config.dataset for cell in found] == names
    assert found[0].config.eval_datasets == (names[1],)
    assert len({cell.name for cell in found}) == 3
    assert all("?" not in cell.name and "/" not in cell.name for cell in found)


def test_a_question_mark_in_a_folder_name_is_no_option(tmp_path: Path) -> None:
    write(tmp_path / "what?/train.parquet", [0, 1] * 6)
    write(tmp_path / "what?/test.parquet", [0, 1], start=100)
    assert len(load(tmp_path / "what?").test) == 2


@pytest.mark.parametrize(
    ("columns", "part"),
    [
        ({"img": pa.array(["a.png"] * 12), "label": pa.array([0] * 12)}, "'img' cannot be the ima"),
        ({"img": pa.array([b""] * 12), "fold": pa.array([0] * 12), "n": pa.array([0] * 12)},
         "no column is called label, and 2 may be it"),
        ({"img": pa.array([b""] * 12), "label": pa.array([[0]] * 12)}, "'label' cannot be the lab"),
        ({"Image": pa.array([b""] * 12), "IMAGE": pa.array([b""] * 12)}, "several columns may be"),
    ],
)  # fmt: skip
def test_columns_are_not_guessed(tmp_path: Path, columns: dict[str, Any], part: str) -> None:
    write_columns(tmp_path / "set/train.parquet", **columns)
    write_columns(tmp_path / "set/test.parquet", **columns)
    refused(tmp_path / "set", part, "name them: parquet:PATH?image=COLUMN&label=COLUMN")


# Layouts


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train.parquet", "valid-00000-of-00001.parquet"),
        ("training.parquet", "dev.parquet"),
        ("train-00000-of-00001-0123456789abcdef.parquet", "test-00000-of-00001-0a1b2c3d.parquet"),
        ("plain_text/train-00000-of-00001.parquet", "plain_text/test-00000-of-00001.parquet"),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("train/0000.parquet", "validation/0000.parquet"),
        ("data/train/a.parquet", "data/val/b.parquet"),
        ("data/train_0.parquet", "data/TEST.parquet"),
    ],
)
def test_layouts_of_the_hub(tmp_path: Path, train: str, test: str) -> None:
    write(tmp_path / "set" / train, [0, 1] * 6)
    write(tmp_path / "set" / test, [0, 1, 1], start=100)
    write(tmp_path / "set" / ".cache" / train, [0, 1] * 6)
    data = load(tmp_path / "set")
    assert class_of(data) == {seed: str(seed % 2) for seed in range(12)} | {
        100: "0", 101: "1", 102: "1"
    }  # fmt: skip
    assert data.passed_over == ""


def test_one_of_several_configurations_is_chosen(tmp_path: Path) -> None:
    for config, names in (("small", ["a", "b"]), ("large", ["c", "d"])):
        write(tmp_path / f"set/{config}/train/0000.parquet", [0, 1] * 6, names)
        write(tmp_path / f"set/{config}/test/0000.parquet", [0, 1], names, start=100)
    line = refused(tmp_path / "set", "several configurations", "(large, small)")
    assert line.endswith(f"choose one: parquet:{tmp_path / 'set'}?config=large")
    assert load(tmp_path / "set", "?config=small").classes == ("a", "b")
    refused(tmp_path / "set", "no configuration 'tiny'", "large, small", options="?config=tiny")


def test_files_that_only_begin_like_a_split_do_not_join_it(tmp_path: Path) -> None:
    write(tmp_path / "set/train.parquet", [0, 1] * 6)
    write(tmp_path / "set/train_extra.parquet", [0, 1] * 6, start=20)
    write(tmp_path / "set/test.parquet", [0, 1], start=100)
    write(tmp_path / "set/testing_notes.parquet", [0, 1], start=110)
    data = load(tmp_path / "set")
    assert len(class_of(data)) == 14
    assert data.passed_over == "2 .parquet of no split (testing_notes.parquet, train_extra.parquet)"


@pytest.mark.parametrize(
    ("files", "part"),
    [
        (["train-00000-of-00003", "train-00002-of-00003"], "shard 00001-of-00003 is missing"),
        (["train-00000-of-00002"], "shard 00001-of-00002 is missing (1 files"),
        (["train", "train-00000-of-00001"], "two forms of one split"),
        (["train", "training"], "two forms of one split"),
        (["train-00000-of-00001-aaaaaaaa", "train-00000-of-00001-bbbbbbbb"], "second file"),
        (["train-00000-of-00001", "train-00000-of-00002"], "two forms of one split"),
        (["train/0000", "train/0002"], "shard 1 of train is missing (found: 0000.parquet, 0002"),
        (["train-1", "train-2", "train-4"], "shard 3 of train is missing"),
        (["train/test"], "say different splits"),
        (["val"], "no train split in"),
        ([], "no train split in"),
    ],
)
def test_splits_that_are_not_whole_are_one_line(
    tmp_path: Path, files: list[str], part: str
) -> None:
    for file in files:
        write(tmp_path / f"set/{file}.parquet", [0, 1] * 6)
    write(tmp_path / "set/test.parquet", [0, 1], start=100)
    refused(tmp_path / "set", part)


def test_years_are_no_numbers_of_shards(tmp_path: Path) -> None:
    for number, file in enumerate(("train/2017", "train/2019", "test")):
        write(tmp_path / f"set/{file}.parquet", [0, 1] * 6, start=12 * number)
    assert len(class_of(load(tmp_path / "set"))) == 36


def test_where_no_split_is_found_the_line_says_what_there_is(tmp_path: Path) -> None:
    write(tmp_path / "set/everything.parquet", [0, 1] * 6)
    (tmp_path / "set/README.md").touch()
    refused(tmp_path / "set", "no train split", "found: README.md, everything.parquet")


def test_a_second_copy_is_passed_over(tmp_path: Path) -> None:
    for folder in ("", "data/", "train/"):
        write(tmp_path / f"set/{folder}train.parquet", [0, 1] * 6)
    write(tmp_path / "set/test.parquet", [0, 1], start=100)
    data = load(tmp_path / "set")
    assert len(data.train) + len(data.validation) == 12
    assert data.passed_over == "2 .parquet of a second copy (data, train)"


@pytest.mark.parametrize(
    "unlabelled",
    [
        pa.array([-1, -1]),
        pa.array([None, None], pa.int64()),
        pa.array([None, None], pa.null()),
        pa.array([float("nan")] * 2),
        None,
    ],
    ids=str,
)
def test_validation_is_the_test_split_where_test_has_no_labels(
    tmp_path: Path, unlabelled: pa.Array | None
) -> None:
    write(tmp_path / "set/train.parquet", [0, 1] * 6, ["a", "b"])
    columns = {} if unlabelled is None else {"label": unlabelled}
    write_columns(
        tmp_path / "set/test.parquet", ["a", "b"], image=images(range(120, 122)), **columns
    )
    refused(tmp_path / "set", "test.parquet: no labels in column 'label'")
    write(tmp_path / "set/valid.parquet", [1, 1, 0], ["a", "b"], start=100)
    data = load(tmp_path / "set")
    assert sorted(class_of(data))[-3:] == [100, 101, 102]
    assert data.passed_over == "1 split (test, which has no labels)"


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    write(tmp_path / "set/train.parquet", [0, 1] * 6)
    os.mkfifo(tmp_path / "set/test.parquet")
    refused(tmp_path / "set", "no test split")
    (tmp_path / "set/test.parquet").unlink()
    (tmp_path / "set/test.parquet").symlink_to("blobs/123")
    refused(tmp_path / "set", "test.parquet: a broken link to blobs/123")


def test_a_file_larger_than_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "set/train.parquet", [0, 1] * 6)
    write(tmp_path / "set/test.parquet", [0, 1], start=100)
    monkeypatch.setattr(parquet, "available_memory", lambda: 1000)
    line = refused(tmp_path / "set", "; 1000 bytes of memory are available")
    assert re.search(r"train\.parquet: unpacks to [1-9][\d.]* (bytes|KiB) or more", line), line
