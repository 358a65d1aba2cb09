"""Data sources: where images come from. A new source is a file here and a name in `SOURCES`."""

from __future__ import annotations

import socket
from pathlib import Path

from trainables.data.naming import place_of
from trainables.data.records import LocatedData
from trainables.data.sources.base import Address, DataSource, parse_address
from trainables.data.sources.cifar import Cifar10, Cifar100
from trainables.data.sources.digits import Digits
from trainables.data.sources.fashion_mnist import FashionMnist
from trainables.data.sources.image_folder import ImageFolder
from trainables.data.sources.parquet import Parquet
from trainables.data.sources.tiny_imagenet import TinyImageNet
from trainables.errors import InputError, cause, meant, shown
from trainables.own_objects import OWN_NAME
from trainables.registry import Registry

_STALLED_SECONDS = 60.0

_SHIPPED: tuple[DataSource, ...] = (
    *(Digits(), FashionMnist(), Cifar10(), Cifar100(), TinyImageNet()),
    *(ImageFolder(), Parquet()),
)
SOURCES: Registry[DataSource] = Registry(
    "dataset",
    {source.name: source for source in _SHIPPED},
    contract=DataSource,
    group="mixco.datasets",
)


def parts(name: str) -> tuple[str, str, str]:
    """KIND, a colon and the rest of a data set's name; KIND may be ``package.module:Name``.

    A short name before it (``NAME=KIND:PATH``) is left out.

    >>> parts("imagefolder:birds"), parts("my_data:Birds:birds")
    (('imagefolder', ':', 'birds'), ('my_data:Birds', ':', 'birds'))
    """
    name = place_of(name)
    kind, colon, rest = name.partition(":")
    own = OWN_NAME.match(name)
    if kind in SOURCES or not own or name[own.end() : own.end() + 1] not in ("", ":"):
        return kind, colon, rest
    _, colon, rest = name[own.end() :].partition(":")
    return own.group(), colon, rest


def check_name(name: str) -> tuple[DataSource, bool]:
    """The source of the data set ``name``, and whether the name holds a path.

    Raises:
        InputError: there is no such source.
    """
    kind, colon, _ = parts(name)
    try:
        source = SOURCES.find(kind) if SOURCES.is_own(kind) else SOURCES.get(kind)
    except InputError as error:
        raise InputError(f"{error} (data sets that need no module: {_allowed()})") from None
    if source is None or not (source.path_summary if colon else source.summary):
        near = meant(name, (key for key, source in SOURCES.items() if source.summary))
        raise InputError(f"data set {name!r}: unknown{near} (allowed: {_allowed()})")
    return source, bool(colon)


def find_source(name: str, data_dir: Path) -> LocatedData:
    """The data set ``name``, with its files looked for in ``data_dir`` and well-known places.

    Raises:
        InputError: there is no such source, or its files are missing.
    """
    source, colon = check_name(name)
    name = place_of(name)
    address = parse_address(source, name, parts(name)[0]) if colon else Address(name)
    try:
        return source.find(address, data_dir)
    except OSError as error:
        raise InputError(f"{shown(error.filename or name)}: {cause(error)}") from None


def _allowed() -> str:
    allowed = [key for key, source in SOURCES.items() if source.summary]
    allowed += [f"{key}:PATH" for key, source in SOURCES.items() if source.path_summary]
    return ", ".join(allowed)


def fetch(name: str, data_dir: Path) -> Path:
    """Download the data set ``name`` to its place in ``data_dir``, which is returned.

    Raises:
        InputError: it cannot be downloaded, or the download failed.
    """
    source = SOURCES.get(name)
    if source is None or not source.can_download:
        allowed = ", ".join(key for key, source in SOURCES.items() if source.can_download)
        raise InputError(f"data set {name!r}: no automatic download (available for: {allowed})")
    place = data_dir / name
    socket.setdefaulttimeout(_STALLED_SECONDS)
    try:
        place.mkdir(parents=True, exist_ok=True)
        source.download(place)
    except (OSError, RuntimeError) as error:
        raise InputError(f"data set {name!r}: download to {place} failed: {cause(error)}") from None
    return place
