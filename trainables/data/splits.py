"""The validation split: a stratified prefix of the training images.

The training images are put into an order that depends on the data set's content alone. The
validation split is a prefix of that order and the training split is the rest, or the first part of
the rest. So a larger validation split contains a smaller one, a larger share of the training images
contains a smaller one, and no split depends on a trial's seed.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from trainables.data.records import Labels
from trainables.errors import InputError


def stratified_order(labels: Labels, seed: str) -> npt.NDArray[np.int64]:
    """A permutation [N] of which every prefix holds about the same share of each class.

    ``seed`` shuffles the images of each class, which are then spread evenly over the whole order.
    `stratified_cut` says where a share ends.
    """
    digest = hashlib.sha256(seed.encode()).digest()
    # The raw stream of a bit generator is the same in every version of numpy.
    generator = np.random.PCG64(int.from_bytes(digest, "little"))
    by_class = np.lexsort((generator.random_raw(len(labels)), labels))
    positions = np.concatenate([_positions(count) for count in np.bincount(labels)])
    ties = generator.random_raw(len(labels))
    return by_class[np.lexsort((ties, positions))]


def stratified_cut(labels: Labels, share: float) -> int:
    """Length of the prefix of `stratified_order` with ``share`` of each class, rounded."""
    return sum(int((_positions(count) < share).sum()) for count in np.bincount(labels))


def validation_images(name: str, labels: Labels, classes: tuple[str, ...], fraction: float) -> int:
    """Length of the prefix of the ordered training images that is the validation split.

    Raises:
        InputError: a class would have no image left on one of the two sides.
    """
    cut = stratified_cut(labels, fraction)
    counts = np.bincount(labels, minlength=len(classes))
    held_out = np.bincount(labels[:cut], minlength=len(classes))
    for label, class_name in enumerate(classes):
        if held_out[label] == 0 or held_out[label] == counts[label]:
            raise InputError(
                f"data set {name!r}: class {class_name!r} has {counts[label]} "
                f"training images, too few for a validation split of {fraction:.0%} (allowed: "
                "classes that leave at least one image on both sides)"
            )
    return cut


def training_images(name: str, labels: Labels, classes: tuple[str, ...], fraction: float) -> int:
    """How many of the ordered images that the validation split leaves are trained on.

    They are the first ones in the order, so a larger share contains a smaller one.

    Args:
        name: of the data set, for the error.
        labels: of the images that the validation split leaves, in the order.
        classes: names of the classes.
        fraction: share of each class, rounded.

    Raises:
        InputError: a class would have no image.
    """
    count = stratified_cut(labels, fraction)
    kept = np.bincount(labels[:count], minlength=len(classes))
    for label, class_name in enumerate(classes):
        if kept[label] == 0:
            raise InputError(
                f"data set {name!r}: train_fraction {fraction:g} leaves class {class_name!r} "
                "without an image (allowed: a share that leaves each class one image at least)"
            )
    return count


def _positions(count: int) -> npt.NDArray[np.float64]:
    """Where the images of one class lie in the order, in 0..1."""
    return (np.arange(count) + 0.5) / count
