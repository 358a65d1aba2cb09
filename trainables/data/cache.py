"""A split's images and labels in one memory-mapped file.

The file is a prefix page, the labels (int64), the images (uint8 [N, C, H, W]) and a description in
JSON. A slice of it is a tensor without a copy, and all processes of a node share its pages.
Checksums of the description, the labels and each block of images tell a damaged file from a good
one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import math
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch

from trainables.atomic_write import LEFTOVERS, atomic_file
from trainables.device.cpus import usable_cpus

_MAGIC = b"mixco-images-1\r\n"
_PREFIX = struct.Struct("<16sQII")
"""Magic, offset of the description, its length and its CRC-32."""
_PAGE = mmap.ALLOCATIONGRANULARITY
_BLOCK_BYTES = 8 << 20

log = logging.getLogger(__name__)


class CacheDamagedError(Exception):
    """A cache file is cut short, altered, or made from another source."""


@dataclass(frozen=True)
class _Description:
    fingerprint: str
    shape: tuple[int, int, int, int]
    label_crc: int
    block_crcs: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class CachedSplit:
    """Images uint8 [N, C, H, W] and labels int64 [N], both backed by the file's pages.

    ``mean`` and ``std`` are over all pixels of each channel, in 0..1.
    """

    images: torch.Tensor
    labels: torch.Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]


def images_per_block(image_shape: tuple[int, ...]) -> int:
    """Images in one block, the unit of decoding, writing and checking."""
    return max(1, _BLOCK_BYTES // math.prod(image_shape))


def write_split(
    path: Path,
    fingerprint: str,
    labels: npt.NDArray[np.int64],
    blocks: Iterable[npt.NDArray[np.uint8]],
) -> None:
    """Write ``blocks``, each of `images_per_block` images [B, C, H, W], the last one shorter.

    Raises:
        OSError: the disk is full or not writable; nothing is left behind.
    """
    label_bytes = labels.astype("<i8").tobytes()
    with atomic_file(path) as file:
        file.seek(_PAGE)
        file.write(label_bytes)
        file.seek(_images_at(len(labels)))
        crcs, moments = [], _Moments()
        for block in blocks:
            file.write(block.data)
            crcs.append(zlib.crc32(block.data))
            moments.add(block)
        text = json.dumps(
            asdict(
                _Description(
                    fingerprint=fingerprint,
                    shape=(len(labels), *block.shape[1:]),
                    label_crc=zlib.crc32(label_bytes),
                    block_crcs=tuple(crcs),
                    mean=moments.mean,
                    std=moments.std,
                )
            )
        ).encode()
        offset = file.tell()
        file.write(text)
        file.seek(0)
        file.write(_PREFIX.pack(_MAGIC, offset, len(text), zlib.crc32(text)))


def read_split(path: Path, fingerprint: str) -> CachedSplit:
    """Map the split at ``path`` after comparing its checksums.

    Raises:
        FileNotFoundError: there is no such file.
        CacheDamagedError: it is not a whole, unaltered cache of the source ``fingerprint``.
    """
    with path.open("rb") as file:
        description, size = _read_description(file)
        if description.fingerprint != fingerprint:
            raise CacheDamagedError("made from another source")
        count = description.shape[0]
        if size != _images_at(count) + math.prod(description.shape):
            raise CacheDamagedError("shape and size of the file disagree")
        # Copy-on-write: the pages are shared until written, and writing never reaches the file.
        labels = np.memmap(file, np.dtype("<i8"), "c", _PAGE, (count,))
        images = np.memmap(file, np.uint8, "c", _images_at(count), description.shape)
    if zlib.crc32(labels.data) != description.label_crc:
        raise CacheDamagedError("checksum of the labels")
    per_block = images_per_block(description.shape[1:])
    blocks = (images[start : start + per_block].data for start in range(0, count, per_block))
    with ThreadPoolExecutor(usable_cpus()) as pool:
        if tuple(pool.map(zlib.crc32, blocks)) != tuple(description.block_crcs):
            raise CacheDamagedError("checksum of the images")
    return CachedSplit(
        torch.from_numpy(images),
        torch.from_numpy(labels),
        tuple(description.mean),
        tuple(description.std),
    )


@contextlib.contextmanager
def build_lock(folder: Path) -> Iterator[None]:
    """Let one process at a time build in ``folder``. A process that dies releases the lock.

    On file systems without locks (some NFS mounts), two processes may do the same work. Each file
    is still moved into place whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            log.warning("%s: no file locks here (%s); building without", folder, error)
        else:
            for leftover in folder.glob(LEFTOVERS):  # of a process that was killed
                leftover.unlink(missing_ok=True)
        yield


def _read_description(file: BinaryIO) -> tuple[_Description, int]:
    """The description, and its offset in the file, at which the images end."""
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        raise CacheDamagedError("cut short")
    magic, offset, length, crc = _PREFIX.unpack(prefix)
    if magic != _MAGIC:
        raise CacheDamagedError("not a cache of images of this version")
    if offset + length != size:
        raise CacheDamagedError(f"{size} bytes instead of {offset + length}")
    file.seek(offset)
    text = file.read(length)
    if zlib.crc32(text) != crc:
        raise CacheDamagedError("checksum of the description")
    return _Description(**json.loads(text)), offset


def _images_at(count: int) -> int:
    """Offset of the images: the first page boundary after the labels."""
    return _PAGE + -(-8 * count // _PAGE) * _PAGE


class _Moments:
    """Exact mean and standard deviation of each channel; all sums are integers."""

    def __init__(self) -> None:
        self.pixels = 0
        self.sums: npt.NDArray[np.uint64] = np.zeros(1, np.uint64)
        self.squares: npt.NDArray[np.uint64] = np.zeros(1, np.uint64)

    def add(self, block: npt.NDArray[np.uint8]) -> None:
        axes = (0, 2, 3)
        self.pixels += block.size // block.shape[1]
        self.sums = self.sums + block.sum(axes, dtype=np.uint64)
        # 255 squared just fits 16 bits.
        self.squares = self.squares + np.square(block, dtype=np.uint16).sum(axes, dtype=np.uint64)

    @property
    def mean(self) -> tuple[float, ...]:
        return tuple(float(total) / self.pixels / 255 for total in self.sums)

    @property
    def std(self) -> tuple[float, ...]:
        variances = (
            (int(square) * self.pixels - int(total) ** 2) / self.pixels**2
            for total, square in zip(self.sums, self.squares, strict=True)
        )
        return tuple(math.sqrt(variance) / 255 for variance in variances)
