"""The embedded data set, loaded by the function that loads all others."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from trainables.data.dataset import load_dataset
from trainables.errors import InputError


def test_splits_hold_every_image_once(tmp_path: Path) -> None:
    data = load_dataset("digits", data_dir=tmp_path)

    splits = (data.train, data.validation, data.test)
    images = torch.cat([split.images for split in splits]).squeeze(1)
    labels = torch.cat([split.labels for split in splits])
    digits = load_digits()
    expected = np.rint(digits.images / 16 * 255).astype(np.uint8)
    assert sorted(
        (int(label), image.numpy().tobytes()) for image, label in zip(images, labels, strict=True)
    ) == sorted(
        (int(label), image.tobytes()) for image, label in zip(expected, digits.target, strict=True)
    )


def test_same_object_when_asked_again(tmp_path: Path) -> None:
    assert load_dataset("digits", data_dir=tmp_path) is load_dataset("digits", data_dir=tmp_path)


def test_unknown_name_lists_the_allowed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'digitz'.*digits"):
        load_dataset("digitz", data_dir=tmp_path)
