"""`mixco data`, as a user calls it."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torchvision
from PIL import Image
from typer.testing import CliRunner

from study.commands.data import app
from tests.image_trees import cifar10_files, make_image_folder, tiny_imagenet_files, write_tar
from trainables.data.contact_sheet import contact_sheet
from trainables.data.dataset import load_dataset
from trainables.data.sources import SOURCES, tiny_imagenet
from trainables.errors import InputError


def mixco_data(*arguments: str | Path, data_dir: Path) -> str:
    """Standard output of a command; its errors are raised unchanged."""
    command = [str(argument) for argument in arguments] + ["--data", str(data_dir)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_list_says_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    write_tar(tmp_path / "tiny-imagenet-200.tar", tiny_imagenet_files())
    lines = mixco_data("list", data_dir=tmp_path).splitlines()
    of = {
        name: next(line for line in lines if f" {name} " in line)
        for name in SOURCES
        if SOURCES[name].summary
    }
    assert "mixco data fetch cifar10" in of["cifar10"]
    assert str(tmp_path)[:20] in of["tiny-imagenet"]


def test_info_and_contact_sheet(tmp_path: Path) -> None:
    tree = make_image_folder(tmp_path / "tree", size=(20, 20))
    sheet = tmp_path / "sheet.png"

    output = mixco_data("info", f"imagefolder:{tree}", "--sheet", sheet, data_dir=tmp_path / "data")

    data = load_dataset(f"imagefolder:{tree}", data_dir=tmp_path / "data")
    for text in ("18 images", "2 images", "6 images", "ant, bee", data.fingerprint):
        assert text in output
    with Image.open(sheet) as image:
        assert image.mode == "RGB"
        assert len(image.getcolors(1 << 20)) > 1000


def test_info_shows_names_as_they_are_and_what_was_passed_over(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    tree = make_image_folder(tmp_path / "[bold]tree", classes=("[red]ant", ":smile:", "b\nee"))
    for number in range(6):
        (tree / f"train/[red]ant/{number}.gif").write_bytes(b"GIF89a")
    name, data_dir = f"imagefolder:{tree}", tmp_path / "data"

    output = " ".join(mixco_data("info", name, data_dir=data_dir).split())

    assert r"3: :smile:, [red]ant, b\nee" in output
    assert "[bold]tree" in output
    assert "passed over 6 .gif" in output
    again = " ".join(mixco_data("info", name, data_dir=data_dir).split())
    assert again == output
    assert "passed over" not in capfd.readouterr().err


def test_contact_sheet_shows_the_originals_enlarged_and_is_repeatable(tmp_path: Path) -> None:
    data = load_dataset("digits", data_dir=tmp_path)
    sheets = [contact_sheet(data, columns=8, seed=seed) for seed in (0, 0, 1)]
    assert sheets[0].tobytes() == sheets[1].tobytes() != sheets[2].tobytes()
    cells = {image.numpy().tobytes() for image in data.train.images}
    found = 0
    for x in range(sheets[0].width - 96):
        cell = sheets[0].crop((x, 18, x + 96, 18 + 96)).convert("L").resize((8, 8), 0)
        found += cell.tobytes() in cells
    assert found >= 8


@pytest.mark.parametrize("sheet", ["sheet.jpg", "no-such-folder/sheet.png"])
def test_sheet_that_cannot_be_written_is_refused_first(tmp_path: Path, sheet: str) -> None:
    with pytest.raises(InputError, match="--sheet"):
        mixco_data("info", "digits", "--sheet", tmp_path / sheet, data_dir=tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_fetched_cifar10_is_read(
    tmp_path: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    files = cifar10_files()
    archive = folder / "cifar-10-python.tar.gz"
    write_tar(archive, files)
    kind = torchvision.datasets.CIFAR10
    sums = {name.split("/")[1]: hashlib.md5(data).hexdigest() for name, data in files.items()}
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(kind, part, [[name, sums[name]] for name, _ in getattr(kind, part)])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": sums["batches.meta"]})
    monkeypatch.setattr(kind, "url", f"{address}/{archive.name}")
    monkeypatch.setattr(kind, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())

    output = mixco_data("fetch", "cifar10", data_dir=tmp_path / "data")

    assert str(tmp_path / "data/cifar10") in output
    assert len(load_dataset("cifar10", data_dir=tmp_path / "data").test) == 20


def test_failed_download_is_one_line(
    tmp_path: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    monkeypatch.setattr(tiny_imagenet, "_URL", f"{address}/tiny-imagenet-200.zip")
    with pytest.raises(InputError, match=r"download to .*tiny-imagenet failed: .*404") as caught:
        mixco_data("fetch", "tiny-imagenet", data_dir=tmp_path / "data")
    assert "\n" not in str(caught.value)
    (folder / "tiny-imagenet-200.zip").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"failed: .*corrupted"):
        mixco_data("fetch", "tiny-imagenet", data_dir=tmp_path / "data")


def test_only_what_can_be_downloaded_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"'digits': no automatic download \(available for: fashion"
    ):
        mixco_data("fetch", "digits", data_dir=tmp_path)
