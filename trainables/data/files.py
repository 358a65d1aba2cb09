"""Files of a data set in folders: which are images, which are read, how much memory they take."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]

from trainables.errors import InputError, cause
from trainables.sizes import shown_size

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_OTHER_SUFFIXES = frozenset(
    {".csv", ".db", ".gif", ".html", ".ini", ".json", ".mat", ".md", ".npy", ".txt", ".xml"}
    | {".yaml", ".yml", ".zip"}
)
_SIGNATURES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|BM.{8}\0\0|II\*\0|MM\0\*|RIFF.{4}WEBP|P[1-6]\s", re.DOTALL
)
"""How files of the formats in `IMAGE_SUFFIXES` begin."""
_HEAD = 16
LARGEST_FILE = 1 << 30
"""Bytes; Pillow refuses images that have more pixels than fit."""
_UNCHECKED_FILE = 1 << 26
_MOST_ENTRIES = 100_000
"""After this many entries, a walk stops unless at least one in a hundred was an image."""


class StoredFile(NamedTuple):
    """A file in a folder or an archive."""

    content: Callable[[], bytes]
    head: Callable[[], bytes]
    """Its first bytes."""


Files = Mapping[str, StoredFile]
"""Files by their path in a folder or an archive, with slashes."""


def is_hidden(part: str) -> bool:
    """Whether a name in a path is that of a hidden file or of what a Mac adds to archives."""
    return part.startswith(".") or part == "__MACOSX"


def is_image(name: str, head: Callable[[], bytes]) -> bool:
    """Whether a file is an image that is read: by its suffix, or by its ``head`` where unsure."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in IMAGE_SUFFIXES or suffix in _OTHER_SUFFIXES:
        return suffix in IMAGE_SUFFIXES
    return _SIGNATURES.match(head()) is not None


def suffix_of(name: str) -> str:
    """The name under which a file that is no image is counted as passed over: its suffix."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if re.fullmatch(r"\.\w{1,8}", suffix) else "without a usual suffix"


def counted(passed_over: Counter[str]) -> tuple[str, ...]:
    """ "6 .gif" and so on, the most frequent first."""
    ordered = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
    return tuple(f"{count} {what}" for what, count in ordered)


def available_memory() -> int:
    """Bytes that processes can still take on this machine."""
    return int(psutil.virtual_memory().available)


def check_fits(place: object, size: int, available: int) -> None:
    """Refuse to hold ``size`` bytes of ``place`` in ``available`` bytes of memory.

    Raises:
        InputError: with both sizes.
    """
    if size > available:
        raise InputError(
            f"{place}: unpacks to {shown_size(size)} or more; "
            f"{shown_size(available)} of memory are available"
        )


def check_file_size(place: object, size: int) -> None:
    """Refuse a file that is too large for an image, or for the memory that is left.

    Raises:
        InputError: with its size.
    """
    if size > LARGEST_FILE:
        raise InputError(f"{place}: {shown_size(size)} (allowed: up to 1 GiB for an image)")
    if size > _UNCHECKED_FILE:  # asking for each small one would take longer than reading it
        check_fits(place, size, available_memory())


def read_file(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        InputError: it is too large for an image.
    """
    check_file_size(path, path.stat().st_size)
    return path.read_bytes()


def stored_file(path: Path) -> StoredFile:
    """The file at ``path``; its content is read only when it is used."""
    return StoredFile(partial(read_file, path), partial(file_head, path))


def file_head(path: Path) -> bytes:
    """The first bytes of a file; none if it is empty, as files in /proc seem to be."""
    if not path.stat().st_size:
        return b""
    with path.open("rb") as file:
        return file.read(_HEAD)


class Walk:
    """A walk through folders that visits each real folder once and hidden entries never.

    Only regular files are found. Links to folders are followed after all real folders, so that a
    link never takes the images of the folder that it leads to. ``passed_over`` counts the rest.
    """

    def __init__(self, keep: Callable[[Path], bool]) -> None:
        """``keep`` says which files are wanted; it is called for regular files."""
        self.passed_over: Counter[str] = Counter()
        self._keep = keep
        self._visited: set[tuple[int, int]] = set()
        self._entries = self._kept = 0

    def files(self, folders: Iterable[tuple[Hashable, Path]]) -> dict[Hashable, list[Path]]:
        """The wanted files below each of ``folders``, sorted, by the keys of ``folders``.

        Raises:
            InputError: a folder cannot be read, an image is a broken link, or there are very many
                entries and hardly an image among them.
        """
        found: dict[Hashable, list[Path]] = {}
        real: list[tuple[Hashable, Path]] = []
        links: list[tuple[Hashable, Path]] = []
        for key, folder in folders:
            found.setdefault(key, [])
            (links if folder.is_symlink() else real).append((key, folder))
        while real or links:
            key, folder = real.pop() if real else links.pop(0)
            status = folder.stat()
            identity = (status.st_dev, status.st_ino)
            if identity in self._visited or (folder.is_symlink() and _leads_up(folder)):
                self.passed_over["link(s) to a folder that is read elsewhere"] += 1
                continue
            self._visited.add(identity)
            for entry in self._scan(folder):
                path = Path(entry.path)
                match kind_of(entry):
                    case "folder":
                        real.append((key, path))
                    case "link to a folder":
                        links.append((key, path))
                    case "file" if self._keep(path):
                        self._kept += 1
                        found[key].append(path)
                    case "file":
                        self.passed_over[suffix_of(entry.name)] += 1
                    case "broken link" if path.suffix.lower() in IMAGE_SUFFIXES:
                        raise InputError(f"{path}: a broken link to {path.readlink()}")
                    case other:
                        self.passed_over[f"{other}(s)"] += 1
        return {key: sorted(paths) for key, paths in found.items()}

    def _scan(self, folder: Path) -> list[os.DirEntry[str]]:
        entries = scan(folder)
        self._entries += len(entries)
        if self._entries > _MOST_ENTRIES + 100 * self._kept:
            raise InputError(
                f"{folder}: no data set here: {self._kept:,} images among the first "
                f"{self._entries:,} entries"
            )
        return entries


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder, without hidden ones, sorted by name.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            shown = [entry for entry in entries if not is_hidden(entry.name)]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {cause(error)}") from None
    return sorted(shown, key=lambda entry: entry.name)


def kind_of(entry: os.DirEntry[str]) -> str:
    """What an entry is: file, folder, link to a folder, broken link or special file."""
    try:
        mode = entry.stat().st_mode
    except OSError:  # the target is missing, or a link leads to itself
        return "broken link"
    if stat.S_ISDIR(mode):
        return "link to a folder" if entry.is_symlink() else "folder"
    return "file" if stat.S_ISREG(mode) else "special file"


def _leads_up(link: Path) -> bool:
    """Whether a link leads to a folder that holds the link."""
    target, parent = link.resolve(), link.parent.resolve()
    return target == parent or target in parent.parents
