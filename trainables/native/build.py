"""C++ kernels for a CPU. They are compiled on first use, once for each kind of processor."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.atomic_write import atomic_write
from trainables.data_dir import cache_folder, default_data_dir

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

POINTER, LONG, DOUBLE, FLAG = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double, ctypes.c_int
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-w")
"""Of the compiler."""


def find_compiler() -> str | None:
    """The C++ compiler that is used: CXX, else c++ or g++; None without one."""
    return os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")


@cache
def library(name: str) -> ctypes.CDLL | None:
    """``NAME.cpp`` of this folder, compiled; None without a compiler, off Linux, or on failure."""
    compiler = find_compiler()
    if compiler is None or platform.system() != "Linux":
        return None
    try:
        return ctypes.CDLL(str(_cached(Path(__file__).with_name(f"{name}.cpp"), compiler)))
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("%s: not built (%s); torch's operators are used", name, error)
        return None


def at(tensor: Tensor | None) -> ctypes.c_void_p | None:
    """The address of a tensor's values."""
    return None if tensor is None else ctypes.c_void_p(tensor.data_ptr())


def _cached(source: Path, compiler: str) -> Path:
    """The compiled library. Its name is a hash of the source, the compiler and the processor."""
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
    key = hashlib.sha256(source.read_bytes() + version + " ".join(FLAGS).encode() + _processor())
    folder = cache_folder(default_data_dir())
    path = folder / f"{source.stem}-{key.hexdigest()[:16]}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory() as place:
            built = Path(place) / path.name
            command = [compiler, *FLAGS, str(source), "-o", str(built)]
            subprocess.run(command, capture_output=True, check=True, timeout=300)
            atomic_write(path, built.read_bytes())  # Several processes may build it at once.
    return path


def _processor() -> bytes:
    """The processor's feature flags, which decide what ``-march=native`` means."""
    for line in Path("/proc/cpuinfo").read_bytes().splitlines():
        if line.startswith((b"flags", b"Features")):
            return line
    return b""
