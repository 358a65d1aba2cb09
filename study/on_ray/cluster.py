"""Connect to a cluster: where a study's trials run, and where Ray keeps what it needs meanwhile."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path

import ray
from pyarrow.fs import FileType
from ray._private.services import get_webui_url_from_internal_kv
from ray.exceptions import AuthenticationError

from reports.store.address import is_uri
from reports.store.tables import Store
from trainables.errors import InputError

_SCRATCH = ".tune"
_WAITING = 16
"""Trials that may wait for a place at once."""
_PACKAGES = ("trainables", "search_spaces", "study", "reports")
_ADDRESS = re.compile(r"(?:ray://)?(?P<host>\[[0-9a-fA-F:]+\]|[^\s/:\[\]]+):(?P<port>\d{1,5})")
_ANSWER_SECONDS = 5.0
_CONNECT_TRIES = "1"
"""How often Ray tries a head that refuses; its own default is 20 times, a second apart."""
_CLIENT_TRIES = 3
"""Ray Client's proxy forks a server for each client while gRPC's own threads run, and now and then
that server dies before it has begun (ray-project/ray#63202)."""
TOKEN_HELP = (
    "set RAY_AUTH_MODE=token and the cluster's token in RAY_AUTH_TOKEN, in the file that "
    "RAY_AUTH_TOKEN_PATH names, or in ~/.ray/auth_token"
)


@contextmanager
def connected(address: str | None) -> Iterator[str | None]:
    """Ray, started here where nobody has; yields the address of its dashboard if it has one.

    Args:
        address: ``auto`` (the cluster that runs on this machine, or `RAY_ADDRESS`), ``HOST:PORT``,
            ``ray://HOST:PORT``, or None: a Ray of its own on this machine (in a Ray job: the
            job's cluster).

    Raises:
        InputError: malformed, nothing answers, the token is missing or wrong, other versions.
    """
    # Workers keep the driver's folder (paths in a study are relative to it), and results are
    # written by `_Recorder` alone.
    os.environ.update(
        RAY_CHDIR_TO_TRIAL_DIR="0",
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
        TUNE_DISABLE_SIGINT_HANDLER="1",
        TUNE_GLOBAL_CHECKPOINT_S="3600",
        RAY_AIR_NEW_OUTPUT="0",
    )
    # Tune keeps the process of a trial that ended only for a trial that waits: with just one that
    # may, trials that end in quick succession lose theirs, and each new one takes seconds to start.
    os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(_WAITING))
    if ray.is_initialized():
        yield _dashboard()
        return
    # Without an address Ray would join whatever `ray start` left running on this machine.
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    connect(address)
    try:
        yield _dashboard()
    finally:
        ray.shutdown()


def connect(address: str, runtime_env: dict[str, object] | None = None) -> None:
    """`ray.init` whose failures are one line each and come soon.

    Raises:
        InputError: malformed, nothing answers, the token is missing or wrong, other versions.
    """
    local = address == "local"
    if not local and address != "auto":
        _check_answers(address)
    for left in reversed(range(_CLIENT_TRIES)):
        try:
            with _soon() if not local else nullcontext():
                _init(address, runtime_env or {})
            return
        except (OSError, ValueError, RuntimeError, AuthenticationError) as error:
            if not left or not _client_died(error):
                raise InputError(f"--address {address}: {_reason(error)}") from None
            warnings.warn(
                f"--address {address}: the head's server for this client died at its start, "
                "asking for another",
                stacklevel=2,
            )


def _init(address: str, runtime_env: dict[str, object]) -> None:
    ray.init(
        address=address,
        include_dashboard=False if address == "local" else None,
        log_to_driver=address.startswith("ray://"),
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"RAY_CHDIR_TO_TRIAL_DIR": "0"}, **runtime_env},
    )


def _check_answers(address: str) -> None:
    """Ray itself waits for minutes where nothing listens."""
    found = _ADDRESS.fullmatch(address)
    if not found or not 0 < int(found["port"]) < 65536:
        raise InputError(
            f"--address {address}: malformed (allowed: auto, HOST:PORT, ray://HOST:PORT)"
        )
    try:
        with socket.create_connection(
            (found["host"].strip("[]"), int(found["port"])), _ANSWER_SECONDS
        ):
            pass
    except OSError as error:
        raise InputError(
            f"--address {address}: nothing answers there ({error.strerror or error})"
        ) from None


def _client_died(error: BaseException) -> bool:
    """Whether Ray Client's proxy could not start a server, or lost it before it answered."""
    said = ("Starting Ray client server failed", "Proxy failed to Connect to backend")
    return any(text in str(error) for text in said)


def _reason(error: BaseException) -> str:
    # Ray wraps the cause, or quotes its traceback.
    text = " ".join(f"{error} {error.__cause__ or ''}".split())
    if "no authentication token" in text or "couldn't find an authentication token" in text:
        return f"the token is missing: {TOKEN_HELP}"
    if "InvalidAuthToken" in text or isinstance(error, AuthenticationError):
        return f"the cluster refuses the token, or lack of one: {TOKEN_HELP}"
    if "ersion mismatch" in text:
        return text[text.index("ersion mismatch") - 1 :][:300]
    if "ray client connection timeout" in text:
        return f"no Ray Client server answers there, or it refuses the token: {TOKEN_HELP}"
    if _client_died(error):
        return (
            "the head could not start a server for this client (its logs: "
            "ray_client_server_*.err; GRPC_ENABLE_FORK_SUPPORT=0 in its environment helps)"
        )
    if "Failed to connect to GCS" in text:
        return "what answers there is no Ray head (its port is 6379 unless set)"
    return text[:300]


@contextmanager
def _soon() -> Iterator[None]:
    """Ray gives up soon, and its C++ part does not write each refusal to standard error."""
    name = "RAY_gcs_server_port_wait_time_s"
    before = os.environ.get(name)
    os.environ.setdefault(name, _CONNECT_TRIES)
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        if before is None:
            del os.environ[name]


def _dashboard() -> str | None:
    """The dashboard's URL, as the head recorded it; None where it does not run."""
    url = get_webui_url_from_internal_kv()
    return f"http://{url}" if url else None


@contextmanager
def scratch(store: Store) -> Iterator[str]:
    """A folder for Tune's own state and checkpoints, beside the tables; gone afterwards."""
    path = f"{store.root}/{_SCRATCH}"

    def clear() -> None:
        if store.filesystem.get_file_info(path).type == FileType.Directory:
            store.filesystem.delete_dir(path)

    clear()
    try:
        yield path
    finally:
        # A disk in trouble is the study's error, not this; the next run clears what is left.
        with suppress(OSError):
            clear()


def package_folders() -> list[str]:
    """The folders of this tool's packages, to ship: the cluster runs this version of it."""
    return [
        str(Path(found.origin).parent)
        for found in map(find_spec, _PACKAGES)
        if found is not None and found.origin is not None
    ]


def check_shared(results: str, why: str) -> None:
    """Refuses results that only this machine's current folder leads to.

    Raises:
        InputError: neither a URI nor an absolute path.
    """
    if not is_uri(results) and not Path(results).is_absolute():
        raise InputError(
            f"{why}, which does not see {results}: give --results a URI (s3://bucket/prefix) or "
            "the absolute path of a folder that the cluster's nodes share"
        )
