"""Folders of image files: a folder for each split, and in it a folder for each class."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

from trainables.data.files import (
    IMAGE_SUFFIXES,
    Walk,
    counted,
    file_head,
    is_image,
    kind_of,
    read_file,
    scan,
    suffix_of,
)
from trainables.data.records import Contents, LocatedData, encoded_records, stamp_files
from trainables.data.sources.base import Address, DataSource
from trainables.data.split_names import TEST_NAMES, splits_in
from trainables.errors import InputError

Classes = dict[str, list[Path]]
"""Image files by class, classes and files in the order of their names."""


class ImageFolder(DataSource):
    """PATH/train/CLASS/... and PATH/test/CLASS/..., with images at any depth below CLASS."""

    name = "imagefolder"
    path_summary = "train/CLASS/* and test/CLASS/* (or val)"

    def find(self, address: Address, data_dir: Path) -> LocatedData:
        folder = address.path
        assert folder is not None  # named by path only
        if not folder.is_dir():
            raise InputError(f"data set {address.name!r}: no folder {folder}")
        tree = _Tree(address.name, folder)
        splits = tree.splits()
        train, test = splits.values()

        def read() -> Contents:
            classes = tuple(train)
            unknown = test.keys() - set(classes)
            if unknown:
                *_, test_name = splits
                raise InputError(
                    f"data set {address.name!r}: class {min(unknown)!r} of {folder / test_name} is "
                    f"not in {folder / 'train'}"
                )
            train_records, test_records = (
                encoded_records(
                    [
                        (str(path), label, partial(read_file, path))
                        for label, class_name in enumerate(classes)
                        for path in split.get(class_name, [])
                    ]
                )
                for split in (train, test)
            )
            return Contents(classes, train_records, test_records, counted(tree.passed_over))

        files = (path for split in (train, test) for paths in split.values() for path in paths)
        return LocatedData(address.name, str(folder), stamp_files(files), read)


class _Tree:
    """The image files of a data set's folder, by split and class."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.walk = Walk(keep=lambda path: is_image(path.name, partial(file_head, path)))
        self.passed_over: Counter[str] = self.walk.passed_over

    def splits(self) -> dict[str, Classes]:
        """Training images and test images, by the names of their folders.

        Validation images are the test split where there is no test folder, or where that folder
        has no class of the training images.
        """
        folders = splits_in(entry.name for entry in scan(self.root) if entry.is_dir())
        if "train" not in folders:
            raise InputError(
                f"data set {self.name!r}: no folder {self.root / 'train'} (training images)"
            )
        train = self._only(folders["train"])
        if "test" not in folders and "validation" not in folders:
            raise InputError(
                f"data set {self.name!r}: no test split in {self.root} (a folder of: "
                f"{', '.join(TEST_NAMES)})"
            )
        test = self._only(folders.get("test") or folders["validation"])
        found = self._classes(train, test)
        if (
            "test" in folders
            and "validation" in folders
            and not found[train].keys() & {name for name, paths in found[test].items() if paths}
        ):
            validation = self._only(folders["validation"])
            found = {train: found[train], **self._classes(validation)}
            self.passed_over[f"split ({test}, which has no labels)"] += 1
            test = validation
        for split in (train, test):
            if not any(found[split].values()):
                allowed = ", ".join(sorted(IMAGE_SUFFIXES))
                raise InputError(
                    f"data set {self.name!r}: no images in {self.root / split}/CLASS ({allowed})"
                )
        return {train: found[train], test: found[test]}

    def _only(self, names: list[str]) -> str:
        if len(names) > 1:
            raise InputError(
                f"data set {self.name!r}: {self.root} has several folders for one split "
                f"({', '.join(names)}); keep one"
            )
        return names[0]

    def _classes(self, *splits: str) -> dict[str, Classes]:
        """The classes in the folders ``splits``, and their images."""
        folders = [(split, path) for split in splits for path in self._class_folders(split)]
        found = self.walk.files([((split, path), path) for split, path in folders])
        classes: dict[str, Classes] = {split: {} for split in splits}
        for split, path in folders:
            images = found[split, path]
            if images or not path.is_symlink():  # a link to a folder that is read elsewhere
                classes[split][path.name] = images
        return classes

    def _class_folders(self, split: str) -> list[Path]:
        folders = []
        for entry in scan(self.root / split):
            path = Path(entry.path)
            match kind_of(entry):
                case "folder" | "link to a folder":
                    folders.append(path)
                case "file" if is_image(entry.name, partial(file_head, path)):
                    self.passed_over[f"image(s) in {split} outside of class folders"] += 1
                case "file":
                    self.passed_over[suffix_of(entry.name)] += 1
                case "broken link":
                    raise InputError(f"{path}: a broken link to {path.readlink()}")
                case other:
                    self.passed_over[f"{other}(s)"] += 1
        return folders
