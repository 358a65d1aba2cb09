"""The handwritten digits of scikit-learn."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np

from trainables.data.records import ArrayRecords, Contents, LocatedData
from trainables.data.sources.base import Address, DataSource
from trainables.data.splits import stratified_cut, stratified_order

_TEST_SHARE = 0.2


class Digits(DataSource):
    """UCI handwritten digits, 8x8 grey; the test split is 20 %, fixed and stratified."""

    name = "digits"
    summary = "8x8 grey digits of 10 classes, embedded"

    def find(self, address: Address, data_dir: Path) -> LocatedData:
        version = importlib.metadata.version("scikit-learn")
        stamp = f"scikit-learn {version}"
        return LocatedData(address.name, "scikit-learn", stamp, _read, horizontal_flip=False)


def _read() -> Contents:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    order = stratified_order(labels, "digits")
    cut = stratified_cut(labels, _TEST_SHARE)
    test, train = np.sort(order[:cut]), np.sort(order[cut:])
    return Contents(
        tuple(str(digit) for digit in range(10)),
        ArrayRecords(pixels[train], labels[train], "digits"),
        ArrayRecords(pixels[test], labels[test], "digits"),
    )
