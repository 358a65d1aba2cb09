"""A study through Ray Client: the driver runs on the cluster, this process waits for it.

Tune cannot run here then: its searcher and callbacks would live in an actor of Ray Client, away
from the study's own objects. So the whole driver goes there, and results lie where both see them.
"""

from __future__ import annotations

from pathlib import Path

import ray

from reports.store.tables import Store
from study.on_ray import cluster
from study.on_ray.driver import StudyError
from study.spec import StudySpec, dump_spec
from trainables.errors import InputError


def run_through_client(
    spec: StudySpec,
    store: Store,
    *,
    address: str,
    data_dir: Path | None = None,
    accept_mixed: bool = False,
    retry_failed: bool = False,
) -> bool:
    """`study.on_ray.driver.run_study`, its driver a task on the head that Ray Client leads to.

    Raises:
        InputError: as `run_study`, or results lie in a folder relative to this process's own.
        StudyError: as `run_study`.
    """
    cluster.check_shared(store.name, f"--address {address}: the driver runs on the cluster")
    cluster.connect(address, {"py_modules": cluster.package_folders()})
    try:
        # In the file of this function, so that the cluster imports it and does not unpickle it.
        driver = ray.remote(_drive).options(num_cpus=0, max_retries=0)
        ref = driver.remote(
            dump_spec(spec),
            store.uri,
            None if data_dir is None else str(data_dir),
            accept_mixed,
            retry_failed,
        )
        try:
            ending, text = ray.get(ref)
        except KeyboardInterrupt:
            ray.cancel(ref)
            try:
                ending, text = ray.get(ref)
            except ray.exceptions.TaskCancelledError:
                ending, text = "interrupted", ""
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[-300:]
        raise StudyError(f"the driver on the cluster ended: {reason}") from None
    finally:
        ray.shutdown()
    if ending == "input":
        raise InputError(text)
    if ending == "study":
        raise StudyError(text)
    return bool(ending == "complete")


def _drive(
    spec: str, results: str, data_dir: str | None, accept_mixed: bool, retry_failed: bool
) -> tuple[str, str]:
    """Runs the study here, on the cluster: how it ended, and the error's text."""
    import logging

    from reports.store.files import StoreError
    from reports.store.tables import open_store
    from study.on_ray.driver import run_study
    from study.spec import parse_spec

    logging.getLogger("ray").setLevel(logging.ERROR)  # as `cluster.connect` does for a driver
    try:
        complete = run_study(
            parse_spec(spec, "study"),
            open_store(results, create=True),
            data_dir=None if data_dir is None else Path(data_dir),
            accept_mixed=accept_mixed,
            retry_failed=retry_failed,
        )
    except InputError as error:
        return "input", str(error)
    except (StudyError, StoreError) as error:
        return "study", str(error)
    return ("complete" if complete else "interrupted"), ""
