"""Fashion-MNIST in its original files, and the IDX format of those files."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.data.files import available_memory, check_fits
from trainables.data.records import ArrayRecords, Contents, LocatedData, stamp_files
from trainables.data.sources.base import Address, DataSource
from trainables.errors import InputError, cause

CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_PREFIXES = {"train": "train", "test": "t10k"}
_KINDS = ("images-idx3", "labels-idx1")


class FashionMnist(DataSource):
    """28x28 grey clothes of 10 classes, where torchvision or Debian's package puts them."""

    name = "fashion-mnist"
    summary = "28x28 grey clothes of 10 classes"
    can_download = True

    def find(self, address: Address, data_dir: Path) -> LocatedData:
        own = data_dir / self.name
        raw = Path("FashionMNIST", "raw")  # below torchvision's root
        folders = (own, own / raw, data_dir / raw, _DEBIAN)
        for folder in folders:
            found = _files(folder)
            if found:
                return LocatedData(
                    address.name,
                    str(folder),
                    stamp_files(found.values()),
                    partial(_read, found),
                )
        raise InputError(
            "data set 'fashion-mnist': no train- and t10k-images-idx3-ubyte(.gz) with their labels "
            f"in {', '.join(str(folder) for folder in folders)} "
            "(`mixco data fetch fashion-mnist`, or Debian's dataset-fashion-mnist)"
        )

    def download(self, folder: Path) -> None:
        import torchvision

        torchvision.datasets.FashionMNIST(folder, download=True)


def _files(folder: Path) -> dict[tuple[str, str], Path]:
    """The four files in ``folder`` by split and kind, gzipped or not; none if one is missing."""
    found = {}
    for split, prefix in _PREFIXES.items():
        for kind in _KINDS:
            path = folder / f"{prefix}-{kind}-ubyte"
            places = (path, path.with_name(f"{path.name}.gz"))
            place = next((place for place in places if place.is_file()), None)
            if place is None:
                return {}
            found[split, kind] = place
    return found


def _read(files: dict[tuple[str, str], Path]) -> Contents:
    splits = {}
    for split in _PREFIXES:
        place = files[split, "images-idx3"]
        pixels = read_idx(place, dimensions=3)
        labels = read_idx(files[split, "labels-idx1"], dimensions=1).astype(np.int64)
        if len(pixels) != len(labels) or labels.max(initial=0) >= len(CLASSES):
            raise InputError(f"{place}: {len(pixels)} images do not fit their labels file")
        if not pixels.size:
            raise InputError(f"{place}: no images")
        splits[split] = ArrayRecords(pixels, labels, str(place))
    return Contents(CLASSES, splits["train"], splits["test"])


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """An IDX file of bytes, perhaps gzipped: 0, 0, 8, number of dimensions, sizes, values.

    Raises:
        InputError: it is not such a file of so many ``dimensions``, it is damaged, or it does not
            fit in memory.
    """
    header = 4 + 4 * dimensions
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            start = file.read(header)
            if start[:4] != bytes((0, 0, 8, dimensions)) or len(start) < header:
                raise ValueError(f"not an IDX file of bytes in {dimensions} dimensions")
            shape = struct.unpack_from(f">{dimensions}I", start, 4)
            size = math.prod(shape)
            check_fits(path, size, available_memory())
            values = file.read(size + 1)
        if len(values) != size:
            count = len(values) if len(values) < size else f"more than {size}"
            raise ValueError(f"{count} values for the shape {shape}")
    except InputError:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: {cause(error)}") from None
    return np.frombuffer(values, np.uint8).reshape(shape)
