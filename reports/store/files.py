"""The files of one results folder, on this machine or in an object store.

A results path is a path, whatever characters it has; it is a URI where it begins with a scheme
(``s3://``, ``gs://``, ``file://``, ...).
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.fs

from reports.store import address
from trainables.atomic_write import LEFTOVERS, atomic_write
from trainables.errors import InputError, cause, shown

_OBJECT_STORES = ("s3", "gcs", "abfs")
_OUT_OF_REACH = re.compile(
    "AWS Error (NETWORK_CONNECTION|REQUEST_TIMEOUT|SERVICE_UNAVAILABLE|SLOW_DOWN|THROTTLING)"
)
"""Errors of the network or the service, not of what the user wrote."""
_WRITE_ATTEMPTS = 11  # 25 ms, doubled each time
_READ_ATTEMPTS, _READ_SECONDS = 5, 0.2

_Answer = TypeVar("_Answer")


class StoreError(OSError):
    """The results could not be written or read; what was written before is whole."""


class Files:
    """The files of one results folder.

    Attributes:
        filesystem: where they are.
        root: the folder's path in ``filesystem``.
        uri: the path or URI that a user gave. It may hold a secret: print ``name`` instead.
        name: ``uri`` without secrets, in one printable line.
    """

    def __init__(self, filesystem: pa.fs.FileSystem, root: str, uri: str) -> None:
        self.filesystem = filesystem
        self.root = root.rstrip("/") or "/"
        self.uri = uri
        self.name = address.public(uri)

    @property
    def is_local(self) -> bool:
        """Whether the files are on this machine."""
        return self.filesystem.type_name == "local"

    def write_bytes(self, path: str, content: bytes | pa.Buffer) -> None:
        """Write the file ``path`` (relative to the root) in one piece: all of it or nothing.

        An object store shows an object only once its upload is complete. Elsewhere the bytes go to
        a hidden file first, which is then renamed.

        Raises:
            StoreError: the file system refused.
        """
        target = f"{self.root}/{path}"
        try:
            if self.is_local:
                atomic_write(Path(target), memoryview(content))
            elif self.filesystem.type_name in _OBJECT_STORES:
                self._write_stream(target, content)
            else:
                self._write_and_move(target, content)
        except OSError as error:
            raise StoreError(f"{shown(target)}: cannot write results: {cause(error)}") from error

    def _write_and_move(self, target: str, content: bytes | pa.Buffer) -> None:
        folder, name = posixpath.split(target)
        partial = f"{folder}/.{name}.partial"
        self.filesystem.create_dir(folder, recursive=True)
        try:
            self._write_stream(partial, content)
            self.filesystem.move(partial, target)
        except BaseException:
            with contextlib.suppress(OSError):
                self.filesystem.delete_file(partial)
            raise

    def _write_stream(self, path: str, content: bytes | pa.Buffer) -> None:
        with self.filesystem.open_output_stream(path) as stream:
            stream.write(content)

    def read_bytes(self, path: str) -> bytes | None:
        """The file ``path`` (relative to the root); None where there is none.

        Raises:
            StoreError: the file system is out of reach, or the file cannot be read.
        """
        target = f"{self.root}/{path}"
        try:
            with self.open_file(target) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None
        except StoreError:
            raise
        except OSError as error:
            raise self._unreadable(target, error) from error

    def read_text(self, path: str) -> str | None:
        """The UTF-8 text of the file ``path`` (relative to the root); None where there is none.

        Raises:
            InputError: the file is not UTF-8.
            StoreError: as `read_bytes`.
        """
        content = self.read_bytes(path)
        try:
            return None if content is None else content.decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.name}/{path}: is not UTF-8 text (byte {error.start}); the file is damaged"
            ) from None

    def open_file(self, target: str) -> pa.NativeFile:
        """A file to read from; from an object store all its bytes.

        So what fails later is damage to the file.

        Raises:
            FileNotFoundError: there is none.
            StoreError: the object store is out of reach.
        """
        if self.filesystem.type_name not in _OBJECT_STORES:
            return self.filesystem.open_input_file(target)

        def read() -> pa.NativeFile:
            # The SDK tries again, but not where the text of an error is longer than the bytes that
            # were asked for: hence the whole file, and a loop for the small ones.
            with self.filesystem.open_input_file(target) as source:
                return pa.BufferReader(source.read_buffer())

        return self._patiently(target, read)

    def list_files(self, folder: str) -> list[pa.fs.FileInfo]:
        """The visible files in ``folder`` (relative to the root); none where it does not exist.

        Raises:
            StoreError: the file system is out of reach.
        """
        selector = pa.fs.FileSelector(f"{self.root}/{folder}", allow_not_found=True)
        try:
            found = self.filesystem.get_file_info(selector)
        except OSError as error:
            raise self._unreadable(selector.base_dir, error) from error
        return [info for info in found if info.is_file and not info.base_name.startswith(".")]

    def delete(self, target: str) -> None:
        """Delete a file; it is no error where it is gone already.

        Raises:
            StoreError: the file system refused.
        """
        try:
            self.filesystem.delete_file(target)
        except FileNotFoundError:
            return  # The first of two attempts may have deleted it, and its answer got lost.
        except OSError as error:
            raise StoreError(f"{shown(target)}: cannot delete: {cause(error)}") from error

    def delete_leftovers(self, folder: str) -> None:
        """Delete the temporary files in ``folder`` that a killed process left behind."""
        if self.is_local:
            for path in Path(self.root, folder).glob(LEFTOVERS):
                path.unlink(missing_ok=True)

    def _patiently(self, target: str, read: Callable[[], _Answer]) -> _Answer:
        for attempt in range(_READ_ATTEMPTS):
            try:
                return read()
            except FileNotFoundError:
                raise
            except OSError as error:
                if attempt == _READ_ATTEMPTS - 1:
                    raise self._unreadable(target, error) from error
                time.sleep(_READ_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

    def _unreadable(self, target: str, error: OSError) -> StoreError:
        return StoreError(f"{shown(target)}: cannot read results: {cause(error)}")


def open_files(root: str | Path, create: bool = False) -> tuple[pa.fs.FileSystem, str]:
    """The file system of ``root``, a path or a URI, and the folder's path in it.

    Raises:
        InputError: ``root`` is malformed, not allowed or not a folder; or there is no such folder
            and ``create`` is false.
        StoreError: the object store is out of reach.
    """
    name = address.public(root)
    try:
        if address.is_uri(root):
            filesystem, path = pa.fs.FileSystem.from_uri(str(root))
            if filesystem.type_name == "s3":
                filesystem = _persistent(filesystem)
        else:
            filesystem, path = pa.fs.LocalFileSystem(), _utf8(Path(root).absolute().as_posix())
        found = filesystem.get_file_info(path).type
        if found == pa.fs.FileType.Directory and filesystem.type_name == "local":
            next(Path(path).iterdir(), None)  # raises where reading is not allowed
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = shown(address.without_secrets(" ".join(str(error).split()), root), 300)
        if _OUT_OF_REACH.search(str(error)):
            raise StoreError(f"{name}: {reason}") from None
        raise InputError(f"{name}: {reason}") from None
    if found == pa.fs.FileType.File:
        raise InputError(f"{name}: is a file, not a results folder")
    if not create and found != pa.fs.FileType.Directory:
        raise InputError(f"{name}: no such results folder")
    return filesystem, path


def _utf8(path: str) -> str:
    """The path, which pyarrow passes on as UTF-8.

    Raises:
        ValueError: its name on the disk is not UTF-8.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError("the path is not UTF-8 (rename the folder)") from None
    return path


def _persistent(filesystem: pa.fs.S3FileSystem) -> pa.fs.S3FileSystem:
    """The same file system; it retries for about half a minute, and writes small files at once.

    A URI has no option for either: the number of attempts is a setting of the SDK, and by default
    a file is uploaded in parts, with three requests at least.
    """
    _, (options,) = filesystem.__reduce__()
    return pa.fs.S3FileSystem(
        **{
            **options,
            "retry_strategy": pa.fs.AwsDefaultS3RetryStrategy(max_attempts=_WRITE_ATTEMPTS),
            "allow_delayed_open": True,
        }
    )
