"""Data sets by name, as uint8 tensors that all processes of a node share.

A source is surveyed once (fingerprint of its contents, size and channels of its images), decoded
once into one cache file per split, and mapped into memory from then on. The training cache is in a
stratified order made from the fingerprint, so that the validation split of any fraction is a prefix
of it and the training split is the rest: both are slices, and neither depends on a trial's seed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from trainables.atomic_write import atomic_write
from trainables.data.cache import (
    CacheDamagedError,
    CachedSplit,
    build_lock,
    images_per_block,
    read_split,
    write_split,
)
from trainables.data.records import Contents, Records, Source, stratified_cut, stratified_order
from trainables.data.sources import find_source
from trainables.data_dir import default_data_dir
from trainables.errors import InputError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many images are done, and how many there are."""

GREY_MODES = frozenset({"1", "L", "LA", "I;16", "I;16B", "I;16L"})
_LOOKED_AT = 512
_KEPT_LOADED = 8

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, C, H, W] and labels int64 [N], backed by shared pages: do not write."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set at one image size. ``mean`` and ``std`` (per channel, in 0..1) are over the
    source's training images, so that they do not vary with the validation fraction."""

    name: str
    classes: tuple[str, ...]
    fingerprint: str
    image_size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: Split
    validation: Split
    test: Split
    cache_dir: Path

    @property
    def colour(self) -> bool:
        """Whether images have three channels."""
        return self.channels == 3

    @property
    def horizontal_flip(self) -> bool:
        """Whether a mirrored image is still an image of its class."""
        return self.name != "digits"


@dataclass(frozen=True)
class Survey:
    """What a source holds, from reading all of it once."""

    fingerprint: str
    classes: tuple[str, ...]
    channels: int
    image_size: int | None
    """Short side in pixels; None when images differ in size."""
    images: dict[str, int]


_loaded: dict[tuple[str, int | None, float, Path], Dataset] = {}
_loading = Lock()


def load_dataset(
    name: str,
    *,
    image_size: int | None = None,
    validation_fraction: float = 0.1,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The data set ``name``; the same object when asked for again in one process.

    ``image_size`` is the side in pixels (the short side is resized, then the centre cropped), by
    default the source's own. ``validation_fraction`` of the training images of each class become
    the validation split.

    Raises:
        InputError: the source is unknown, missing or corrupt, or its classes do not suffice.
    """
    key = (name, image_size, validation_fraction, data_dir or default_data_dir())
    with _loading:
        if key not in _loaded:
            while len(_loaded) >= _KEPT_LOADED:
                del _loaded[next(iter(_loaded))]
            _loaded[key] = _load(*key, progress or (lambda what, done, total: None))
        return _loaded[key]


def _load(
    name: str, image_size: int | None, fraction: float, data_dir: Path, progress: Progress
) -> Dataset:
    if not 0 < fraction < 1:
        raise InputError(f"validation_fraction: {fraction:g} (allowed: between 0 and 1)")
    source = find_source(name, data_dir)
    opened = _Opened(source, data_dir / "cache", progress)
    survey = opened.survey
    size = image_size or survey.image_size
    if size is None:
        raise InputError(f"data set {name!r}: its images differ in size; image_size is needed")
    train = opened.split("train", size)
    test = opened.split("test", size)
    cut = _validation_images(name, train.labels, survey.classes, fraction)
    return Dataset(
        name=name,
        classes=survey.classes,
        fingerprint=survey.fingerprint,
        image_size=size,
        channels=survey.channels,
        mean=train.mean,
        std=train.std,
        train=Split(train.images[cut:], train.labels[cut:]),
        validation=Split(train.images[:cut], train.labels[:cut]),
        test=Split(test.images, test.labels),
        cache_dir=opened.folder,
    )


class _Opened:
    """A source and its caches; the source itself is read only where a cache is missing."""

    def __init__(self, source: Source, cache_dir: Path, progress: Progress) -> None:
        self.source = source
        self.progress = progress
        self.cache_dir = cache_dir
        with _writing(cache_dir):
            cache_dir.mkdir(parents=True, exist_ok=True)
        self.survey = self._survey()
        # Named by what is in it, not by the place it was read from.
        kind = source.name.partition(":")[0]
        self.folder = cache_dir / f"{kind}-{self.survey.fingerprint[:12]}"

    @cached_property
    def contents(self) -> Contents:
        return self.source.read()

    def _survey(self) -> Survey:
        """The survey of the source as it is now: remembered, or made and remembered."""
        key = hashlib.sha256(f"{self.source.name}\n{self.source.stamp}".encode()).hexdigest()[:24]
        path = self.cache_dir / f"survey-{key}.json"
        try:
            values = json.loads(path.read_text())
            return Survey(**{**values, "classes": tuple(values["classes"])})
        except FileNotFoundError:
            pass
        except (ValueError, TypeError, KeyError):
            log.warning("%s: damaged; surveying the source again", path)
        survey = make_survey(self.source.name, self.contents, self.progress)
        with _writing(self.cache_dir):
            atomic_write(path, json.dumps(asdict(survey)).encode())
        return survey

    def split(self, split: str, size: int) -> CachedSplit:
        """The cached images of ``split`` at ``size`` pixels, built where they are missing."""
        path = self.folder / f"{split}-{size}.images"
        fingerprint = self.survey.fingerprint
        with contextlib.suppress(FileNotFoundError, CacheDamagedError):
            return read_split(path, fingerprint)
        with _writing(self.folder), build_lock(self.folder):
            try:  # Another process may have built it while this one waited.
                return read_split(path, fingerprint)
            except FileNotFoundError:
                pass
            except CacheDamagedError as error:
                log.warning("%s: damaged (%s); building it again", path, error)
            records = self.contents.splits[split]
            order = np.arange(len(records.labels))
            if split == "train":
                order = stratified_order(records.labels, fingerprint)
            shape = (self.survey.channels, size, size)
            blocks = _decode(records, order, shape, partial(self.progress, f"decoding {split}"))
            write_split(path, fingerprint, records.labels[order], blocks)
            return read_split(path, fingerprint)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder}: cannot write the cache ({error.strerror}); MIXCO_DATA sets its place"
        ) from None


def make_survey(name: str, contents: Contents, progress: Progress) -> Survey:
    """Read every record once: fingerprint, channels and size.

    Raises:
        InputError: an image that cannot be opened (its file), fewer than two classes.
    """
    if len(contents.classes) < 2:
        raise InputError(
            f"data set {name!r}: one class only ({', '.join(contents.classes)}); at least 2"
        )
    digest = hashlib.sha256("\n".join(contents.classes).encode())
    looks: set[tuple[int, int, str]] = set()
    for split, records in contents.splits.items():
        digest.update(records.labels.astype("<i8").tobytes())
        done = 0
        for images in in_threads(partial(_look, records), len(records.labels), _LOOKED_AT):
            done += len(images)
            progress(f"reading {split}", done, len(records.labels))
            for content, look in images:
                digest.update(content)
                looks.add(look)
    sides = {(width, height) for width, height, _ in looks}
    modes = {mode for *_, mode in looks}
    return Survey(
        fingerprint=digest.hexdigest(),
        classes=contents.classes,
        channels=1 if modes <= GREY_MODES else 3,
        image_size=min(sides.pop()) if len(sides) == 1 else None,
        images={split: len(records.labels) for split, records in contents.splits.items()},
    )


def _look(records: Records, indices: range) -> list[tuple[bytes, tuple[int, int, str]]]:
    """Digest, and width, height and mode, of each image."""
    looks = []
    for index in indices:
        with _naming_corrupt(records, index):
            content, image = records.read(index)
            looks.append((hashlib.sha256(content).digest(), (*image.size, image.mode)))
    return looks


def _validation_images(
    name: str, labels: torch.Tensor, classes: tuple[str, ...], fraction: float
) -> int:
    """Length of the prefix that is the validation split."""
    cut = stratified_cut(labels.numpy(), fraction)
    counts = torch.bincount(labels, minlength=len(classes))
    held_out = torch.bincount(labels[:cut], minlength=len(classes))
    for label, class_name in enumerate(classes):
        if held_out[label] == 0 or held_out[label] == counts[label]:
            raise InputError(
                f"data set {name!r}: class {class_name!r} has {counts[label]} training images, too "
                f"few for a validation split of {fraction:.0%} (allowed: classes that leave at "
                "least one image on both sides)"
            )
    return cut


def _decode(
    records: Records,
    order: npt.NDArray[np.int64],
    shape: tuple[int, int, int],
    progress: Callable[[int, int], None],
) -> Iterator[npt.NDArray[np.uint8]]:
    """Blocks [B, C, H, W] of the images ``order``."""

    def decode(places: range) -> npt.NDArray[np.uint8]:
        block = np.empty((len(places), *shape), np.uint8)
        for row, index in enumerate(order[places.start : places.stop]):
            with _naming_corrupt(records, int(index)):
                block[row] = square_pixels(records.read(int(index))[1], shape)
        return block

    done = 0
    for block in in_threads(decode, len(order), images_per_block(shape)):
        yield block
        done += len(block)
        progress(done, len(order))


def square_pixels(image: Image.Image, shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """An image as uint8 [C, H, W]: the short side resized (bilinear), the centre cropped."""
    channels, size, _ = shape
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode}; 8 or 16 bits for each channel are allowed")
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


@contextlib.contextmanager
def _naming_corrupt(records: Records, index: int) -> Iterator[None]:
    """Turn what a decoder raises (Pillow's raise many kinds) into an error that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # The message of an unknown kind is an object's address.
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "its kind is unknown" if unknown else error
        raise InputError(f"{records.where(index)}: not a readable image ({reason})") from None


def in_threads(work: Callable[[range], T], total: int, step: int) -> Iterator[T]:
    """``work`` on each range of ``step`` out of ``total``, in order, by threads a little ahead."""
    threads = len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[T]] = deque()
    try:
        for start in range(0, total, step):
            if len(waiting) == 2 * threads:
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, range(start, min(start + step, total))))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
