"""Data sets of image files: a folder for each class, and the layout of tiny-imagenet-200."""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from trainables.data.records import Contents, EncodedRecords, Source, stamp_files
from trainables.errors import InputError

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
TEST_FOLDERS = ("test", "val", "validation")
_TINY_IMAGENET = "tiny-imagenet-200"
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")

Files = Mapping[str, Callable[[], bytes]]
"""Files by their path in a folder or an archive, each with how to read it."""


def image_folder(name: str, folder: Path) -> Source:
    """FOLDER/train/CLASS/... and FOLDER/test/CLASS/... (or val), whatever lies below CLASS.

    Raises:
        InputError: a folder is missing, or holds no images.
    """
    if not folder.is_dir():
        raise InputError(f"data set {name!r}: no folder {folder}")
    if not (folder / "train").is_dir():
        raise InputError(f"data set {name!r}: no folder {folder / 'train'} (training images)")
    test = next((test for test in TEST_FOLDERS if (folder / test).is_dir()), None)
    if test is None:
        allowed = ", ".join(TEST_FOLDERS)
        raise InputError(f"data set {name!r}: no test split in {folder} (a folder of: {allowed})")
    splits = {split: _images_of_classes(name, folder / split) for split in ("train", test)}

    def read() -> Contents:
        classes = tuple(splits["train"])
        unknown = splits[test].keys() - set(classes)
        if unknown:
            raise InputError(
                f"data set {name!r}: class {min(unknown)!r} of {folder / test} is not in "
                f"{folder / 'train'}"
            )
        train, tested = (
            _records(
                [
                    (str(path), label, path.read_bytes)
                    for label, class_name in enumerate(classes)
                    for path in splits[split].get(class_name, [])
                ]
            )
            for split in ("train", test)
        )
        return Contents(classes, train, tested)

    files = (path for split in splits.values() for paths in split.values() for path in paths)
    return Source(name, str(folder), stamp_files(files), read)


def _images_of_classes(name: str, folder: Path) -> dict[str, list[Path]]:
    """Image files below ``folder`` by class, in the order of their names."""
    classes = {
        entry.name: [path for path in _walk(Path(entry)) if path.suffix.lower() in IMAGE_SUFFIXES]
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
        if entry.is_dir() and not entry.name.startswith(".")
    }
    if not any(classes.values()):
        allowed = ", ".join(sorted(IMAGE_SUFFIXES))
        raise InputError(f"data set {name!r}: no images in {folder}/CLASS ({allowed})")
    return classes


def find_tiny_imagenet(data_dir: Path) -> Source:
    """tiny-imagenet-200 as a folder or an archive in ``data_dir``, or in its tiny-imagenet/."""
    places = [
        folder / f"{_TINY_IMAGENET}{suffix}"
        for folder in (data_dir / "tiny-imagenet", data_dir)
        for suffix in ("", *_ARCHIVES)
    ]
    place = next((place for place in places if place.exists()), None)
    if place is None:
        raise InputError(
            f"data set 'tiny-imagenet': no {_TINY_IMAGENET} (folder, {', '.join(_ARCHIVES)}) in "
            f"{data_dir} or {data_dir / 'tiny-imagenet'} (`mixco data fetch tiny-imagenet`)"
        )
    return tiny_imagenet("tiny-imagenet", place)


def tiny_imagenet(name: str, place: Path) -> Source:
    """The layout of tiny-imagenet-200, in a folder or an archive; val/ is the test split.

    Raises:
        InputError: ``place`` is neither, or a file of the layout is missing or wrong.
    """
    if place.is_dir():
        paths = {path.relative_to(place).as_posix(): path for path in _walk(place)}
        stamp = stamp_files(paths.values())

        def files() -> Files:
            return {key: path.read_bytes for key, path in paths.items()}
    elif place.is_file():
        stamp = stamp_files([place])

        def files() -> Files:
            return _read_archive(place)
    else:
        raise InputError(f"data set {name!r}: no folder or archive {place}")
    return Source(name, str(place), stamp, lambda: _tiny_imagenet_contents(place, files()))


def _tiny_imagenet_contents(place: Path, files: Files) -> Contents:
    root = next((key.removesuffix("wnids.txt") for key in files if key.endswith("wnids.txt")), None)
    if root is None:
        raise InputError(f"{place}: no wnids.txt (the layout of {_TINY_IMAGENET})")

    def lines(path: str) -> list[list[str]]:
        if root + path not in files:
            raise InputError(f"{place}: no {root}{path} (the layout of {_TINY_IMAGENET})")
        text = files[root + path]().decode(errors="replace")
        return [line.split("\t") for line in text.splitlines() if line]

    wnids = sorted(fields[0].strip() for fields in lines("wnids.txt"))
    words = {fields[0]: fields[-1].split(",")[0] for fields in lines("words.txt")}
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    train, test = [], []
    for key in sorted(files):
        match key.removeprefix(root).split("/"):
            case ["train", wnid, "images", _] if wnid in label_of and _is_image(key):
                train.append((f"{place}/{key}", label_of[wnid], files[key]))
    for image, wnid, *_ in sorted(lines("val/val_annotations.txt")):
        key = f"{root}val/images/{image}"
        if key not in files or wnid not in label_of:
            raise InputError(f"{place}/{root}val/val_annotations.txt: no image {image} of {wnid}")
        test.append((f"{place}/{key}", label_of[wnid], files[key]))
    if not train or not test:
        raise InputError(f"{place}: no images in {root}{'train' if not train else 'val'}")
    return Contents(tuple(words.get(wnid, wnid) for wnid in wnids), _records(train), _records(test))


def _read_archive(place: Path) -> Files:
    """All files of a zip or tar archive, in memory: they are read once, in the order they lie."""
    contents: dict[str, bytes] = {}
    try:
        if zipfile.is_zipfile(place):
            with zipfile.ZipFile(place) as archive:
                for entry in archive.infolist():
                    if not entry.is_dir():
                        contents[entry.filename] = archive.read(entry)
        else:
            with tarfile.open(place) as tar:
                for member in tar:
                    file = tar.extractfile(member)
                    if file:
                        contents[member.name.removeprefix("./")] = file.read()
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{place}: damaged, or not a zip or tar archive ({reason})") from None
    return {key: partial(contents.__getitem__, key) for key in contents}


def _records(images: list[tuple[str, int, Callable[[], bytes]]]) -> EncodedRecords:
    """Records of (place, label, how to read it)."""
    places, labels, readers = zip(*images, strict=True)
    return EncodedRecords(
        np.array(labels, np.int64), lambda index: readers[index](), places.__getitem__
    )


def _walk(folder: Path) -> list[Path]:
    """All files below ``folder`` but hidden ones, sorted."""
    return sorted(
        Path(parent, file)
        for parent, _, files in os.walk(folder, followlinks=True)
        for file in files
        if not file.startswith(".")
    )


def _is_image(key: str) -> bool:
    return Path(key).suffix.lower() in IMAGE_SUFFIXES
