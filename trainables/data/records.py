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
        """Classes [N]."""

    def read(self, index: int) -> tuple[bytes, Image.Image]:
        """An image as stored, for its digest, and as a picture that is perhaps not decoded yet."""

    def where(self, index: int) -> str:
        """The file (and the place in it) of an image, for errors."""


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


@dataclass(frozen=True)
class Contents:
    """What a source holds: class names, and the records of its training and test images."""

    classes: tuple[str, ...]
    train: Records
    test: Records

    @property
    def splits(self) -> Mapping[str, Records]:
        """Both splits by name."""
        return {"train": self.train, "test": self.test}


@dataclass(frozen=True)
class Source:
    """A data set found at a place; ``stamp`` differs once its files may have changed."""

    name: str
    place: str
    stamp: str
    read: Callable[[], Contents]


def stamp_files(files: Iterable[Path]) -> str:
    """A digest of the paths, sizes and modification times of ``files``."""
    digest = hashlib.sha256()
    for path in files:
        status = path.stat()
        line = f"{path.absolute()}\t{status.st_size}\t{status.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def stratified_order(labels: Labels, seed: str) -> npt.NDArray[np.int64]:
    """A permutation [N] of which every prefix holds about the same share of each class.

    Images of a class are shuffled by ``seed`` and then spread evenly over the whole order;
    `stratified_cut` tells where a share ends.
    """
    digest = hashlib.sha256(seed.encode()).digest()
    # The raw stream of a bit generator is the same in every version of numpy.
    generator = np.random.PCG64(int.from_bytes(digest, "little"))
    by_class = np.lexsort((generator.random_raw(len(labels)), labels))
    positions = np.concatenate([_positions(count) for count in np.bincount(labels)])
    ties = generator.random_raw(len(labels))
    return by_class[np.lexsort((ties, positions))]


def stratified_cut(labels: Labels, share: float) -> int:
    """Length of the prefix of `stratified_order` with ``share`` of each class, rounded."""
    return sum(int((_positions(count) < share).sum()) for count in np.bincount(labels))


def _positions(count: int) -> npt.NDArray[np.float64]:
    """Where the images of one class lie in the order, in 0..1."""
    return (np.arange(count) + 0.5) / count
