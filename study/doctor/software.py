"""Checks of what is installed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from study.doctor.finding import Finding
from trainables.errors import cause, shown
from trainables.native.build import FLAGS, find_compiler

_SHOWN = ("mixco-study", "torch", "torchvision", "ray", "optuna", "pandas", "pyarrow")
_OLDEST = (3, 11)
_SOCKET_PATH = 60
"""Ray adds up to 45 characters to TMPDIR; Unix allows a socket 107."""


def python(data_dir: Path) -> Finding:
    """Whether this Python is new enough."""
    says = f"{platform.python_version()} in {sys.prefix}"
    if sys.version_info < _OLDEST:
        return Finding.broken(says, "install Python 3.11 or newer")
    return Finding.ok(says)


def packages(data_dir: Path) -> Finding:
    """The versions of the packages, and which are missing or too old."""
    installed = {name: _version(name) for name in _SHOWN}
    says = ", ".join(f"{name} {number}" for name, number in installed.items() if number)
    wrong = [
        f"{requirement} is needed, {_version(requirement.name) or 'none'} is installed"
        for requirement in map(Requirement, metadata.requires("mixco-study") or ())
        if not (requirement.marker and not requirement.marker.evaluate({"extra": ""}))
        and not requirement.specifier.contains(_version(requirement.name) or "0", prereleases=True)
    ]
    if wrong:
        advice = "`make setup`, or `pip install --upgrade mixco-study` in an environment of its own"
        return Finding.broken("; ".join([says, *wrong]), advice)
    return Finding.ok(says)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def compiler(data_dir: Path) -> Finding:
    """Whether the C++ kernels can be compiled: a tiny program, with their flags."""
    if platform.system() != "Linux":
        return Finding.note(f"not used on {platform.system()}: torch's operators are used")
    path = find_compiler()
    if path is None:
        return Finding.note(
            "no C++ compiler: torch's operators are used; a step on a CPU is 2 to 3 times slower",
            "install g++ (Debian: apt-get install g++), or set CXX",
        )
    if problem := _problem_of(path):
        return Finding.note(
            f"{path} does not compile the kernels: {shown(problem, 200)}",
            "install g++ with OpenMP (libgomp), or set CXX to a compiler that has it",
        )
    return Finding.ok(f"{path}: C++17 with OpenMP")


def _problem_of(path: str) -> str:
    """What the compiler says of a tiny program with OpenMP; empty where it compiles."""
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "try.cpp"
        source.write_text("#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }\n")
        command = [path, *FLAGS, str(source), "-o", str(source.with_suffix(".so"))]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        except subprocess.CalledProcessError as error:
            return str(error.stderr).strip() or f"exit code {error.returncode}"
        except (OSError, subprocess.SubprocessError) as error:
            return cause(error)
    return ""


def ray(data_dir: Path) -> Finding:
    """Which Ray a study would use; none is started."""
    version = _version("ray")
    if version is None:
        return Finding.note("not installed: trials run, studies do not", "pip install ray[tune]")
    folder = tempfile.gettempdir()
    if len(folder) > _SOCKET_PATH:
        return Finding.broken(
            f"{version}; the path {folder} is too long for Ray's sockets",
            "set TMPDIR to a shorter folder, /tmp for example",
        )
    if address := os.environ.get("RAY_ADDRESS"):
        return Finding.note(
            f"{version}; studies run on the cluster at RAY_ADDRESS={shown(address)}",
            "unset RAY_ADDRESS to run them on this machine",
        )
    return Finding.ok(f"{version}; a study starts a Ray of its own on this machine")
