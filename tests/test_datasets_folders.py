"""Folders of images: each image is read once, and what is not read is reported in one line."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.image_trees import (
    encoded,
    make_image_folder,
    picture,
    tiny_imagenet_files,
    write_folder,
)
from tests.refusals import refusal
from trainables.data.dataset import Dataset, load_dataset
from trainables.data.sources.fashion_mnist import read_idx
from trainables.errors import InputError

JPEG, GIF = encoded(picture(900), "JPEG"), encoded(picture(901), "GIF")


def load(name: str, folder: Path) -> Dataset:
    return load_dataset(name, data_dir=folder / "data", validation_fraction=0.3)


def refused(name: str, folder: Path, *parts: str) -> str:
    return refusal(lambda: load(name, folder), *parts)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Ten training images and three test images of each of two classes."""
    return make_image_folder(tmp_path / "tree")


def counts(data: Dataset) -> tuple[int, int]:
    return len(data.train) + len(data.validation), len(data.test)


# Every image once


def test_hidden_folders_and_files_are_not_read(tree: Path, tmp_path: Path) -> None:
    for place in ("train/ant/.ipynb_checkpoints", "train/ant/__MACOSX", "train/.git"):
        write_folder(tree / place, {"copy.png": encoded(picture(5))})
    (tree / "train/bee/._00.png").write_bytes(b"Mac OS X")
    data = load(f"imagefolder:{tree}", tmp_path)
    assert counts(data) == (20, 6)
    assert data.passed_over == ""


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("train/ant/up", ".."),
        ("train/ant/self", "."),
        ("train/ant/root", "../../.."),
        ("train/ant/next", "../bee"),
        ("test/ant/again", "../../train/ant"),
        ("train/aaa", "bee"),
    ],
)
def test_a_link_never_doubles_or_steals_images(
    tree: Path, tmp_path: Path, link: str, target: str
) -> None:
    (tree / link).symlink_to(target)
    data = load(f"imagefolder:{tree}", tmp_path)
    assert counts(data) == (20, 6)
    assert data.classes == ("ant", "bee")
    assert data.test.labels.bincount().tolist() == [3, 3]
    assert data.passed_over == "1 link(s) to a folder that is read elsewhere"


def test_links_to_folders_and_images_elsewhere_are_followed_once(tmp_path: Path) -> None:
    tree = make_image_folder(tmp_path / "tree")
    (tree / "train").rename(tmp_path / "store")
    (tree / "train").mkdir()
    for name in ("ant", "bee"):
        (tree / "train" / name).symlink_to(tmp_path / "store" / name)
    (tree / "test/ant/more.png").symlink_to(tmp_path / "store/ant/00.png")
    (tree / "test/bee/again").symlink_to(tmp_path / "store/bee")
    data = load(f"imagefolder:{tree}", tmp_path)
    assert counts(data) == (20, 7)
    assert data.passed_over == "1 link(s) to a folder that is read elsewhere"


def test_unusual_suffixes_are_decided_by_content_and_the_rest_is_said(
    tree: Path, tmp_path: Path
) -> None:
    for place, content in {
        "train/ant/10.jfif": JPEG,
        "train/bee/without": JPEG,
        "train/bee/11.TIF": encoded(picture(3), "TIFF"),
        "train/bee/notes.txt": b"some notes",
        "train/bee/empty": b"",
        "train/bee/program.xyz": b"\x7fELF",
        "test/loose.png": JPEG,
        **{f"train/ant/{number}.gif": GIF for number in range(6)},
    }.items():
        (tree / place).write_bytes(content)
    data = load(f"imagefolder:{tree}", tmp_path)
    assert counts(data) == (23, 6)
    assert data.passed_over == (
        "6 .gif, 1 .txt, 1 .xyz, 1 image(s) in test outside of class folders, "
        "1 without a usual suffix"
    )


def test_what_is_passed_over_is_said_once_and_again_by_the_next_process(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tree / "train/ant/a.gif").write_bytes(GIF)
    for _ in range(2):  # the second reads the remembered survey
        monkeypatch.setattr("trainables.data.dataset._loaded", {})
        caplog.clear()
        for _ in range(2):
            load(f"imagefolder:{tree}", tmp_path)
        assert caplog.messages == [f"data set imagefolder:{tree}: passed over: 1 .gif"]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "Testing"])
def test_every_usual_name_of_a_test_split(tmp_path: Path, name: str) -> None:
    tree = make_image_folder(tmp_path / "tree", test_name=name)
    (tree / "train").rename(tree / "Training")
    assert counts(load(f"imagefolder:{tree}", tmp_path)) == (20, 6)


@pytest.mark.parametrize("place", ["test/0.png", "test/unknown/0.png"])
def test_validation_is_the_test_split_where_test_has_no_classes(tmp_path: Path, place: str) -> None:
    tree = make_image_folder(tmp_path / "tree", test_name="valid")
    write_folder(tree, {place: encoded(picture(3))})
    data = load(f"imagefolder:{tree}", tmp_path)
    assert counts(data) == (20, 6)
    assert "split (test, which has no labels)" in data.passed_over


def test_two_folders_for_one_split(tree: Path, tmp_path: Path) -> None:
    (tree / "training").mkdir()
    refused(f"imagefolder:{tree}", tmp_path, "several folders for one split (train, training)")


# Odd entries


def test_only_regular_files_are_read(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "train/ant/pipe.png")
    os.mkfifo(tree / "train/ant/pipe")
    os.mkfifo(tree / "train/pipe")
    data = load(f"imagefolder:{tree}", tmp_path)
    assert counts(data) == (20, 6)
    assert data.passed_over == "3 special file(s)"


@pytest.mark.parametrize("link", ["train/ant/a.png", "train/cow"])
@pytest.mark.parametrize("target", ["nowhere", "itself"])
def test_a_broken_link_to_an_image_is_named(
    tree: Path, tmp_path: Path, link: str, target: str
) -> None:
    (tree / link).symlink_to((tree / link).name if target == "itself" else target)
    refused(f"imagefolder:{tree}", tmp_path, f"tree/{link}: a broken link to")


def test_a_broken_link_to_anything_else_is_passed_over(tree: Path, tmp_path: Path) -> None:
    (tree / "train/ant/notes.txt").symlink_to("nowhere")
    assert load(f"imagefolder:{tree}", tmp_path).passed_over == "1 broken link(s)"


def test_names_that_are_not_utf8_or_hold_line_breaks(tree: Path, tmp_path: Path) -> None:
    odd = tree / "train" / os.fsdecode(b"caf\xe9\n[bold]")
    odd.mkdir()
    for number in range(4):
        (odd / os.fsdecode(b"\xff%d.png" % number)).write_bytes(encoded(picture(number)))
    data = load(f"imagefolder:{tree}", tmp_path)
    assert counts(data) == (24, 6)
    assert load(f"imagefolder:{tree}", tmp_path).classes[2].encode(errors="surrogateescape")
    (odd / os.fsdecode(b"\xff.png")).write_bytes(b"no image")
    refused(f"imagefolder:{tree}", tmp_path / "other", r"caf\xe9\n[bold]/\xff.png: not a readable")


def test_a_file_too_large_for_an_image_is_not_read(tree: Path, tmp_path: Path) -> None:
    with (tree / "train/ant/large.png").open("wb") as file:
        file.truncate(1 << 40)
    refused(f"imagefolder:{tree}", tmp_path, "large.png: 1.0 TiB (allowed: up to 1 GiB")


def test_a_walk_without_images_ends(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.data.files._MOST_ENTRIES", 30)
    write_folder(tree / "train/ant", {f"{number}/{number}.txt": b"" for number in range(2500)})
    refused(f"imagefolder:{tree}", tmp_path, "no data set here:", "images among the first")


@pytest.mark.parametrize("kind", ["imagefolder", "parquet", "tiny-imagenet"])
def test_a_folder_of_the_system_is_no_data_set(tmp_path: Path, kind: str) -> None:
    refused(f"{kind}:/proc/self", tmp_path, "/proc/self")  # all of /proc takes seconds to walk


@pytest.mark.parametrize("kind", ["imagefolder", "parquet", "tiny-imagenet"])
@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("~nobody-here/x", "no home folder is known for ~nobody-here (write the whole path"),
        ("x" * 5000, "File name too long"),
        ("/x" * 5000, "File name too long"),
        ("a\0b", "null byte"),
        ("a\nb", r"a\nb"),
        ("caf\udce9", "the path is not UTF-8"),
        ("pyproject.toml/x", "Not a directory"),
    ],
)
def test_names_of_places_that_cannot_be(tmp_path: Path, kind: str, path: str, part: str) -> None:
    refused(f"{kind}:{path}", tmp_path, part)


# Orientation


def oriented(image: Image.Image, orientation: int, kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    fine = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    image.save(buffer, kind, exif=exif, **fine)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation_is_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    tree = make_image_folder(tmp_path / "tree", size=(12, 20))
    plain = load(f"imagefolder:{tree}", tmp_path)
    turn = {1: 0, 3: 180, 6: 270, 8: 90}[orientation]  # counter-clockwise, as shown
    upright = picture(77, (12, 20))
    stored = upright.rotate(-turn, expand=True)
    file = tree / "test/bee/02.png"
    file.write_bytes(oriented(stored, orientation, kind))

    data = load_dataset(f"imagefolder:{tree}", data_dir=tmp_path / "other", validation_fraction=0.3)

    assert data.image_size == 12  # all images are 12 x 20 once they are upright
    expected = np.asarray(upright.crop((0, 4, 12, 16))).transpose(2, 0, 1).astype(int)
    image = data.test.images[-1].numpy().astype(int)
    assert np.abs(image - expected).mean() < (3 if kind == "JPEG" else 1e-9)
    assert plain.fingerprint != data.fingerprint


def test_only_a_turned_image_changes_the_fingerprint(tmp_path: Path) -> None:
    tree = make_image_folder(tmp_path / "tree", size=(12, 12))
    image = picture(77)
    prints = []
    for number, content in enumerate(
        (oriented(image, 1, "JPEG"), oriented(image, 6, "JPEG"), oriented(image, 6, "JPEG"))
    ):
        (tree / "test/bee/02.png").write_bytes(content)
        prints.append(load(f"imagefolder:{tree}", tmp_path / str(number)).fingerprint)
    assert prints[0] != prints[1] == prints[2]


def test_damaged_exif_data_is_no_damaged_image(tree: Path, tmp_path: Path) -> None:
    whole = oriented(picture(77), 6, "JPEG")
    at = whole.index(b"Exif\0\0") + 6
    (tree / "test/bee/02.png").write_bytes(whole[:at] + b"\xff" * 12 + whole[at + 12 :])
    assert counts(load(f"imagefolder:{tree}", tmp_path)) == (20, 6)


# The layout of tiny-imagenet-200


def tiny(folder: Path, change: Callable[[dict[str, bytes]], object]) -> str:
    files = tiny_imagenet_files()
    change(files)
    write_folder(folder / "set", files)
    return f"tiny-imagenet:{folder / 'set'}"


ANNOTATIONS = "tiny-imagenet-200/val/val_annotations.txt"


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b"\n\n  \n"),
        lambda text: text.replace(b"\t", b"  "),
    ],
)
def test_annotations_of_other_editors_are_read(
    tmp_path: Path, edit: Callable[[bytes], bytes]
) -> None:
    def change(files: dict[str, bytes]) -> None:
        files[ANNOTATIONS] = edit(files[ANNOTATIONS])
        files["tiny-imagenet-200/wnids.txt"] = edit(files["tiny-imagenet-200/wnids.txt"])

    plain = load(tiny(tmp_path / "plain", lambda files: None), tmp_path)
    assert load(tiny(tmp_path, change), tmp_path).fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (b"val_3.JPEG\n", "line 7: 'val_3.JPEG' (allowed: IMAGE WNID ...)"),
        (b"val_3.JPEG\tn99\n", "line 7: val_3.JPEG has a second class"),
        (b"val_33.JPEG\tn10000000\n", "no image val_33.JPEG of n10000000"),
        (b"\xff\x00\x1b\tn1\n", "no image"),
    ],
)
def test_damaged_lines_of_annotations_are_named(tmp_path: Path, line: bytes, part: str) -> None:
    name = tiny(tmp_path, lambda files: files.update({ANNOTATIONS: files[ANNOTATIONS] + line}))
    refused(name, tmp_path, "val_annotations.txt", part)


def test_images_that_the_lists_lack_are_said(tmp_path: Path) -> None:
    root = "tiny-imagenet-200"

    def change(files: dict[str, bytes]) -> None:
        files[f"{root}/val/images/more.JPEG"] = JPEG
        for number in range(2):
            files[f"{root}/train/n999/images/{number}.JPEG"] = JPEG
        files[f"{root}/train/n10000000/images/a.gif"] = GIF
        files[f"{root}/train/n10000000/b.JPEG"] = JPEG

    data = load(tiny(tmp_path, change), tmp_path)
    assert counts(data) == (18, 6)
    assert data.passed_over == (
        "2 image(s) of classes that wnids.txt lacks, 1 .gif, 1 file(s) in val/images that "
        "val/val_annotations.txt lacks, 1 image(s) outside of train/CLASS/images"
    )


def test_two_copies_of_the_layout_are_refused(tmp_path: Path) -> None:
    name = tiny(tmp_path, lambda files: files.update(
        {key.replace("-200", "-copy", 1): content for key, content in files.items()}
    ))  # fmt: skip
    refused(name, tmp_path, "wnids.txt lies in several folders")


# Places of named data sets


def test_torchvisions_own_root(tmp_path: Path) -> None:
    from trainables.data.sources import find_source

    for name in ("cifar-10-batches-py", "cifar-100-python"):
        (tmp_path / name).mkdir()
    raw = tmp_path / "FashionMNIST/raw"
    raw.mkdir(parents=True)
    for prefix in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (raw / f"{prefix}-{kind}-ubyte").touch()
    assert find_source("cifar10", tmp_path).place == str(tmp_path / "cifar-10-batches-py")
    assert find_source("cifar100", tmp_path).place == str(tmp_path / "cifar-100-python")
    assert find_source("fashion-mnist", tmp_path).place == str(raw)


def test_idx_files_are_checked_against_memory_and_damage(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    header = bytes((0, 0, 8, 3)) + b"\x7f\xff\xff\xff" * 3
    path.write_bytes(gzip.compress(header + bytes(1000)))
    with pytest.raises(
        InputError,
        match=r"images\.gz: unpacks to [\d,.]+ PiB or more; [\d.]+ [GT]iB of memory are available",
    ):
        read_idx(path, dimensions=3)
    whole = bytearray(gzip.compress(bytes((0, 0, 8, 1, 0, 0, 4, 0)) + os.urandom(1024)))
    for place in range(10, len(whole), 97):
        damaged = whole.copy()
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"images\.gz: "):
            read_idx(path, dimensions=1)
