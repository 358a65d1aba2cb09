"""What a source holds, found by reading all of it once, and remembered beside the caches."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from trainables.atomic_write import atomic_write
from trainables.data.decoding import in_threads, naming_corrupt, orientation, upright_size
from trainables.data.records import Contents, LocatedData, Records
from trainables.errors import InputError, shown

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many images are done, and how many there are."""

GREY_MODES = frozenset({"1", "L", "LA", "I;16", "I;16B", "I;16L"})
_LOOKED_AT = 512
_VERSION = 2
"""Version of a survey. Increase it if a survey of the same files would now say something else."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Survey:
    """What a source holds, from reading all of it once."""

    fingerprint: str
    classes: tuple[str, ...]
    channels: int
    image_size: int | None
    """Short side in pixels; None when images differ in size."""
    images: dict[str, int]
    passed_over: tuple[str, ...]
    """Files that lie among the images and are not read ("6 .gif")."""


def survey_path(source: LocatedData, cache_dir: Path) -> Path:
    """The file that remembers the survey of ``source`` as its files are now."""
    text = f"{_VERSION}\n{source.name}\n{source.stamp}"
    key = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:24]
    return cache_dir / f"survey-{key}.json"


def remembered_survey(path: Path) -> Survey | None:
    """The survey in the file ``path``; None if the file is missing or damaged."""
    try:
        values = json.loads(path.read_text())
        lists = {key: tuple(values[key]) for key in ("classes", "passed_over")}
        return Survey(**{**values, **lists})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        log.warning("%s: damaged; surveying the source again", shown(path))
        return None


def remember_survey(path: Path, survey: Survey) -> None:
    """Write the survey; a reader sees a whole file or none."""
    atomic_write(path, json.dumps(asdict(survey)).encode())


def make_survey(name: str, contents: Contents, progress: Progress) -> Survey:
    """Read every record once for the fingerprint, the channels and the size.

    The fingerprint is a SHA-256 of the class names, the labels and the stored images. An image
    that its EXIF orientation turns counts as another image than the same bytes read without.

    Raises:
        InputError: an image cannot be opened (its file is named), or there is only one class.
    """
    if len(contents.classes) < 2:
        raise InputError(
            f"data set {name!r}: one class only ({', '.join(contents.classes)}); at least 2"
        )
    digest = hashlib.sha256("\n".join(contents.classes).encode(errors="surrogateescape"))
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
        passed_over=contents.passed_over,
    )


def _look(records: Records, indices: range) -> list[tuple[bytes, tuple[int, int, str]]]:
    """Digest, and width, height and mode, of each image."""
    looks = []
    for index in indices:
        with naming_corrupt(records, index):
            content, image = records.read(index)
            turned = orientation(content, image)
            digest = hashlib.sha256(content)
            if turned != 1:
                digest.update(f"orientation {turned}".encode())
            looks.append((digest.digest(), (*upright_size(image, turned), image.mode)))
    return looks
