"""Zip and tar archives as files by name, without unpacking them to the disk."""

from __future__ import annotations

import contextlib
import posixpath
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock

from trainables.data.files import (
    IMAGE_SUFFIXES,
    LARGEST_FILE,
    Files,
    StoredFile,
    available_memory,
    check_file_size,
    check_fits,
    is_hidden,
)
from trainables.errors import InputError, cause

_HEAD = 16
_ENCRYPTED = 0x1
_READ_METHODS = frozenset(
    {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
)
_OTHER_METHODS = {9: "Deflate64", 93: "Zstandard", 95: "XZ"}
_UNPACK = "unpack the archive and name its folder instead"


def archive_files(place: Path) -> tuple[Files, Counter[str]]:
    """The files of the zip or tar archive ``place``, and what was passed over.

    Hidden entries and those that a Mac adds are left out. Backslashes in names, as some programs on
    Windows write them, become slashes. An entry of a zip or a plain tar is read from the file only
    when it is used; a compressed tar is held in memory.

    Raises:
        InputError: the archive is damaged or encrypted, its compression is unknown, a link to an
            image is broken, or it does not fit in memory.
    """
    files: dict[str, StoredFile] = {}
    links: dict[str, str] = {}
    passed_over: Counter[str] = Counter()
    with _naming_damage(place):
        if zipfile.is_zipfile(place):
            _list_zip(place, files, links)
        else:
            _list_tar(place, files, links, passed_over)
    for key in links:
        target = _followed(key, links)
        if target in files:
            files[key] = files[target]
        elif PurePosixPath(key).suffix.lower() in IMAGE_SUFFIXES:
            raise InputError(f"{place}/{key}: a broken link to {links[key]}")
        else:
            passed_over["broken link(s) or link(s) to a folder"] += 1
    return files, passed_over


def _key(name: str) -> str | None:
    """The path of an entry in the archive; None where a part of the path is hidden."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return None if not parts or any(map(is_hidden, parts)) else "/".join(parts)


def _list_zip(place: Path, files: dict[str, StoredFile], links: dict[str, str]) -> None:
    archive = zipfile.ZipFile(place)

    def read(entry: zipfile.ZipInfo, count: int) -> bytes:
        with _naming_damage(place, entry.filename):
            check_file_size(f"{place}/{entry.filename}", entry.file_size)
            with archive.open(entry) as file:
                return file.read(count)

    for entry in archive.infolist():
        key = _key(entry.filename)
        if key is None or entry.filename.endswith(("/", "\\")):
            continue
        if entry.flag_bits & _ENCRYPTED:
            raise InputError(f"{place}: {key} is encrypted; {_UNPACK}")
        if entry.compress_type not in _READ_METHODS:
            method = _OTHER_METHODS.get(entry.compress_type, f"method {entry.compress_type}")
            raise InputError(
                f"{place}: {key} is compressed in a way that is not read ({method}); {_UNPACK}"
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            target = read(entry, 4096).decode(errors="surrogateescape")
            links[key] = posixpath.join(posixpath.dirname(key), target)
        else:
            files[key] = StoredFile(partial(read, entry, -1), partial(read, entry, _HEAD))


def _list_tar(
    place: Path, files: dict[str, StoredFile], links: dict[str, str], passed_over: Counter[str]
) -> None:
    # The archive stays open for as long as its files can be read.
    try:
        tar, is_plain = tarfile.open(place, "r:"), True  # noqa: SIM115
    except tarfile.ReadError:
        tar, is_plain = tarfile.open(place), False  # noqa: SIM115
    lock = Lock()  # an open tar has one position, which the threads share
    held, available = 0, available_memory()

    def read(member: tarfile.TarInfo, count: int) -> bytes:
        with _naming_damage(place, member.name), lock:
            check_file_size(f"{place}/{member.name}", member.size)
            file = tar.extractfile(member)
            return file.read(count) if file else b""

    for member in tar:
        key = _key(member.name)
        if key is None or member.isdir():
            continue
        files.pop(key, None)  # the last of several entries with one name counts
        links.pop(key, None)
        if member.issym():
            links[key] = posixpath.join(posixpath.dirname(key), member.linkname)
        elif member.islnk():
            links[key] = member.linkname
        elif not member.isreg():
            passed_over["special file(s)"] += 1
        elif is_plain or member.size > LARGEST_FILE:
            files[key] = StoredFile(partial(read, member, -1), partial(read, member, _HEAD))
        else:
            held += member.size
            check_fits(place, held, available)
            files[key] = _held_file(read(member, -1))


def _held_file(content: bytes) -> StoredFile:
    return StoredFile(lambda: content, lambda: content[:_HEAD])


def _followed(key: str, links: dict[str, str]) -> str | None:
    """The entry to which a link finally leads; None if it leads to itself or out of the archive."""
    seen: set[str] = set()
    while key in links and key not in seen:
        seen.add(key)
        key = _key(posixpath.normpath(links[key].replace("\\", "/"))) or ""
    return None if key in links else key


@contextlib.contextmanager
def _naming_damage(place: Path, entry: str = "") -> Iterator[None]:
    """Turn the many kinds of errors that a damaged archive causes into an error of one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = f"{entry}: {cause(error)}" if entry else cause(error)
        raise InputError(f"{place}: damaged, or not a zip or tar archive ({reason})") from None
