"""The contract of a data set: its images and labels, the same at every reading, and its splits."""

from __future__ import annotations

import hashlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from trainables.contract.points import Point, require
from trainables.data.naming import place_of
from trainables.data.records import Contents, LocatedData, Records
from trainables.data.sources import find_source
from trainables.data_dir import default_data_dir
from trainables.own_objects import search_in, searched_folders

_LOOKED_AT = 16
"""Images of each split that are read twice."""
_MOST_SHARED = 0.01
"""Share of the test images that may be training images, too: public data sets repeat a few."""
_SIDE = 32
"""Image size in pixels, where the images of a data set differ in size."""


def points(name: str) -> list[Point]:
    """What must hold for the data set ``name``; all its images are read several times."""
    checks = {
        "is found twice alike": _found,
        "labels are classes, and each class has training images": _labels,
        "an image is bytes and their picture, twice the same": _images,
        "the contents are the same in another process": _fingerprint,
        "training and test images are different ones": _disjoint,
        "splits are tensors of images and labels": _splits,
    }
    return [Point(text, partial(check, name)) for text, check in checks.items()]


def _located(name: str) -> LocatedData:
    return find_source(name, default_data_dir())


def _found(name: str) -> None:
    first, again = _located(name), _located(name)
    require(isinstance(first, LocatedData), f"find returns {type(first).__name__}, not LocatedData")
    expected = place_of(name)
    require(first.name == expected, f"the name is {first.name!r}, not {expected!r} (address.name)")
    require(bool(first.stamp), "the stamp is empty: derive it from the files, as stamp_files does")
    require(first.stamp == again.stamp, "the stamp differs though no file has changed")
    contents = first.read()
    require(isinstance(contents, Contents), f"read returns {type(contents).__name__}, not Contents")


def _labels(name: str) -> None:
    contents = _located(name).read()
    classes = len(contents.classes)
    require(
        len(set(contents.classes)) == classes > 1,
        f"classes are {contents.classes}: two names or more, all different, are needed",
    )
    for split, records in contents.splits.items():
        labels = records.labels
        require(
            isinstance(labels, np.ndarray) and labels.dtype == np.int64 and labels.ndim == 1,
            f"labels of the {split} split are no int64 array of one axis",
        )
        require(len(labels) > 0, f"the {split} split has no images")
        low, high = int(labels.min()), int(labels.max())
        require(
            0 <= low <= high < classes,
            f"labels of the {split} split are {low} to {high}; {classes} classes are "
            f"0 to {classes - 1}",
        )
    counts = np.bincount(contents.train.labels, minlength=classes)
    lacking = [own for own, count in zip(contents.classes, counts, strict=True) if not count]
    require(not lacking, f"no training image is of class {', '.join(lacking)}")


def _images(name: str) -> None:
    first, again = _located(name).read(), _located(name).read()
    for split, records in first.splits.items():
        for index in {*range(min(_LOOKED_AT, len(records.labels))), len(records.labels) - 1}:
            _same_image(records, again.splits[split], index)


def _same_image(records: Records, again: Records, index: int) -> None:
    where = records.where(index)
    require(isinstance(where, str), f"where returns {type(where).__name__}, not text")
    content, image = records.read(index)
    require(isinstance(content, bytes), f"{where}: read gives {type(content).__name__}, not bytes")
    require(
        isinstance(image, Image.Image),
        f"{where}: read gives {type(image).__name__}, not an image of Pillow",
    )
    other, picture = again.read(index)
    require(
        content == other and image.tobytes() == picture.tobytes(),
        f"{where}: two readings give different images",
    )


def _fingerprint(name: str) -> None:
    here = _contents_digest(name, [])
    # A new interpreter has another order of sets and other random numbers.
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawned) as pool:
        there = pool.submit(_contents_digest, name, searched_folders()).result()
    require(
        here == there,
        "classes, labels or images differ between two processes: sort files and classes, take "
        "nothing from the order of a set, and draw nothing without a fixed seed",
    )


def _contents_digest(name: str, folders: list[str]) -> str:
    """A digest of all that a data set's fingerprint is made of; does not import torch."""
    for folder in folders:
        search_in(Path(folder))
    contents = _located(name).read()
    digest = hashlib.sha256("\n".join(contents.classes).encode(errors="surrogateescape"))
    for records in contents.splits.values():
        digest.update(records.labels.tobytes())
        digest.update(b"".join(_digests(records)))
    return digest.hexdigest()


def _disjoint(name: str) -> None:
    contents = _located(name).read()
    train, test = set(_digests(contents.train)), _digests(contents.test)
    shared = sum(digest in train for digest in test)
    require(
        shared <= _MOST_SHARED * len(test),
        f"{shared} of {len(test)} test images are training images, too",
    )


def _digests(records: Records) -> list[bytes]:
    indices = range(len(records.labels))
    return [hashlib.sha256(records.read(index)[0]).digest() for index in indices]


def _splits(name: str) -> None:
    import torch

    from trainables.data.dataset import load_dataset
    from trainables.data.survey import make_survey

    contents = _located(name).read()
    size = make_survey(name, contents, lambda what, done, total: None).image_size or _SIDE
    data = load_dataset(name, image_size=size)
    parts = {"training": data.train, "validation": data.validation, "test": data.test}
    for kind, split in parts.items():
        expected = [len(split), data.channels, size, size]
        require(
            split.images.dtype == torch.uint8 and list(split.images.shape) == expected,
            f"{kind} images are {split.images.dtype} {list(split.images.shape)}, not torch.uint8 "
            f"{expected}",
        )
        require(split.labels.dtype == torch.int64, f"{kind} labels are {split.labels.dtype}")
    of_train, of_test = len(contents.train.labels), len(contents.test.labels)
    require(
        (len(data.train) + len(data.validation), len(data.test)) == (of_train, of_test),
        f"{of_train} and {of_test} images become {len(data.train)} training, "
        f"{len(data.validation)} validation and {len(data.test)} test images: the stamp is that "
        "of other contents",
    )
    require(min(data.std) > 0, "all training images are of one colour")
