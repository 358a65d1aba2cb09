"""The data sets that have a name of their own, and the way from any name to its source."""

from __future__ import annotations

import gzip
import importlib.metadata
import math
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.data.image_files import find_tiny_imagenet, image_folder, tiny_imagenet
from trainables.data.parquet import parquet
from trainables.data.records import (
    ArrayRecords,
    Contents,
    Source,
    stamp_files,
    stratified_cut,
    stratified_order,
)
from trainables.errors import InputError

FASHION_MNIST_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_TINY_IMAGENET_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_TINY_IMAGENET_MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
_STALLED_SECONDS = 60.0
_DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class Named:
    """A named data set: one line about it, where it is looked for, how it is downloaded."""

    summary: str
    find: Callable[[Path], Source]
    fetch: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class ByPath:
    """A kind of data set that is named by its place, KIND:PATH."""

    summary: str
    find: Callable[[str, Path], Source]


def find_source(name: str, data_dir: Path) -> Source:
    """The source ``name``, with its files looked for in ``data_dir`` and well-known places.

    Raises:
        InputError: there is no such source, or its files are missing.
    """
    kind, colon, path = name.partition(":")
    if kind in BY_PATH and colon:
        if not path:
            raise InputError(f"data set {name!r}: no path after {kind}:")
        return BY_PATH[kind].find(name, Path(path).expanduser())
    if name not in NAMED:
        allowed = ", ".join([*NAMED, *(f"{kind}:PATH" for kind in BY_PATH)])
        raise InputError(f"data set {name!r}: unknown (allowed: {allowed})")
    return NAMED[name].find(data_dir)


def fetch(name: str, data_dir: Path) -> Path:
    """Download the data set ``name`` to its place in ``data_dir``, which is returned.

    Raises:
        InputError: it cannot be downloaded, or the download failed.
    """
    download = NAMED[name].fetch if name in NAMED else None
    if download is None:
        allowed = ", ".join(key for key, named in NAMED.items() if named.fetch)
        raise InputError(f"data set {name!r}: not one to download (allowed: {allowed})")
    place = data_dir / name
    socket.setdefaulttimeout(_STALLED_SECONDS)
    try:
        place.mkdir(parents=True, exist_ok=True)
        download(place)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"data set {name!r}: download to {place} failed: {reason}") from None
    return place


def _find_digits(data_dir: Path) -> Source:
    version = importlib.metadata.version("scikit-learn")
    return Source("digits", "scikit-learn", f"scikit-learn {version}", _read_digits)


def _read_digits() -> Contents:
    """UCI handwritten digits, 8x8 grey; its test split is 20 %, fixed and stratified."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    order = stratified_order(labels, "digits")
    cut = stratified_cut(labels, 0.2)
    test, train = np.sort(order[:cut]), np.sort(order[cut:])
    return Contents(
        tuple(str(digit) for digit in range(10)),
        ArrayRecords(pixels[train], labels[train], "digits"),
        ArrayRecords(pixels[test], labels[test], "digits"),
    )


def _find_fashion_mnist(data_dir: Path) -> Source:
    own = data_dir / "fashion-mnist"
    folders = (own, own / "FashionMNIST" / "raw", _DEBIAN_FASHION_MNIST)
    for folder in folders:
        files = {
            (split, kind): _plain_or_gzip(folder / f"{prefix}-{kind}-ubyte")
            for split, prefix in (("train", "train"), ("test", "t10k"))
            for kind in ("images-idx3", "labels-idx1")
        }
        found = {key: path for key, path in files.items() if path}
        if len(found) == len(files):
            break
    else:
        raise InputError(
            "data set 'fashion-mnist': no train- and t10k-images-idx3-ubyte(.gz) with their labels "
            f"in {', '.join(str(folder) for folder in folders)} "
            "(`mixco data fetch fashion-mnist`, or Debian's dataset-fashion-mnist)"
        )

    def read() -> Contents:
        splits = {}
        for split in ("train", "test"):
            place = found[split, "images-idx3"]
            pixels = read_idx(place, dimensions=3)
            labels = read_idx(found[split, "labels-idx1"], dimensions=1).astype(np.int64)
            if len(pixels) != len(labels) or labels.max(initial=0) >= len(FASHION_MNIST_CLASSES):
                raise InputError(f"{place}: {len(pixels)} images do not fit their labels file")
            splits[split] = ArrayRecords(pixels, labels, str(place))
        return Contents(FASHION_MNIST_CLASSES, splits["train"], splits["test"])

    return Source("fashion-mnist", str(folder), stamp_files(found.values()), read)


def _plain_or_gzip(path: Path) -> Path | None:
    zipped = path.with_name(f"{path.name}.gz")
    return next((place for place in (path, zipped) if place.is_file()), None)


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """An IDX file of bytes, perhaps gzipped: 0, 0, 8, number of dimensions, sizes, values.

    Raises:
        InputError: it is not such a file of so many ``dimensions``, or it is damaged.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        header = 4 + 4 * dimensions
        if data[:4] != bytes((0, 0, 8, dimensions)) or len(data) < header:
            raise ValueError(f"not an IDX file of bytes in {dimensions} dimensions")
        shape = struct.unpack_from(f">{dimensions}I", data, 4)
        if len(data) - header != math.prod(shape):
            raise ValueError(f"{len(data) - header} values for the shape {shape}")
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _cifar(name: str, class_name: str, base_folder: str) -> Named:
    """CIFAR-10 or CIFAR-100, read and downloaded by torchvision, which knows their checksums."""

    def find(data_dir: Path) -> Source:
        folder = data_dir / name / base_folder
        if not folder.is_dir():
            raise InputError(
                f"data set {name!r}: no folder {folder} (`mixco data fetch {name}` downloads it)"
            )

        def read() -> Contents:
            import torchvision

            kind = getattr(torchvision.datasets, class_name)
            try:
                train, test = (kind(data_dir / name, train=split) for split in (True, False))
            except RuntimeError:
                raise InputError(
                    f"{folder}: files are missing or damaged (`mixco data fetch {name}`)"
                ) from None
            return Contents(
                tuple(train.classes),
                ArrayRecords(train.data, np.array(train.targets, np.int64), str(folder)),
                ArrayRecords(test.data, np.array(test.targets, np.int64), str(folder)),
            )

        return Source(name, str(folder), stamp_files(sorted(folder.iterdir())), read)

    def download(folder: Path) -> None:
        import torchvision

        getattr(torchvision.datasets, class_name)(folder, download=True)

    classes = class_name.removeprefix("CIFAR")
    return Named(f"32x32 colour photographs of {classes} classes", find, download)


def _fetch_fashion_mnist(folder: Path) -> None:
    import torchvision

    torchvision.datasets.FashionMNIST(folder, download=True)


def _fetch_tiny_imagenet(folder: Path) -> None:
    from torchvision.datasets.utils import download_url

    download_url(_TINY_IMAGENET_URL, folder, md5=_TINY_IMAGENET_MD5)


NAMED: Mapping[str, Named] = {
    "digits": Named("8x8 grey digits of 10 classes, embedded", _find_digits),
    "fashion-mnist": Named(
        "28x28 grey clothes of 10 classes", _find_fashion_mnist, _fetch_fashion_mnist
    ),
    "cifar10": _cifar("cifar10", "CIFAR10", "cifar-10-batches-py"),
    "cifar100": _cifar("cifar100", "CIFAR100", "cifar-100-python"),
    "tiny-imagenet": Named(
        "64x64 colour photographs of 200 classes", find_tiny_imagenet, _fetch_tiny_imagenet
    ),
}

BY_PATH: Mapping[str, ByPath] = {
    "tiny-imagenet": ByPath("its folder, zip or tar at any place", tiny_imagenet),
    "imagefolder": ByPath("train/CLASS/* and test/CLASS/* (or val)", image_folder),
    "parquet": ByPath("train*.parquet and test*.parquet, Hugging Face layout", parquet),
}
