"""Archives: those of a Mac and of Windows are read; what cannot be read is one short line."""

from __future__ import annotations

import io
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.image_trees import tiny_imagenet_files, write_tar, write_zip
from tests.refusals import line_of, refusal
from trainables.data.dataset import Dataset, load_dataset
from trainables.errors import InputError

ROOT = "tiny-imagenet-200"
FILES = tiny_imagenet_files()
LONGEST = 699
"""Characters of a line about an archive."""
IMAGE = f"{ROOT}/train/n10000000/images/n10000000_1.JPEG"


def load(path: Path) -> Dataset:
    return load_dataset(
        f"tiny-imagenet:{path}", data_dir=path.parent / "data", validation_fraction=0.3
    )


def refused(path: Path, *parts: str) -> None:
    refusal(lambda: load(path), *parts, longest=LONGEST)


def counts(data: Dataset) -> tuple[int, int]:
    return len(data.train) + len(data.validation), len(data.test)


Write = Callable[[Path, dict[str, bytes]], None]
both = pytest.mark.parametrize(
    ("write", "name"), [(write_zip, "a.zip"), (write_tar, "a.tar"), (write_tar, "a.tgz")]
)


@both
def test_archives_of_a_mac_and_of_windows(tmp_path: Path, write: Write, name: str) -> None:
    extra = {f"__MACOSX/{key}": b"mac" for key in FILES}
    extra |= {f"{ROOT}/._wnids.txt": b"mac", IMAGE.replace("/n1", "/._n1"): b"mac"}
    write(tmp_path / "plain.tar", FILES)
    write(tmp_path / "mac.tar", FILES | extra)
    write(tmp_path / name, {key.replace("/", "\\"): data for key, data in FILES.items()} | extra)
    plain, windows = load(tmp_path / "plain.tar"), load(tmp_path / name)
    assert plain.fingerprint == windows.fingerprint == load(tmp_path / "mac.tar").fingerprint
    assert windows.passed_over == ""


@both
def test_a_second_copy_of_the_layout_is_not_added(tmp_path: Path, write: Write, name: str) -> None:
    rootless = {key.removeprefix(f"{ROOT}/"): content for key, content in FILES.items()}
    write(tmp_path / name, rootless | {f"backup/{key}": data for key, data in FILES.items()})
    data = load(tmp_path / name)
    assert counts(data) == (18, 6)
    assert data.passed_over == "1 other wnids.txt in a deeper folder"
    other = {key.replace(ROOT, "copy"): content for key, content in FILES.items()}
    write(tmp_path / f"two-{name}", FILES | other)
    refused(tmp_path / f"two-{name}", "wnids.txt lies in several folders (")


def flagged_zip(path: Path, flag: int, method: int | None) -> None:
    """A zip whose entries say that they are encrypted or compressed in another way."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
        for entry in archive.filelist:
            entry.flag_bits |= flag
            entry.compress_type = entry.compress_type if method is None else method


@pytest.mark.parametrize(
    ("flag", "method", "part"),
    [(1, None, "is encrypted; unpack"), (0, 9, "(Deflate64); unpack"), (0, 97, "(method 97); un")],
)
def test_zips_that_cannot_be_unpacked(
    tmp_path: Path, flag: int, method: int | None, part: str
) -> None:
    flagged_zip(tmp_path / "a.zip", flag, method)
    refused(tmp_path / "a.zip", f"a.zip: {ROOT}/wnids.txt", part)


def write_links(path: Path, links: dict[str, str], kind: bytes = tarfile.SYMTYPE) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as tar:
        for name, content in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)


@pytest.mark.parametrize("name", ["a.tar", "a.tgz"])
def test_links_in_a_tar(tmp_path: Path, name: str) -> None:
    write_links(tmp_path / name, {f"{ROOT}/notes": "nowhere", f"{ROOT}/loop": "loop"})
    data = load(tmp_path / name)
    assert counts(data) == (18, 6)
    assert data.passed_over == "2 broken link(s) or link(s) to a folder"
    more = IMAGE.replace("_1", "_9")
    write_links(tmp_path / f"sym-{name}", {more: "n10000000_1.JPEG"})
    write_links(tmp_path / f"hard-{name}", {more: IMAGE}, tarfile.LNKTYPE)
    assert load(tmp_path / f"sym-{name}").fingerprint == load(tmp_path / f"hard-{name}").fingerprint
    assert counts(load(tmp_path / f"sym-{name}")) == (19, 6)
    for target in ("nowhere.JPEG", "../../../../../etc/passwd", "n10000000_9.JPEG"):
        write_links(tmp_path / f"bad-{name}", {more: target})
        refused(tmp_path / f"bad-{name}", f"{more}: a broken link to")


def test_special_files_in_a_tar_are_passed_over(tmp_path: Path) -> None:
    write_links(tmp_path / "a.tar", {f"{ROOT}/train/pipe": ""}, tarfile.FIFOTYPE)
    assert load(tmp_path / "a.tar").passed_over == "1 special file(s)"


def test_a_zip_entry_larger_than_any_image_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
        archive.getinfo(IMAGE).file_size = 8 << 30
    refused(path, f"{IMAGE}: 8.0 GiB (allowed: up to 1 GiB for an image)")


def test_a_tar_entry_larger_than_any_image_is_not_read(tmp_path: Path) -> None:
    write_tar(tmp_path / "rest.tar", {name: FILES[name] for name in FILES if name != IMAGE})
    member = tarfile.TarInfo(IMAGE)
    member.size = 8 << 30
    with (tmp_path / "a.tar").open("wb") as file:
        file.write(member.tobuf())
        file.seek(member.size, 1)  # a hole: it takes no room on the disk
        file.write((tmp_path / "rest.tar").read_bytes())
    refused(tmp_path / "a.tar", f"{IMAGE}: 8.0 GiB (allowed: up to 1 GiB for an image)")


def test_a_compressed_tar_is_checked_against_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(tmp_path / "a.tgz", FILES)
    monkeypatch.setattr("trainables.data.archives.available_memory", lambda: 5_000)
    refused(tmp_path / "a.tgz", "a.tgz: unpacks to 5.0 KiB or more; 4.9 KiB of memory are avail")


@pytest.mark.parametrize("kind", ["zip", "tar", "gz", "bz2", "xz"])
def test_damaged_archives_are_one_short_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"whole.{kind}"
    small = tiny_imagenet_files(classes=2, train=3, test=1)
    if kind == "zip":
        write_zip(path, small)
    else:
        with tarfile.open(path, "w" if kind == "tar" else f"w:{kind}") as tar:
            for name, content in small.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    whole = path.read_bytes()
    generator = random.Random(3)
    refusals = 0
    for number in range(25):
        damaged = bytearray(whole)
        match number % 3:
            case 0:
                damaged[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
            case 1:
                del damaged[generator.randrange(len(whole)) :]
            case 2:
                start = generator.randrange(len(whole))
                damaged[start : start + 40] = generator.randbytes(40)
        place = tmp_path / f"{number}.{kind}"
        place.write_bytes(damaged)
        try:
            load(place)
        except InputError as error:
            refusals += 1
            line_of(error, LONGEST)
    assert refusals > 5


def test_an_lzma_error_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(lzma.compress(b"x" * 5000)[:-40] + b"y" * 40)
    refused(path, "a.tar: damaged, or not a zip or tar archive")
