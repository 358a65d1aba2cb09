"""Connect to a cluster: where a study's trials run, and where Ray keeps what it needs meanwhile."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import ray
from pyarrow.fs import FileType

from study.store import Store
from trainables.config import InputError

_SCRATCH = ".tune"


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Ray, started here where nobody has."""
    # Workers keep the driver's folder (paths in a study are relative to it), and results are
    # written by `_Recorder` alone.
    os.environ.update(
        RAY_CHDIR_TO_TRIAL_DIR="0",
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
        TUNE_DISABLE_SIGINT_HANDLER="1",
        TUNE_GLOBAL_CHECKPOINT_S="3600",
        RAY_AIR_NEW_OUTPUT="0",
    )
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(
            address=address,
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"RAY_CHDIR_TO_TRIAL_DIR": "0"}},
        )
    except (ConnectionError, ValueError) as error:
        raise InputError(f"--address {address}: {' '.join(str(error).split())[:200]}") from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def scratch(store: Store) -> Iterator[str]:
    """A folder for Tune's own state and checkpoints, beside the tables; gone afterwards."""
    path = f"{store.root}/{_SCRATCH}"

    def clear() -> None:
        if store.filesystem.get_file_info(path).type == FileType.Directory:
            store.filesystem.delete_dir(path)

    clear()
    try:
        yield f"{store.name.rstrip('/')}/{_SCRATCH}" if "://" in store.name else path
    finally:
        # A disk in trouble is the study's error, not this; the next run clears what is left.
        with suppress(OSError):
            clear()
