"""Labelled images as a source holds them, before they are decoded into a cache."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Labels = npt.NDArray[np.int64]


class Records(Protocol):
    """The labelled images of one split, in the source's own order."""

    @property
    def labels(self) -> Labels:
        """Classes [N], numbers of `Contents.classes`."""

    def read(self, index: int) -> tuple[bytes, Image.Image]:
        """The stored bytes of an image, for its digest, and the image, which is decoded later."""

    def where(self, index: int) -> str:
        """The file of an image and the place in that file, for errors."""


@dataclass(frozen=True)
class ArrayRecords:
    """Images that are pixels already: uint8 [N, H, W] or [N, H, W, 3]."""

    pixels: npt.NDArray[np.uint8]
    labels: Labels
    place: str

    def read(self, index: int) -> tuple[bytes, Image.Image]:
        return self.pixels[index].tobytes(), Image.fromarray(self.pixels[index])

    def where(self, index: int) -> str:
        return f"{self.place}, image {index}"


@dataclass(frozen=True)
class EncodedRecords:
    """Images in files (JPEG, PNG, ...), read one at a time."""

    labels: Labels
    content: Callable[[int], bytes]
    where: Callable[[int], str]

    def read(self, index: int) -> tuple[bytes, Image.Image]:
        content = self.content(index)
        return content, Image.open(io.BytesIO(content))


def encoded_records(images: list[tuple[str, int, Callable[[], bytes]]]) -> EncodedRecords:
    """Records of images, each given as its place, its label and how to read it."""
    places, labels, readers = zip(*images, strict=True)
    return EncodedRecords(
        np.array(labels, np.int64), lambda index: readers[index](), places.__getitem__
    )


@dataclass(frozen=True)
class Contents:
    """What a source holds: class names, and the records of its training and test images.

    ``passed_over`` counts the files that lie among the images and are not read ("6 .gif").
    """

    classes: tuple[str, ...]
    train: Records
    test: Records
    passed_over: tuple[str, ...] = ()

    @property
    def splits(self) -> Mapping[str, Records]:
        """Both splits by name."""
        return {"train": self.train, "test": self.test}


@dataclass(frozen=True)
class LocatedData:
    """A data set found at a place.

    ``stamp`` changes whenever the files may have changed. ``read`` raises an InputError if the
    files are damaged. ``horizontal_flip``: a mirrored image is still an image of its class.
    """

    name: str
    place: str
    stamp: str
    read: Callable[[], Contents]
    horizontal_flip: bool = True


def stamp_files(files: Iterable[Path]) -> str:
    """A digest of the paths, sizes and modification times of ``files``."""
    digest = hashlib.sha256()
    for path in files:
        status = path.stat()
        line = f"{path.absolute()}\t{status.st_size}\t{status.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()
