"""A study through Ray Client: the driver runs on the cluster, and this process waits for it.

Tune cannot run in a client: Ray Client would put its searcher and callbacks into an actor, away
from the other objects of the study. So the whole driver runs as a task on the head. Both the head
and this process must be able to read and write the results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, assert_never

import ray

from reports.store.tables import Store
from study.on_ray import cluster
from study.on_ray.halt import StudyError
from study.on_ray.interruption import Interruption, interrupted_line
from study.spec import StudySpec, dump_spec
from trainables.errors import InputError

_POLL_SECONDS = 0.5
_Ending = Literal["complete", "interrupted", "input", "study"]


def run_through_client(
    spec: StudySpec,
    store: Store,
    *,
    address: str,
    data_dir: Path | None = None,
    accept_mixed: bool = False,
    retry_failed: bool = False,
    named: bool = True,
) -> bool:
    """As `study.on_ray.driver.run_study`, with the driver as a task on the head.

    Args:
        named: as for `cluster.connect`.

    Raises:
        InputError: as `run_study`, or ``store`` is a relative path.
        StudyError: as `run_study`.
    """
    cluster.check_shared(store.name, f"--address {address}: the driver runs on the cluster")
    with Interruption(lambda: print(interrupted_line(store.name), flush=True)) as interruption:
        cluster.connect(address, {"py_modules": cluster.package_folders()}, named=named)
        interruption.listen()
        try:
            # `_drive` is a module's function: so the cluster imports it and does not unpickle it.
            driver = ray.remote(_drive).options(num_cpus=0, max_retries=0)
            ending, text = _outcome(
                driver.remote(
                    dump_spec(spec),
                    store.uri,
                    None if data_dir is None else str(data_dir),
                    accept_mixed,
                    retry_failed,
                ),
                interruption,
            )
        except ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[-300:]
            raise StudyError(f"the driver on the cluster ended: {reason}") from None
        finally:
            ray.shutdown()
    match ending:
        case "input":
            raise InputError(text)
        case "study":
            raise StudyError(text)
        case "complete" | "interrupted":
            return ending == "complete"
        case _:
            assert_never(ending)


def _outcome(driver: Any, interruption: Interruption) -> tuple[_Ending, str]:
    """Waits for the driver; interrupts the driver if a signal interrupts this process."""
    is_cancelled = False
    while not ray.wait([driver], timeout=_POLL_SECONDS)[0]:
        if interruption.requested and not is_cancelled:
            ray.cancel(driver)
            is_cancelled = True
    try:
        ending, text = ray.get(driver)
    except ray.exceptions.RayError:
        if is_cancelled:
            return "interrupted", ""
        raise
    return ending, text


def _drive(
    spec: str, results: str, data_dir: str | None, accept_mixed: bool, retry_failed: bool
) -> tuple[_Ending, str]:
    """Runs the study on the cluster; returns how it ended, and the text of an error."""
    import logging

    from reports.store.files import StoreError
    from reports.store.tables import open_store
    from study.on_ray.driver import run_study
    from study.spec import parse_spec

    logging.getLogger("ray").setLevel(logging.ERROR)  # as `cluster.connect` does in a driver
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
