"""What several test files share."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.local_head import Head, local_head


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """One head for all tests that leave it as it was: it takes a while to start."""
    with local_head() as running:
        yield running


@pytest.fixture(scope="session")
def without_compiler() -> Callable[[str], None]:
    """Runs Python code in a process of its own that finds no C++ compiler."""

    def run(code: str) -> None:
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "CXX": "/nowhere/c++"},
            timeout=100,
        )

    return run
