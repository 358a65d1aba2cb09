"""Data sources: where images come from. A new source is a file here and a name in `SOURCES`."""

from __future__ import annotations

import socket
from pathlib import Path

from trainables.data.records import LocatedData
from trainables.data.sources.base import Address, DataSource, parse_address
from trainables.data.sources.cifar import Cifar10, Cifar100
from trainables.data.sources.digits import Digits
from trainables.data.sources.fashion_mnist import FashionMnist
from trainables.data.sources.image_folder import ImageFolder
from trainables.data.sources.parquet import Parquet
from trainables.data.sources.tiny_imagenet import TinyImageNet
from trainables.errors import InputError, cause, meant, shown
from trainables.registry import Registry

_STALLED_SECONDS = 60.0

_SHIPPED: tuple[DataSource, ...] = (
    *(Digits(), FashionMnist(), Cifar10(), Cifar100(), TinyImageNet()),
    *(ImageFolder(), Parquet()),
)
SOURCES: Registry[DataSource] = Registry("dataset", {source.name: source for source in _SHIPPED})


def find_source(name: str, data_dir: Path) -> LocatedData:
    """The data set ``name``, with its files looked for in ``data_dir`` and well-known places.

    Raises:
        InputError: there is no such source, or its files are missing.
    """
    kind, colon, _ = name.partition(":")
    source = SOURCES.get(kind)
    if source is None or not (source.path_summary if colon else source.summary):
        allowed = [key for key, source in SOURCES.items() if source.summary]
        allowed += [f"{key}:PATH" for key, source in SOURCES.items() if source.path_summary]
        near = meant(name, (key for key in allowed if not key.endswith(":PATH")))
        raise InputError(f"data set {name!r}: unknown{near} (allowed: {', '.join(allowed)})")
    address = parse_address(source, name) if colon else Address(name)
    try:
        return source.find(address, data_dir)
    except OSError as error:
        raise InputError(f"{shown(error.filename or name)}: {cause(error)}") from None


def fetch(name: str, data_dir: Path) -> Path:
    """Download the data set ``name`` to its place in ``data_dir``, which is returned.

    Raises:
        InputError: it cannot be downloaded, or the download failed.
    """
    source = SOURCES.get(name)
    if source is None or not source.can_download:
        allowed = ", ".join(key for key, source in SOURCES.items() if source.can_download)
        raise InputError(f"data set {name!r}: not one to download (allowed: {allowed})")
    place = data_dir / name
    socket.setdefaulttimeout(_STALLED_SECONDS)
    try:
        place.mkdir(parents=True, exist_ok=True)
        source.download(place)
    except (OSError, RuntimeError) as error:
        raise InputError(f"data set {name!r}: download to {place} failed: {cause(error)}") from None
    return place
