"""Where images come from: each named source as labelled records, split into training and test."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainables.config import InputError

Labels = npt.NDArray[np.int64]


class Records(Protocol):
    """The labelled images of one split, in the source's own order."""

    @property
    def labels(self) -> Labels:
        """Classes [N]."""

    def content(self, index: int) -> bytes:
        """What an image's digest is made of."""

    def image(self, index: int) -> Image.Image:
        """An image, perhaps not yet decoded."""

    def where(self, index: int) -> str:
        """The file (and the place in it) of an image, for errors."""


@dataclass(frozen=True)
class Contents:
    """What a source holds: class names, and the records of its training and test images."""

    classes: tuple[str, ...]
    train: Records
    test: Records

    @property
    def splits(self) -> Mapping[str, Records]:
        return {"train": self.train, "test": self.test}


@dataclass(frozen=True)
class Source:
    """A data set at a place: ``stamp`` changes when its files may have changed."""

    name: str
    stamp: str
    read: Callable[[], Contents]


@dataclass(frozen=True)
class ArrayRecords:
    """Images that are pixels already: uint8 [N, H, W] or [N, H, W, 3]."""

    pixels: npt.NDArray[np.uint8]
    labels: Labels
    place: str

    def content(self, index: int) -> bytes:
        return self.pixels[index].tobytes()

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels[index])

    def where(self, index: int) -> str:
        return f"{self.place}, image {index}"


def stratified_order(labels: Labels, seed: str) -> npt.NDArray[np.int64]:
    """A permutation [N] of which every prefix holds each class in its share, to one image.

    Images of a class are shuffled by ``seed`` and then spread evenly over the whole order.
    """
    digest = hashlib.sha256(seed.encode()).digest()
    # The raw stream of a bit generator is the same in every version of numpy.
    generator = np.random.PCG64(int.from_bytes(digest, "little"))
    order = np.lexsort((generator.random_raw(len(labels)), labels))
    counts = np.bincount(labels)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    position = (rank + 0.5) / np.repeat(counts, counts)
    ties = generator.random_raw(len(labels))
    return order[np.lexsort((ties, position))]


def find_source(name: str, data_dir: Path) -> Source:
    """The source ``name``, with its files looked for in ``data_dir`` and well-known places.

    Raises:
        InputError: there is no such source, or its files are missing.
    """
    if name == "digits":
        version = importlib.metadata.version("scikit-learn")
        return Source(name, f"scikit-learn {version}", _read_digits)
    raise InputError(f"data set {name!r}: unknown (allowed: digits)")


def stamp_files(files: Sequence[Path]) -> str:
    """A digest of the paths, sizes and times of ``files``."""
    lines = []
    for path in files:
        status = path.stat()
        lines.append(f"{path.absolute()}\t{status.st_size}\t{status.st_mtime_ns}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read_digits() -> Contents:
    """UCI handwritten digits, 8x8 grey; its test split is 20 %, fixed and stratified."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    order = stratified_order(labels, "digits")
    cut = len(labels) // 5
    test, train = np.sort(order[:cut]), np.sort(order[cut:])
    return Contents(
        tuple(str(digit) for digit in range(10)),
        ArrayRecords(pixels[train], labels[train], "digits"),
        ArrayRecords(pixels[test], labels[test], "digits"),
    )
