"""The layout of tiny-imagenet-200, in a folder or an archive."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from trainables.data.archives import archive_files
from trainables.data.files import (
    IMAGE_SUFFIXES,
    Files,
    Walk,
    counted,
    is_image,
    scan,
    stored_file,
    suffix_of,
)
from trainables.data.records import Contents, LocatedData, encoded_records, stamp_files
from trainables.data.sources.base import Address, DataSource
from trainables.errors import InputError, listed

_LAYOUT = "tiny-imagenet-200"
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
_CLASSES, _WORDS, _ANNOTATIONS = "wnids.txt", "words.txt", "val/val_annotations.txt"
_DEEPEST = 4
_MOST_FOLDERS = 2_000
"""Folders in which `_CLASSES` is looked for."""

_Place = TypeVar("_Place", Path, str)


class TinyImageNet(DataSource):
    """The data set by its name, or its layout at any place; val/ is the test split."""

    name = "tiny-imagenet"
    summary = "64x64 colour photographs of 200 classes"
    path_summary = "its folder, zip or tar at any place"
    can_download = True

    def find(self, address: Address, data_dir: Path) -> LocatedData:
        place = address.path or _place_in(data_dir)
        if place.is_dir():
            root = _root_below(place)
            folder = _Folder(root)
            stamp = stamp_files(folder.paths.values())

            def read() -> Contents:
                return _Layout(root, folder.files, folder.passed_over, "").contents()
        elif place.is_file():
            stamp = stamp_files([place])

            def read() -> Contents:
                files, passed_over = archive_files(place)
                root = _root_among(place, files, passed_over)
                return _Layout(place, files, passed_over, root).contents()
        else:
            raise InputError(f"data set {address.name!r}: no folder or archive {place}")
        return LocatedData(address.name, str(place), stamp, read)

    def download(self, folder: Path) -> None:
        from torchvision.datasets.utils import download_url

        download_url(_URL, folder, md5=_MD5)


def _place_in(data_dir: Path) -> Path:
    """tiny-imagenet-200 as a folder or an archive in ``data_dir``, or in its tiny-imagenet/."""
    places = [
        folder / f"{_LAYOUT}{suffix}"
        for folder in (data_dir / "tiny-imagenet", data_dir)
        for suffix in ("", *_ARCHIVES)
    ]
    place = next((place for place in places if place.exists()), None)
    if place is None:
        raise InputError(
            f"data set 'tiny-imagenet': no {_LAYOUT} (folder, {', '.join(_ARCHIVES)}) in "
            f"{data_dir} or {data_dir / 'tiny-imagenet'} (`mixco data fetch tiny-imagenet`)"
        )
    return place


def _root_below(place: Path) -> Path:
    """The folder that holds wnids.txt: ``place``, or the only one on the highest level below it."""
    level = [place]
    for _ in range(_DEEPEST):
        roots: dict[Path, Path] = {}  # by their real path: links may lead to one folder twice
        deeper: list[Path] = []
        for folder in level[:_MOST_FOLDERS]:
            with contextlib.suppress(OSError, InputError):  # pass over a folder without read rights
                if (folder / _CLASSES).is_file():
                    roots.setdefault(folder.resolve(), folder)
                deeper += [Path(entry.path) for entry in scan(folder) if entry.is_dir()]
        if roots:
            return _only(place, list(roots.values()))
        level = deeper
    found = [entry.name for entry in scan(place)]
    raise _no_layout(place, found)


def _root_among(place: Path, files: Files, passed_over: Counter[str]) -> str:
    """The folder in an archive that holds wnids.txt: the only one on the highest level."""
    roots = [key.removesuffix(_CLASSES) for key in files if key.split("/")[-1] == _CLASSES]
    if not roots:
        raise _no_layout(place, sorted({key.split("/")[0] for key in files}))
    highest = min(root.count("/") for root in roots)
    root = _only(place, [root for root in roots if root.count("/") == highest])
    if len(roots) > 1:
        passed_over[f"other {_CLASSES} in a deeper folder"] += len(roots) - 1
    return root


def _only(place: Path, roots: list[_Place]) -> _Place:
    if len(roots) > 1:
        raise InputError(f"{place}: {_CLASSES} lies in several folders ({listed(roots)}); keep one")
    return roots[0]


def _no_layout(place: Path, found: list[str]) -> InputError:
    return InputError(
        f"{place}: no {_CLASSES} (the layout of {_LAYOUT}; found: {listed(found) or 'nothing'})"
    )


class _Folder:
    """The files of the layout in a folder, by their path in it."""

    def __init__(self, root: Path) -> None:
        walk = Walk(keep=lambda path: True)  # the layout decides
        folders = [(name, root / name) for name in ("train", "val") if (root / name).is_dir()]
        paths = [path for found in walk.files(folders).values() for path in found]
        paths += [root / name for name in (_CLASSES, _WORDS) if (root / name).is_file()]
        self.paths = {path.relative_to(root).as_posix(): path for path in sorted(paths)}
        self.files = {key: stored_file(path) for key, path in self.paths.items()}
        self.passed_over = walk.passed_over


class _Layout:
    """The layout below ``root`` among the files of ``place``."""

    def __init__(self, place: Path, files: Files, passed_over: Counter[str], root: str) -> None:
        self.place = place
        self.root = root
        self.passed_over = passed_over
        self.files = {
            key.removeprefix(root): file for key, file in files.items() if key.startswith(root)
        }

    def contents(self) -> Contents:
        """Class names, training images and the images of val/ as the test split.

        Raises:
            InputError: a file of the layout is missing or wrong.
        """
        wnids = sorted({line.split()[0] for _, line in self._lines(_CLASSES)})
        words = {}
        for _, line in self._lines(_WORDS):
            wnid, _, text = line.partition("\t") if "\t" in line else line.partition(" ")
            words[wnid] = text.rpartition("\t")[2].split(",")[0].strip() or wnid
        label_of = {wnid: label for label, wnid in enumerate(wnids)}
        train, test = self._train(label_of), self._test(label_of)
        if not train or not test:
            split = "val" if train else "train"
            raise InputError(f"{self.place}: no images in {self.root}{split}")
        return Contents(
            tuple(words.get(wnid, wnid) for wnid in wnids),
            encoded_records(train),
            encoded_records(test),
            passed_over=counted(self.passed_over),
        )

    def _train(self, label_of: dict[str, int]) -> list[tuple[str, int, Callable[[], bytes]]]:
        """The images train/WNID/images/*, in the order of their names."""
        images = []
        for key in sorted(self.files):
            split, *parts = key.split("/")
            if split != "train" or parts[-1].endswith("_boxes.txt"):
                continue
            file = self.files[key]
            match parts:
                case [wnid, "images", name] if is_image(name, file.head):
                    if wnid in label_of:
                        images.append(
                            (f"{self.place}/{self.root}{key}", label_of[wnid], file.content)
                        )
                    else:
                        self.passed_over[f"image(s) of classes that {_CLASSES} lacks"] += 1
                case [*_, name] if Path(name).suffix.lower() in IMAGE_SUFFIXES:
                    self.passed_over["image(s) outside of train/CLASS/images"] += 1
                case [*_, name]:
                    self.passed_over[suffix_of(name)] += 1
        return images

    def _test(self, label_of: dict[str, int]) -> list[tuple[str, int, Callable[[], bytes]]]:
        """The images val/images/* that val_annotations.txt lists, in the order of their names."""
        place = f"{self.place}/{self.root}{_ANNOTATIONS}"
        wnid_of: dict[str, str] = {}
        for number, line in self._lines(_ANNOTATIONS):
            image, *fields = line.split()
            if not fields:
                raise InputError(f"{place}, line {number}: {line!r} (allowed: IMAGE WNID ...)")
            if wnid_of.setdefault(image, fields[0]) != fields[0]:
                raise InputError(f"{place}, line {number}: {image} has a second class")
        images = []
        for image, wnid in sorted(wnid_of.items()):
            key = f"val/images/{image}"
            if key not in self.files or wnid not in label_of:
                raise InputError(f"{place}: no image {image} of {wnid}")
            where = f"{self.place}/{self.root}{key}"
            images.append((where, label_of[wnid], self.files[key].content))
        for key in self.files:
            folder, _, name = key.rpartition("/")
            if folder == "val/images" and name not in wnid_of:
                self.passed_over[f"file(s) in val/images that {_ANNOTATIONS} lacks"] += 1
        return images

    def _lines(self, path: str) -> list[tuple[int, str]]:
        """The lines of a text file that are not blank, with their numbers from 1."""
        if path not in self.files:
            raise InputError(f"{self.place}: no {self.root}{path} (the layout of {_LAYOUT})")
        text = self.files[path].content().decode("utf-8-sig", errors="replace")
        return [(at, line) for at, line in enumerate(text.splitlines(), 1) if line.strip()]
