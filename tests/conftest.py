"""What several test files share."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.local_head import Head

# Several test processes share the cores. By default a thread of torch spins while it waits for
# another thread, and so takes the core that the other one needs: a trial of two epochs beside other
# tests then takes four times as much CPU. Child processes inherit this setting.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

with suppress(ImportError):  # Tests on a GPU can do without hypothesis.
    from hypothesis import settings

    # No deadline for an example: on a machine that others use, too, any of them may take a second.
    settings.register_profile("tests", deadline=None)
    settings.load_profile("tests")


# The files that take longest, longest first: a process that starts one of them last would work on
# while the other has nothing left to do.
_LONGEST = (
    "test_train_trainable.py",
    "test_study_train.py",
    "test_contract.py",
    "test_cluster_jobs.py",
    "test_study_kill.py",
    "test_cluster_address.py",
    "test_study_run.py",
    "test_cluster_slurm.py",
    "test_examples.py",
    "test_trial_workers.py",
    "test_release.py",
    "test_store_s3.py",
    "test_study_trackers.py",
    "test_workers.py",
    "test_reports_coverage.py",
    "test_study_nodes.py",
    "test_study_disk.py",
    "test_study_node_data.py",
    "test_gpu_benchmark.py",
    "test_exit_codes.py",
    "test_reports_command.py",
    "test_cli.py",
    "test_export.py",
    "test_reports_page.py",
    "test_trial.py",
    "test_study_search.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the longest files to the front; pytest-xdist hands files out in this order."""
    place = {name: index for index, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(scope="session")
def head() -> Iterator["Head"]:
    """One head for all tests that leave it as it was: it takes a while to start."""
    from tests.local_head import local_head  # needs Ray, which tests on a GPU can do without

    with local_head() as running:
        yield running


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch computes with one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes ``device`` on the CPU, and on a GPU where there is one."""
    if "device" in metafunc.fixturenames:
        import torch  # not above: it reads OMP_WAIT_POLICY

        gpu = [pytest.param("cuda", marks=pytest.mark.gpu)] * torch.cuda.is_available()
        metafunc.parametrize("device", ["cpu", *gpu], indirect=True)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """``cpu`` or ``cuda``; on a GPU in full precision, and the same in each run."""
    import torch

    cudnn = torch.backends.cudnn
    with cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield request.param
