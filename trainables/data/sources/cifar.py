"""CIFAR-10 and CIFAR-100, read and downloaded by torchvision, which knows their checksums."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from trainables.data.records import ArrayRecords, Contents, LocatedData, stamp_files
from trainables.data.sources.base import Address, DataSource
from trainables.errors import InputError


class Cifar10(DataSource):
    """32x32 colour photographs, in DATA/cifar10 or in DATA as torchvision's root."""

    name = "cifar10"
    summary = "32x32 colour photographs of 10 classes"
    can_download = True
    class_name: ClassVar[str] = "CIFAR10"
    folder: ClassVar[str] = "cifar-10-batches-py"

    def find(self, address: Address, data_dir: Path) -> LocatedData:
        roots = (data_dir / self.name, data_dir)
        root = next((root for root in roots if (root / self.folder).is_dir()), None)
        if root is None:
            raise InputError(
                f"data set {self.name!r}: no folder {roots[0] / self.folder} or "
                f"{roots[1] / self.folder} (`mixco data fetch {self.name}` downloads it)"
            )
        folder = root / self.folder
        stamp = stamp_files(sorted(folder.iterdir()))
        return LocatedData(address.name, str(folder), stamp, lambda: self._read(root))

    def _read(self, root: Path) -> Contents:
        import torchvision

        folder = root / self.folder
        kind = getattr(torchvision.datasets, self.class_name)
        try:
            train, test = (kind(root, train=split) for split in (True, False))
        except (RuntimeError, OSError):
            raise InputError(
                f"{folder}: files are missing or damaged (`mixco data fetch {self.name}`)"
            ) from None
        return Contents(
            tuple(train.classes),
            ArrayRecords(train.data, np.array(train.targets, np.int64), str(folder)),
            ArrayRecords(test.data, np.array(test.targets, np.int64), str(folder)),
        )

    def download(self, folder: Path) -> None:
        import torchvision

        getattr(torchvision.datasets, self.class_name)(folder, download=True)


class Cifar100(Cifar10):
    """32x32 colour photographs of 100 classes, in DATA/cifar100 or in DATA."""

    name = "cifar100"
    summary = "32x32 colour photographs of 100 classes"
    class_name = "CIFAR100"
    folder = "cifar-100-python"
