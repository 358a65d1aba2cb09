"""Data sets by name, as uint8 tensors that all processes of a node share.

A source is surveyed once (fingerprint of its contents, size and channels of its images). Each split
is decoded once into one cache file, and is mapped into memory from then on. The training cache is
in the order of `trainables.data.splits`, so that the validation split and the training split are
slices of it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from threading import Lock

import numpy as np
import torch

from trainables.data.cache import (
    CacheDamagedError,
    CachedSplit,
    build_lock,
    images_per_block,
    read_split,
    write_split,
)
from trainables.data.decoding import decode_blocks
from trainables.data.naming import place_of
from trainables.data.records import Contents, LocatedData
from trainables.data.sources import find_source
from trainables.data.splits import stratified_order, training_images, validation_images
from trainables.data.survey import Progress as Progress
from trainables.data.survey import (
    Survey,
    make_survey,
    remember_survey,
    remembered_survey,
    survey_path,
)
from trainables.data_dir import cache_folder, default_data_dir
from trainables.errors import InputError, cause, listed, shown

_KEPT_LOADED = 8

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
    source's training images, so that they do not vary with the fractions."""

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
    horizontal_flip: bool = True
    """Whether a mirrored image is still an image of its class."""
    passed_over: str = ""
    """Files that lie among the images and are not read ("6 .gif")."""

    @property
    def colour(self) -> bool:
        """Whether images have three channels."""
        return self.channels == 3


def warn(line: str) -> None:
    """Log a warning."""
    log.warning("%s", line)


_loaded: dict[tuple[str, int | None, float, float, Path], Dataset] = {}
_loading = Lock()


def load_dataset(
    name: str,
    *,
    image_size: int | None = None,
    validation_fraction: float = 0.1,
    train_fraction: float = 1.0,
    data_dir: Path | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] = warn,
) -> Dataset:
    """The data set ``name``; the same object when asked for again in one process.

    Args:
        name: a name that `mixco data list` prints, KIND:PATH, or KIND:PATH?OPTION=VALUE; a
            short name before it (NAME=KIND:PATH) is left out.
        image_size: the side in pixels (the short side is resized, then the centre cropped); by
            default the source's own.
        validation_fraction: the share of the training images of each class that becomes the
            validation split.
        train_fraction: the share of the images of each class that the validation split leaves
            which becomes the training split.
        data_dir: where data sets and caches are; by default `default_data_dir`.
        progress: called while images are read and decoded.
        note: called with one line if the source holds files that are not read.

    Raises:
        InputError: the source is unknown, missing or corrupt, or its classes do not suffice.
    """
    place = data_dir or default_data_dir()
    key = (place_of(name), image_size, validation_fraction, train_fraction, place)
    with _loading:
        if key not in _loaded:
            while len(_loaded) >= _KEPT_LOADED:
                del _loaded[next(iter(_loaded))]
            _loaded[key] = _load(*key, progress or (lambda what, done, total: None), note)
        return _loaded[key]


def _load(
    name: str,
    image_size: int | None,
    validation_fraction: float,
    train_fraction: float,
    data_dir: Path,
    progress: Progress,
    note: Callable[[str], None],
) -> Dataset:
    if not 0 < validation_fraction < 1:
        raise InputError(f"validation_fraction: {validation_fraction:g} (allowed: between 0 and 1)")
    if not 0 < train_fraction <= 1:
        raise InputError(f"train_fraction: {train_fraction:g} (allowed: above 0, 1 at most)")
    source = find_source(name, data_dir)
    opened = _Opened(source, cache_folder(data_dir), progress)
    survey = opened.survey
    passed_over = listed(survey.passed_over)
    if passed_over:
        note(f"data set {shown(name)}: passed over: {passed_over}")
    size = image_size or survey.image_size
    if size is None:
        raise InputError(f"data set {name!r}: its images differ in size; image_size is needed")
    train = opened.split("train", size)
    test = opened.split("test", size)
    cut = validation_images(name, train.labels.numpy(), survey.classes, validation_fraction)
    end = cut + training_images(name, train.labels[cut:].numpy(), survey.classes, train_fraction)
    return Dataset(
        name=name,
        classes=survey.classes,
        fingerprint=survey.fingerprint,
        image_size=size,
        channels=survey.channels,
        mean=train.mean,
        std=train.std,
        train=Split(train.images[cut:end], train.labels[cut:end]),
        validation=Split(train.images[:cut], train.labels[:cut]),
        test=Split(test.images, test.labels),
        cache_dir=opened.folder,
        horizontal_flip=source.horizontal_flip,
        passed_over=passed_over,
    )


class _Opened:
    """A source and its caches; the source itself is read only where a cache is missing."""

    def __init__(self, source: LocatedData, cache_dir: Path, progress: Progress) -> None:
        self.source = source
        self.progress = progress
        self.cache_dir = cache_dir
        with _writing(cache_dir):
            cache_dir.mkdir(parents=True, exist_ok=True)
        self.survey = self._survey()
        # The fingerprint of the contents names the folder, not the place of the source.
        kind = source.name.partition(":")[0]
        self.folder = cache_dir / f"{kind}-{self.survey.fingerprint[:12]}"

    @cached_property
    def contents(self) -> Contents:
        try:
            return self.source.read()
        except OSError as error:  # a file that has gone since it was found
            place = shown(error.filename or self.source.place)
            raise InputError(f"{place}: {cause(error)}") from None

    def _survey(self) -> Survey:
        """The survey of the source: the stored one unless the source has changed since."""
        path = survey_path(self.source, self.cache_dir)
        survey = remembered_survey(path)
        if survey is None:
            survey = make_survey(self.source.name, self.contents, self.progress)
            with _writing(self.cache_dir):
                remember_survey(path, survey)
        return survey

    def split(self, split: str, size: int) -> CachedSplit:
        """The cached images of ``split`` at ``size`` pixels. Decodes them the first time."""
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
            progress = partial(self.progress, f"decoding {split}")
            blocks = decode_blocks(records, order, shape, images_per_block(shape), progress)
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
