"""What `make dist` builds works outside the checkout, without any extra."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).with_name("uv")
STUDY = """
name: small
datasets: [digits]
methods: [moco]
encoders: [resnet10]
widths: [8]
base: {epochs: 1, batch_size: 64, queue_size: 64, knn_every: 0}
trials: 1
searches: 1
seeds: 2
trackers: []
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not UV.exists(), reason="needs uv beside Python"),
]


def uv(*arguments: str | Path) -> None:
    subprocess.run([UV, *arguments], check=True, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--system-certs", "--out-dir", folder, ROOT)
    return folder


def test_the_wheel_runs_a_study_and_its_report_without_extras(built: Path, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    uv("venv", "--quiet", "--python", sys.executable, environment)
    python = environment / "bin" / "python"
    uv(
        "pip", "install", "--quiet", "--system-certs", "--python", python,
        "--constraint", ROOT / "constraints.txt", next(built.glob("*.whl")),
    )  # fmt: skip
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "MIXCO", "RAY"))
    }
    variables["MIXCO_DATA"] = str(tmp_path / "data")

    def mixco(*arguments: str) -> str:
        done = subprocess.run(
            [environment / "bin" / "mixco", *arguments],
            cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=800,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (tmp_path / "small.yaml").write_text(STUDY)
    assert "pilot" in mixco("study", "presets")
    assert "complete: results/small" in mixco("study", "run", "small.yaml")
    mixco("report", "results/small")
    page = (tmp_path / "results" / "small" / "report" / "index.html").read_text()
    assert "digits" in page
    if shutil.which("c++"):
        assert "fused batch norm" in page
        assert list((tmp_path / "data" / "cache").glob("batch_norm-*.so"))
    assert str(ROOT) not in page


def test_an_archive_without_a_git_folder_builds(built: Path, tmp_path: Path) -> None:
    # With tar: Python's own module needs an argument that 3.11.2, as in Debian 12, does not know.
    subprocess.run(["tar", "-xf", next(built.glob("*.tar.gz")), "-C", tmp_path], check=True)
    (source,) = tmp_path.iterdir()
    (source / "PKG-INFO").unlink()  # as in an archive that a host of git makes
    uv("build", "--quiet", "--wheel", "--system-certs", "--out-dir", tmp_path / "again", source)
    (wheel,) = (tmp_path / "again").glob("*.whl")
    assert wheel.name.startswith("mixco_study-0.")
