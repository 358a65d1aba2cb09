"""The validation split: stratified, fixed by the data set, and a prefix of any length."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.image_trees import make_image_folder
from trainables.data.dataset import Split, load_dataset
from trainables.data.splits import stratified_cut, stratified_order
from trainables.errors import InputError

GOLDEN = ("51852397afe9f3e1", [4034674555, 2166294062])

counts = st.lists(st.integers(1, 40), min_size=1, max_size=8)


@given(counts, st.text(max_size=5), st.floats(0, 1))
def test_a_share_is_cut_from_every_class(per_class: list[int], seed: str, share: float) -> None:
    labels = np.repeat(np.arange(len(per_class)), per_class)
    order = stratified_order(labels, seed)
    assert sorted(order) == list(range(len(labels)))
    held = np.bincount(labels[order[: stratified_cut(labels, share)]], minlength=len(per_class))
    assert (np.abs(held - share * np.array(per_class)) <= 0.5 + 1e-9).all()


def test_order_depends_on_the_seed_and_not_on_where_labels_lie() -> None:
    labels = np.arange(600) % 3
    orders = [stratified_order(labels, seed) for seed in ("a", "a", "b")]
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])
    # The images of a class that come first lie evenly over the source's own order.
    assert abs(orders[0][:60].mean() - 299.5) < 4 * 600 / np.sqrt(12 * 60)


def members(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


def test_larger_validation_split_contains_the_smaller(tmp_path: Path) -> None:
    name = f"imagefolder:{make_image_folder(tmp_path / 'tree', train=20)}"
    small, large = (
        load_dataset(name, validation_fraction=fraction, data_dir=tmp_path / "data")
        for fraction in (0.1, 0.3)
    )
    assert [len(small.validation), len(large.validation)] == [4, 12]
    assert small.validation.labels.bincount().tolist() == [2, 2]
    assert members(small.validation) < members(large.validation)
    for data in (small, large):
        assert members(data.train).isdisjoint(members(data.validation))
        assert len(members(data.train) | members(data.validation)) == 40
    assert small.mean == large.mean


def test_larger_share_of_the_training_images_contains_the_smaller(tmp_path: Path) -> None:
    name = f"imagefolder:{make_image_folder(tmp_path / 'tree', train=20)}"
    small, large, whole = (
        load_dataset(
            name, validation_fraction=0.1, train_fraction=share, data_dir=tmp_path / "data"
        )
        for share in (0.3, 0.5, 1.0)
    )
    assert [len(data.train) for data in (small, large, whole)] == [10, 18, 36]
    assert small.train.labels.bincount().tolist() == [5, 5]
    assert members(small.train) < members(large.train) < members(whole.train)
    for data in (small, large):
        assert members(data.validation) == members(whole.validation)
        assert data.mean == whole.mean


@pytest.mark.parametrize("share", [0.0, 1.5, 0.01])
def test_share_that_cannot_be_trained_on_is_refused(share: float, tmp_path: Path) -> None:
    name = f"imagefolder:{make_image_folder(tmp_path / 'tree', train=20)}"
    with pytest.raises(InputError, match="train_fraction"):
        load_dataset(name, train_fraction=share, data_dir=tmp_path / "data")


def test_splits_do_not_depend_on_the_place(tmp_path: Path) -> None:
    first, second = (
        load_dataset(
            f"imagefolder:{make_image_folder(tmp_path / place)}",
            data_dir=tmp_path / f"{place}-data",
        )
        for place in ("one", "two")
    )
    assert first.fingerprint == second.fingerprint
    assert torch.equal(first.validation.images, second.validation.images)


def test_splits_are_those_of_every_machine_and_version(tmp_path: Path) -> None:
    """If these numbers change, new results cannot be compared with any earlier ones."""
    data = load_dataset("digits", data_dir=tmp_path)
    crcs = [zlib.crc32(split.images.numpy().tobytes()) for split in (data.validation, data.test)]
    assert (data.fingerprint[:16], crcs) == GOLDEN


@pytest.mark.parametrize(("train", "fraction"), [(4, 0.1), (1, 0.6), (2, 0.8)])
def test_class_too_small_for_the_split_is_named(
    tmp_path: Path, train: int, fraction: float
) -> None:
    tree = make_image_folder(tmp_path / "tree", train=train)
    with pytest.raises(InputError, match=rf"class 'ant' has {train} training images, too few"):
        load_dataset(
            f"imagefolder:{tree}", validation_fraction=fraction, data_dir=tmp_path / "data"
        )


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_fraction_out_of_range(tmp_path: Path, fraction: float) -> None:
    with pytest.raises(InputError, match="validation_fraction"):
        load_dataset("digits", validation_fraction=fraction, data_dir=tmp_path)
