"""Connects to the Ray that runs the trials of a study, and gives Tune a folder for a run."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import ray
from pyarrow.fs import FileType
from ray._private import worker
from ray._private.services import get_webui_url_from_internal_kv
from ray.exceptions import AuthenticationError

from reports.store.address import is_uri
from reports.store.tables import Store
from study.on_ray.carried import Carried
from study.on_ray.own_modules import own_modules
from study.on_ray.process_group import own_process_groups
from trainables.device.cpus import usable_cpus
from trainables.errors import InputError
from trainables.own_objects import TOOL_PACKAGES

_SCRATCH = ".tune"
_WAITING = 16
"""How many trials Tune may start before there is room for them."""
_LOCAL = "local"
_ADDRESS_VARIABLE = "RAY_ADDRESS"
_ADDRESS = re.compile(r"(?:ray://)?(?P<host>\[[0-9a-fA-F:]+\]|[^\s/:\[\]]+):(?P<port>\d{1,5})")
_ANSWER_SECONDS = 5.0
_CONNECT_TRIES = "1"
"""How often Ray tries to reach a head that refuses. Ray's default is 20 times, a second apart."""
_CLIENT_TRIES = 3
"""How often to ask Ray Client's proxy for a server. The proxy forks one for each client while gRPC
threads run, and now and then the server dies at its start (ray-project/ray#63202)."""
TOKEN_HELP = (
    "set RAY_AUTH_MODE=token and the cluster's token in RAY_AUTH_TOKEN, in the file that "
    "RAY_AUTH_TOKEN_PATH names, or in ~/.ray/auth_token"
)


class Connection(NamedTuple):
    """The Ray that this process is connected to.

    Attributes:
        dashboard: URL of Ray's dashboard; None if it does not run.
        can_grow: whether nodes may join; false if this process started Ray for itself.
        control_store: host and port of the head's control store (GCS).
    """

    dashboard: str | None
    can_grow: bool
    control_store: tuple[str, int]

    def answers(self) -> bool:
        """Whether the control store still answers."""
        try:
            with socket.create_connection(self.control_store, _ANSWER_SECONDS):
                return True
        except OSError:
            return False


@contextmanager
def connected(address: str | None) -> Iterator[Connection]:
    """Connects to Ray, or starts a Ray on this machine. Does neither if Ray is connected already.

    Args:
        address: ``auto`` (the cluster that runs on this machine, or `RAY_ADDRESS`), ``HOST:PORT``,
            ``ray://HOST:PORT``, or None: a Ray of its own on this machine (in a Ray job: the
            job's cluster).

    Raises:
        InputError: the address is malformed, nothing answers, the token is missing or wrong, or
            the cluster has other versions of Ray or Python.
    """
    # Workers stay in the driver's folder, since paths in a study are relative to it. Tune's own
    # loggers are off: only `study.on_ray.recorder` writes results.
    os.environ.update(
        RAY_CHDIR_TO_TRIAL_DIR="0",
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
        TUNE_DISABLE_SIGINT_HANDLER="1",
        TUNE_GLOBAL_CHECKPOINT_S="3600",
        RAY_AIR_NEW_OUTPUT="0",
    )
    # Tune keeps the process of a trial that has ended only if another trial waits for it. If only
    # one trial may wait, trials that end in quick succession lose their processes, and a new
    # process takes seconds to start.
    os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(_WAITING))
    if ray.is_initialized():
        yield _connection()
        return
    # `resolved` gives "local" where no address is given: without an address, Ray would join
    # whatever `ray start` left running on this machine.
    connect(resolved(address), named=bool(address))
    try:
        yield _connection()
    finally:
        ray.shutdown()


def starts_here(address: str | None) -> bool:
    """Whether `connected` would start a Ray of its own on this machine."""
    return not ray.is_initialized() and resolved(address) == _LOCAL


def resolved(address: str | None) -> str:
    """The address to connect to: ``address``, else `RAY_ADDRESS`, else ``local``."""
    return address or os.environ.get(_ADDRESS_VARIABLE) or _LOCAL


def connect(
    address: str, runtime_env: dict[str, object] | None = None, *, named: bool = True
) -> None:
    """Calls `ray.init`. A failure comes soon and is one line.

    Args:
        address: as for `connected`, or ``local``.
        runtime_env: Ray's runtime environment.
        named: true if the user gave the address with ``--address``, false if it comes from the
            environment; errors name the right one.

    Raises:
        InputError: as `connected`; or Ray cannot start on this machine.
    """
    if address == _LOCAL:
        _start_local(runtime_env or {})
        return
    source = f"--address {address}" if named else f"{_ADDRESS_VARIABLE}={address} (environment)"
    if address != "auto":
        _check_answers(address, source)
    for left in reversed(range(_CLIENT_TRIES)):
        try:
            with _soon():
                _init(address, runtime_env or {})
            return
        except (OSError, ValueError, RuntimeError, AuthenticationError) as error:
            if not left or not _client_died(error):
                raise InputError(f"{source}: {_reason(error)}") from None
            warnings.warn(
                f"{source}: the head's server for this client died at its start; connecting again",
                stacklevel=2,
            )


def _start_local(runtime_env: dict[str, object]) -> None:
    try:
        with own_process_groups():
            _init(_LOCAL, runtime_env)
    except InputError:
        raise
    except Exception as error:  # Ray raises a bare Exception where its processes are too slow
        text = " ".join(str(error).split())
        if "AF_UNIX path length" in text:
            raise InputError(
                f"TMPDIR: the path {tempfile.gettempdir()} is too long for the sockets that Ray "
                "keeps there: set TMPDIR to a shorter folder, /tmp for example"
            ) from None
        if "object store" in text:
            text += " (Ray keeps its object store in /dev/shm; docker: --shm-size=1g)"
        if "timed out during startup" in text:
            text += " (Ray allows 30 s; other work may keep this machine busy: try again)"
        raise InputError(f"Ray does not start on this machine: {text[:400]}") from None


def _init(address: str, runtime_env: dict[str, object]) -> None:
    environment: dict[str, object] = {"env_vars": {"RAY_CHDIR_TO_TRIAL_DIR": "0"}, **runtime_env}
    with own_modules() as modules:  # Ray reads them while it connects
        if modules:
            environment["py_modules"] = [*_listed(runtime_env.get("py_modules")), *modules]
        ray.init(
            address=address,
            # By itself, Ray counts CPUs that the affinity mask of this process excludes.
            num_cpus=usable_cpus() if address == _LOCAL else None,
            include_dashboard=False if address == _LOCAL else None,
            log_to_driver=address.startswith("ray://"),
            logging_level=logging.ERROR,
            runtime_env=environment,
        )


def _listed(modules: object) -> list[str]:
    return modules if isinstance(modules, list) else []


def _check_answers(address: str, source: str) -> None:
    """Checks that something answers at ``address``; Ray itself would wait for minutes.

    Raises:
        InputError: the address is malformed, or nothing answers.
    """
    found = _ADDRESS.fullmatch(address)
    if not found or not 0 < int(found["port"]) < 65536:
        raise InputError(f"{source}: malformed (allowed: auto, HOST:PORT, ray://HOST:PORT)")
    try:
        with socket.create_connection(
            (found["host"].strip("[]"), int(found["port"])), _ANSWER_SECONDS
        ):
            pass
    except OSError as error:
        raise InputError(f"{source}: nothing answers there ({error.strerror or error})") from None


def _client_died(error: BaseException) -> bool:
    """Whether the server that Ray Client's proxy starts for a client died before it answered."""
    said = ("Starting Ray client server failed", "Proxy failed to Connect to backend")
    return any(text in str(error) for text in said)


def _reason(error: BaseException) -> str:
    """Why Ray could not connect, in one line. Ray wraps the cause, or quotes its traceback."""
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
        return "no Ray head answers there, but something else (a head's usual port is 6379)"
    return text[:300]


@contextmanager
def _soon() -> Iterator[None]:
    """Makes Ray give up soon, and hides the line that it prints for each failed attempt."""
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


def _connection() -> Connection:
    url = get_webui_url_from_internal_kv()
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    # Ray's object for the node that this process uses. It is a head only if this process started
    # it, and then no other node joins.
    node = getattr(worker, "_global_node", None)
    return Connection(
        dashboard=f"http://{url}" if url else None,
        can_grow=node is None or not node.is_head(),
        control_store=(host.strip("[]"), int(port)),
    )


@contextmanager
def scratch(store: Store, carried: Carried) -> Iterator[str]:
    """A folder beside the tables for Tune's own state and checkpoints; deleted afterwards.

    Checkpoints in it go to ``carried`` first, those of a run that was killed too.
    """
    path = f"{store.root}/{_SCRATCH}"

    def clear() -> None:
        if store.filesystem.get_file_info(path).type == FileType.Directory:
            carried.collect(path)
            store.filesystem.delete_dir(path)

    clear()
    try:
        yield path
    finally:
        # If the disk fails, the recorder has reported it. The next run deletes what is left.
        with suppress(OSError):
            clear()


def package_folders() -> list[str]:
    """The folders of this tool's packages. They go to the cluster, so that it runs this version."""
    return [
        str(Path(found.origin).parent)
        for found in map(find_spec, TOOL_PACKAGES)
        if found is not None and found.origin is not None
    ]


def check_shared(results: str, why: str) -> None:
    """Refuses results that are given relative to the current folder of this machine.

    Raises:
        InputError: ``results`` is neither a URI nor an absolute path; the line begins with ``why``.
    """
    if not is_uri(results) and not Path(results).is_absolute():
        raise InputError(
            f"{why}, which does not see {results}: give --results a URI (s3://bucket/prefix) or "
            "the absolute path of a folder that the cluster's nodes share"
        )
