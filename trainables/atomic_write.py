"""Files and folders that are whole or absent: the only place that writes a temporary name.

The content goes to a hidden temporary name in the same folder, is flushed to the disk, and is then
renamed. A reader sees the old content or the new content, never a part. Two processes that write
one file at a time use two temporary names: the later rename wins.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LEFTOVERS = ".*.partial"
"""A glob pattern for temporary names. A process that was killed leaves its own behind."""
_KEPT_CHARACTERS = 50  # of the name, at most 200 bytes: file systems allow names of 255 bytes


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that takes the name ``path`` when the block ends without an error.

    The file gets the permissions of a new file (``umask``). Missing folders are created.

    Raises:
        OSError: the disk is full or not writable; the temporary file is removed, and what was at
            ``path`` before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # The first error is the one to report.
            temporary.unlink(missing_ok=True)
        raise


def atomic_write(path: Path, content: bytes | memoryview) -> None:
    """Write ``content`` to the file ``path``, whole or not at all.

    Raises:
        OSError: as `atomic_file`.
    """
    with atomic_file(path) as file:
        file.write(content)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the name ``path`` when the block ends without an error.

    Raises:
        OSError: ``path`` is a file or a folder with content, or the disk is full or not writable;
            the temporary folder is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name[:_KEPT_CHARACTERS]}.{uuid.uuid4().hex[:12]}.partial")
