"""The cache file: shared, whole or absent, and never trusted when damaged."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.image_trees import make_image_folder, picture
from trainables.data import cache, dataset
from trainables.data.cache import CacheDamagedError, read_split, write_split
from trainables.data.dataset import Dataset, load_dataset
from trainables.errors import InputError

SHAPE = (3, 5, 5)


def images_and_labels(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    return images, generator.integers(0, 4, count)


def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process has loaded, so that the next load is as in a new process."""
    monkeypatch.setattr(dataset, "_loaded", {})


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "_BLOCK_BYTES", 1000)  # 13 images: blocks of 13, 13, 13 and 1
    images, labels = images_and_labels()
    path = tmp_path / "some.images"
    write_split(path, "abc", labels, (images[i : i + 13] for i in range(0, 40, 13)))
    return path


def test_round_trip_with_exact_moments(written: Path) -> None:
    images, labels = images_and_labels()

    split = read_split(written, "abc")

    assert np.array_equal(split.images, images)
    assert np.array_equal(split.labels, labels)
    pixels = torch.from_numpy(images).double() / 255
    assert split.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert split.std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), rel=1e-12)


def test_every_altered_byte_is_harmless_or_found(written: Path) -> None:
    good = written.read_bytes()
    images, labels = images_and_labels()
    harmless = 0
    generator = np.random.default_rng(1)
    places = {*range(0, 40, 2), *generator.integers(0, len(good), 50).tolist()}
    places |= {len(good) - back for back in range(1, images.nbytes + 400, 29)}
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 1 << int(generator.integers(8))
        written.write_bytes(bad)
        try:
            split = read_split(written, "abc")
        except CacheDamagedError:
            continue
        harmless += 1
        assert np.array_equal(split.images, images)
        assert np.array_equal(split.labels, labels)
    assert harmless < len(places) / 2  # padding


@settings(max_examples=60)
@given(st.data())
def test_cut_or_lengthened_file_is_found(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    path = tmp_path_factory.mktemp("cut") / "some.images"
    images, labels = images_and_labels()
    write_split(path, "abc", labels, iter([images]))
    good = path.read_bytes()
    kept = data.draw(st.integers(0, len(good) - 1))
    path.write_bytes(data.draw(st.sampled_from([good[:kept], good + good[: kept + 1]])))

    with pytest.raises(CacheDamagedError):
        read_split(path, "abc")


def test_file_of_another_source_is_refused(written: Path) -> None:
    with pytest.raises(CacheDamagedError, match="another source"):
        read_split(written, "abd")


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    images, labels = images_and_labels()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # a disk that is soon full
    try:
        with pytest.raises(OSError):
            write_split(tmp_path / "some.images", "abc", labels, iter([images]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def load_tree(folder: Path, **options) -> Dataset:
    return load_dataset(f"imagefolder:{folder / 'tree'}", data_dir=folder / "data", **options)


def test_splits_share_one_mapping_and_writing_stays_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image_folder(tmp_path / "tree")
    data = load_tree(tmp_path)

    whole = data.train.images.untyped_storage().data_ptr()
    assert data.validation.images.untyped_storage().data_ptr() == whole
    data.train.images.zero_()
    fresh(monkeypatch)
    assert load_tree(tmp_path).train.images.any()


def test_damaged_cache_is_rebuilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_image_folder(tmp_path / "tree")
    data = load_tree(tmp_path)
    expected = data.train.images.clone()
    path = data.cache_dir / "train-12.images"
    good = path.read_bytes()
    bad = bytearray(good)
    bad[-len(good) // 3] ^= 4
    path.write_bytes(bad)

    fresh(monkeypatch)

    assert torch.equal(load_tree(tmp_path).train.images, expected)
    assert path.read_bytes() == good
    assert f"{path}: damaged" in caplog.text


def test_changed_source_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_image_folder(tmp_path / "tree")
    before = load_tree(tmp_path)
    file = tmp_path / "tree/test/bee/01.png"
    picture(999).save(file)

    fresh(monkeypatch)
    after = load_tree(tmp_path)

    assert after.fingerprint != before.fingerprint
    assert not torch.equal(after.test.images, before.test.images)


def test_touched_source_keeps_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_image_folder(tmp_path / "tree")
    before = load_tree(tmp_path)
    os.utime(tmp_path / "tree/test/bee/01.png")
    inode = (before.cache_dir / "train-12.images").stat().st_ino

    fresh(monkeypatch)

    assert load_tree(tmp_path).fingerprint == before.fingerprint
    assert (before.cache_dir / "train-12.images").stat().st_ino == inode


def test_damaged_survey_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_image_folder(tmp_path / "tree")
    before = load_tree(tmp_path)
    (survey,) = (tmp_path / "data/cache").glob("survey-*.json")
    survey.write_text('{"fingerprint": "')

    fresh(monkeypatch)

    assert load_tree(tmp_path).fingerprint == before.fingerprint


def test_unwritable_cache_is_one_line(tmp_path: Path) -> None:
    make_image_folder(tmp_path / "tree")
    (tmp_path / "data").write_text("a file, where a folder is needed")
    with pytest.raises(InputError, match=r"data/cache: cannot write the cache .*MIXCO_DATA"):
        load_tree(tmp_path)


def _load_and_count(folder: Path, barrier, decoded) -> None:
    barrier.wait()
    calls = []
    data = load_tree(folder, progress=lambda *call: calls.append(call))
    decoded.put((sum(what == "decoding train" for what, *_ in calls), data.fingerprint))


def test_processes_at_once_build_once(tmp_path: Path) -> None:
    make_image_folder(tmp_path / "tree", train=100)
    context = multiprocessing.get_context("fork")
    barrier, decoded = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=_load_and_count, args=(tmp_path, barrier, decoded)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    results = [decoded.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    counts, fingerprints = zip(*results, strict=True)
    assert sorted(counts) == [0, 0, 1]
    assert len(set(fingerprints)) == 1


def _decode_and_hang(folder: Path, decoding) -> None:
    def progress(what: str, done: int, total: int) -> None:
        if what == "decoding train":
            decoding.set()
            time.sleep(600)

    load_tree(folder, progress=progress)


def test_killed_builder_leaves_neither_lock_nor_ruins(tmp_path: Path) -> None:
    make_image_folder(tmp_path / "tree")
    context = multiprocessing.get_context("fork")
    decoding = context.Event()
    builder = context.Process(target=_decode_and_hang, args=(tmp_path, decoding))
    builder.start()
    assert decoding.wait(60)
    builder.kill()
    builder.join()
    assert list((tmp_path / "data/cache").glob("*/.train-12.images.*"))

    start = time.monotonic()
    data = load_tree(tmp_path)

    assert time.monotonic() - start < 30
    assert {path.name for path in data.cache_dir.iterdir()} == {
        *("train-12.images", "test-12.images", ".lock")
    }
