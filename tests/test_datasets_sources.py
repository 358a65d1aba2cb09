"""Every kind of source: what it reads, and the line that names a file it cannot read."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torchvision.transforms import v2

from tests.image_trees import (
    cifar10_files,
    encoded,
    idx_bytes,
    make_image_folder,
    picture,
    tiny_imagenet_files,
    write_folder,
    write_parquet,
    write_tar,
    write_zip,
)
from tests.refusals import line_of
from trainables.data.dataset import Dataset, Split, load_dataset
from trainables.data.decoding import square_pixels
from trainables.data.sources import fashion_mnist
from trainables.data.sources.fashion_mnist import read_idx
from trainables.errors import InputError


def load(name: str, tmp_path: Path, **options) -> Dataset:
    return load_dataset(name, data_dir=tmp_path / "data", **options)


def refused(name: str, tmp_path: Path, pattern: str, **options) -> None:
    with pytest.raises(InputError, match=pattern) as caught:
        load(name, tmp_path, **options)
    line_of(caught.value)


def rows(*splits: Split) -> list[tuple[int, bytes]]:
    return sorted(
        (int(label), image.numpy().tobytes())
        for split in splits
        for image, label in zip(split.images, split.labels, strict=True)
    )


def planar(image: Image.Image) -> bytes:
    pixels = np.asarray(image)
    return (pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)).tobytes()


# Folders of images


def test_image_folder_is_read_whole(tmp_path: Path) -> None:
    tree = make_image_folder(tmp_path / "tree", classes=("ant", "bee", "cat"), test_name="val")
    data = load(f"imagefolder:{tree}", tmp_path)

    assert data.classes == ("ant", "bee", "cat")
    assert (data.image_size, data.channels, data.colour) == (12, 3, True)
    assert data.horizontal_flip
    for split, place in (((data.train, data.validation), "train"), ((data.test,), "val")):
        expected = [
            (label, planar(Image.open(file)))
            for label, class_name in enumerate(data.classes)
            for file in (tree / place / class_name).iterdir()
        ]
        assert rows(*split) == sorted(expected)


def test_grey_images_keep_one_channel_and_mixed_ones_get_three(tmp_path: Path) -> None:
    grey = make_image_folder(tmp_path / "grey", mode="L")
    mixed = shutil.copytree(grey, tmp_path / "mixed")
    picture(7).save(mixed / "test/ant/00.png")
    assert load(f"imagefolder:{grey}", tmp_path).train.images.shape[1] == 1
    assert load(f"imagefolder:{mixed}", tmp_path).train.images.shape[1] == 3


def test_images_of_several_sizes_need_an_image_size(tmp_path: Path) -> None:
    tree = make_image_folder(tmp_path / "tree", size=(12, 16))
    assert load(f"imagefolder:{tree}", tmp_path).image_size == 12
    picture(7, (40, 30)).save(tree / "train/bee/07.png")
    other = shutil.copytree(tree, tmp_path / "other")
    refused(f"imagefolder:{other}", tmp_path, r"differ in size; image_size is needed")
    data = load(f"imagefolder:{other}", tmp_path, image_size=10)
    assert data.train.images.shape[1:] == (3, 10, 10)


@pytest.mark.parametrize("size", [(48, 32), (32, 64), (32, 32), (8, 24), (80, 64), (16, 18)])
def test_resized_and_cropped_as_torchvision_does(size: tuple[int, int]) -> None:
    image = picture(3, size)
    expected = v2.Compose([v2.Resize(16, antialias=True), v2.CenterCrop(16)])(image)
    ours = square_pixels(image, (3, 16, 16)).transpose(1, 2, 0).astype(int)
    assert np.abs(ours - np.asarray(expected)).max() <= 1


def test_sixteen_bits_become_eight() -> None:
    values = np.array([[0, 255, 256], [0x8000, 0xFEFF, 0xFFFF], [1, 2, 3]], np.uint16)
    pixels = square_pixels(Image.fromarray(values), (1, 3, 3))
    assert pixels[0].tolist() == [[0, 0, 1], [128, 254, 255], [0, 0, 0]]


@pytest.mark.parametrize("content", [b"", b"not an image", encoded(picture(1))[:-60]])
def test_corrupt_image_is_named(tmp_path: Path, content: bytes) -> None:
    tree = make_image_folder(tmp_path / "tree")
    (tree / "train/bee/04.png").write_bytes(content)
    refused(f"imagefolder:{tree}", tmp_path, r"train/bee/04\.png: not a readable image")
    assert not list((tmp_path / "data/cache").glob("*/*.images"))


def test_truncated_jpeg_is_named(tmp_path: Path) -> None:
    tree = make_image_folder(tmp_path / "tree")
    whole = encoded(picture(1), "JPEG")
    (tree / "test/ant/extra.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    refused(f"imagefolder:{tree}", tmp_path, r"test/ant/extra\.jpg: not a readable image")


def remove(*parts: str) -> Callable[[Path], None]:
    return lambda tree: [shutil.rmtree(tree / part) for part in parts] and None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove(""), r"no folder .*tree$"),
        (remove("train"), r"no folder .*tree/train"),
        (
            remove("test"),
            r"no test split in .*tree \(a folder of: test, testing, val, valid, validation, dev\)",
        ),
        (remove("test/ant", "test/bee"), r"no images in .*tree/test/CLASS"),
        (remove("train/ant", "train/bee"), r"no images in .*tree/train/CLASS"),
        (remove("train/ant"), r"class 'ant' of .*test is not in .*train"),
        (remove("train/ant", "test/ant"), r"one class only \(bee\)"),
    ],
)
def test_broken_folder_is_one_clear_line(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    tree = make_image_folder(tmp_path / "tree")
    damage(tree)
    refused(f"imagefolder:{tree}", tmp_path, message)


def test_class_folder_without_images_is_named(tmp_path: Path) -> None:
    tree = make_image_folder(tmp_path / "tree")
    (tree / "train/cow").mkdir()
    refused(f"imagefolder:{tree}", tmp_path, r"class 'cow' has 0 training images")


@pytest.mark.parametrize("name", ["cifar", "imagefolder:", "imagefolder", "parquet", "x:/tmp", ""])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    refused(name, tmp_path, r"data set '")


# tiny-imagenet-200


def test_tiny_imagenet_is_the_same_in_every_packing(tmp_path: Path) -> None:
    files = tiny_imagenet_files()
    data = tmp_path / "data"
    write_folder(tmp_path / "elsewhere", files)
    write_folder(data, files)
    write_zip(tmp_path / "tiny.zip", files)
    write_tar(tmp_path / "tiny.tar", files)
    write_tar(tmp_path / "tiny.tar.gz", files)

    named = load("tiny-imagenet", tmp_path)

    assert named.classes == ("thing 00", "thing 17", "thing 34")
    assert [len(split) for split in (named.train, named.validation, named.test)] == [15, 3, 6]
    root = "tiny-imagenet-200"
    lines = files[f"{root}/val/val_annotations.txt"].decode().splitlines()
    label_of = {"n10000000": 0, "n10000017": 1, "n10000034": 2}
    expected = []
    for line in lines:
        image, wnid = line.split("\t")[:2]
        write_folder(tmp_path / "one", {"image": files[f"{root}/val/images/{image}"]})
        expected.append((label_of[wnid], planar(Image.open(tmp_path / "one/image"))))
    assert rows(named.test) == sorted(expected)
    for place in ("elsewhere/tiny-imagenet-200", "tiny.zip", "tiny.tar", "tiny.tar.gz"):
        other = load(f"tiny-imagenet:{tmp_path / place}", tmp_path)
        assert other.fingerprint == named.fingerprint
        assert other.cache_dir == named.cache_dir
        assert torch.equal(other.validation.images, named.validation.images)


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tgz"])
@pytest.mark.parametrize("folder", [".", "tiny-imagenet"])
def test_tiny_imagenet_archive_is_found_by_its_name(
    tmp_path: Path, suffix: str, folder: str
) -> None:
    place = tmp_path / "data" / folder / f"tiny-imagenet-200{suffix}"
    place.parent.mkdir(parents=True, exist_ok=True)
    (write_zip if suffix == ".zip" else write_tar)(place, tiny_imagenet_files())
    assert len(load("tiny-imagenet", tmp_path).classes) == 3


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("wnids.txt", r"tiny\.zip: no wnids\.txt"),
        ("words.txt", r"tiny\.zip: no tiny-imagenet-200/words\.txt"),
        ("val/val_annotations.txt", r"no tiny-imagenet-200/val/val_annotations\.txt"),
        ("val/images/val_3.JPEG", r"val_annotations\.txt: no image val_3\.JPEG of n10000000"),
    ],
)
def test_tiny_imagenet_with_a_file_missing(tmp_path: Path, missing: str, message: str) -> None:
    files = tiny_imagenet_files()
    del files[f"tiny-imagenet-200/{missing}"]
    write_zip(tmp_path / "tiny.zip", files)
    refused(f"tiny-imagenet:{tmp_path / 'tiny.zip'}", tmp_path, message)


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_damaged_archive_is_named(tmp_path: Path, write: Callable) -> None:
    path = tmp_path / "tiny.tar.gz"
    write(path, tiny_imagenet_files())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(f"tiny-imagenet:{path}", tmp_path, r"tiny\.tar\.gz: damaged, or not a zip or tar")


def test_missing_tiny_imagenet_says_where_it_looked(tmp_path: Path) -> None:
    refused("tiny-imagenet", tmp_path, r"no tiny-imagenet-200 .*data.*mixco data fetch")


# Parquet


def pngs(start: int, count: int) -> list[bytes | None]:
    return [encoded(picture(seed)) for seed in range(start, start + count)]


def test_parquet_shards_names_and_validation_as_test(tmp_path: Path) -> None:
    train, test = pngs(0, 24), pngs(100, 4)
    labels = [index % 2 for index in range(24)]
    for shard in range(3):
        part = slice(8 * shard, 8 * shard + 8)
        path = tmp_path / f"set/data/train-{shard:05}-of-00003.parquet"
        write_parquet(path, train[part], labels[part], ["no", "yes"])
    write_parquet(tmp_path / "set/data/validation.parquet", test, [0, 1, 1, 1], ["no", "yes"])

    data = load(f"parquet:{tmp_path / 'set'}", tmp_path)

    assert data.classes == ("no", "yes")
    expected = [(seed % 2, planar(picture(seed))) for seed in range(24)]
    assert rows(data.train, data.validation) == sorted(expected)
    assert rows(data.test) == sorted(
        (int(seed > 0), planar(picture(100 + seed))) for seed in range(4)
    )


def test_parquet_without_names_counts_its_classes(tmp_path: Path) -> None:
    write_parquet(tmp_path / "set/train.parquet", pngs(0, 24), [*range(3)] * 8, None)
    write_parquet(tmp_path / "set/test.parquet", pngs(50, 2), [0, 1], None)
    assert load(f"parquet:{tmp_path / 'set'}", tmp_path).classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("train", "labels", "names", "message"),
    [
        ([*pngs(0, 19), None], [0, 1] * 10, None, r"train\.parquet, row 19: no image bytes"),
        ([*pngs(0, 19), b"\x89PNG"], [0, 1] * 10, None, r"train\.parquet, row 19: not a readable"),
        (pngs(0, 20), [0, -1] * 10, None, r"train\.parquet: column 'label' .* -1 to 0"),
        (pngs(0, 20), [0, 2] * 10, ["a", "b"], r"labels from 0 to 2 \(allowed: 0 to 1\)"),
        (pngs(0, 20), [0] * 20, None, r"test\.parquet: label 1 is not in the training files"),
        (pngs(0, 20), [0, 1] * 9 + [0, 2], None, r"class '2' has 1 training images"),
    ],
)
def test_broken_parquet_names_the_place(tmp_path: Path, train, labels, names, message) -> None:
    write_parquet(tmp_path / "set/train.parquet", train, labels, names)
    write_parquet(tmp_path / "set/test.parquet", pngs(50, 2), [0, 1], names)
    refused(f"parquet:{tmp_path / 'set'}", tmp_path, message)


def test_parquet_split_missing_or_no_parquet(tmp_path: Path) -> None:
    path = tmp_path / "set/train.parquet"
    write_parquet(path, pngs(0, 20), [0, 1] * 10, None)
    refused(f"parquet:{tmp_path / 'set'}", tmp_path, r"no test split in .*set")
    (tmp_path / "set/test.parquet").write_bytes(b"PAR1 and no more")
    refused(f"parquet:{tmp_path / 'set'}", tmp_path, r"test\.parquet: not a readable Parquet")


# IDX and CIFAR


@settings(max_examples=50)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, min_side=0)), st.data())
def test_idx_is_read_whole_or_refused(tmp_path_factory, values: np.ndarray, data) -> None:
    path = tmp_path_factory.mktemp("idx") / "images"
    whole = idx_bytes(values)
    path.write_bytes(whole)
    assert np.array_equal(read_idx(path, dimensions=3), values)
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(InputError, match="images: "):
        read_idx(path, dimensions=3)


def write_fashion_mnist(folder: Path, suffix: str) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    pack = gzip.compress if suffix else bytes
    generator = np.random.default_rng(0)
    arrays = {}
    for prefix, count in (("train", 60), ("t10k", 10)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            (folder / f"{prefix}-{kind}-ubyte{suffix}").write_bytes(pack(idx_bytes(values)))
        arrays[prefix] = images
    return arrays


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("place", ["fashion-mnist", "fashion-mnist/FashionMNIST/raw", None])
def test_fashion_mnist(
    tmp_path: Path, suffix: str, place: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    debian = tmp_path / "debian"
    monkeypatch.setattr(fashion_mnist, "_DEBIAN", debian)
    arrays = write_fashion_mnist(tmp_path / "data" / place if place else debian, suffix)

    data = load("fashion-mnist", tmp_path)

    assert data.classes[9] == "Ankle boot"
    assert (data.channels, data.image_size, data.horizontal_flip) == (1, 28, True)
    images = arrays["train"]
    assert rows(data.train, data.validation) == sorted(
        (index % 10, image.tobytes()) for index, image in enumerate(images)
    )
    assert np.array_equal(data.test.images[:, 0], arrays["t10k"])


def test_fashion_mnist_missing_or_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "_DEBIAN", tmp_path / "debian")
    refused("fashion-mnist", tmp_path, r"mixco data fetch fashion-mnist")
    write_fashion_mnist(tmp_path / "debian", ".gz")
    path = tmp_path / "debian/t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    refused("fashion-mnist", tmp_path, r"t10k-images-idx3-ubyte\.gz: ")


def test_cifar10_through_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = cifar10_files()
    folder = tmp_path / "data/cifar10"
    refused("cifar10", tmp_path, r"no folder .*cifar-10-batches-py .*mixco data fetch cifar10")
    write_folder(folder, files)
    refused("cifar10", tmp_path, r"cifar-10-batches-py: files are missing or damaged")
    kind = torchvision.datasets.CIFAR10
    sums = {name.split("/")[1]: hashlib.md5(data).hexdigest() for name, data in files.items()}
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(kind, part, [[name, sums[name]] for name, _ in getattr(kind, part)])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": sums["batches.meta"]})

    data = load("cifar10", tmp_path)

    assert data.classes == tuple(f"class {label}" for label in range(10))
    assert data.test.images.shape == (20, 3, 32, 32)
    assert len(data.train) + len(data.validation) == 100
    expected = np.random.default_rng(5).integers(0, 256, (20, 3072), dtype=np.uint8)
    assert np.array_equal(data.test.images.reshape(20, 3072), expected)
