"""A real head node of a Ray cluster on this machine, with its dashboard and a token of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import ray

TOKEN = "5" * 64


@dataclass(frozen=True)
class Head:
    """Where it answers, and the environment of a process that may use it."""

    host: str
    gcs_port: int
    client_port: int
    dashboard_port: int
    folder: Path

    @property
    def address(self) -> str:
        return f"{self.host}:{self.gcs_port}"

    @property
    def client(self) -> str:
        return f"ray://{self.host}:{self.client_port}"

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.dashboard_port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
            "GRPC_ENABLE_FORK_SUPPORT": "0",  # docs/cluster.md
            "HOME": str(self.folder),  # no token of this machine's user
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parent.parent),
        }

    def mixco(self, *arguments: str, **environment: str | None) -> subprocess.Popen[str]:
        """`mixco ARGUMENTS` in a process; an environment variable of None is not set."""
        values = {**self.environment, **environment}
        return subprocess.Popen(
            [sys.executable, "-m", "study.commands.main", *arguments],
            env={name: value for name, value in values.items() if value is not None},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,
        )


def heed_interrupts() -> None:
    """For a child that is to be interrupted: a shell's background job starts deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, outside Ray's own range for workers."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def local_head(cpus: int = 1) -> Iterator[Head]:
    """Starts it; stops its own processes, and no others, at the end."""
    # Ray's sockets lie below its folder, and a socket's path has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="head-"))
    gcs, client, dashboard, agent = free_ports(4)
    head = Head(ray.util.get_node_ip_address(), gcs, client, dashboard, folder)
    command = [
        *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"),
        *(f"--port={gcs}", f"--ray-client-server-port={client}", f"--dashboard-port={dashboard}"),
        *(f"--dashboard-agent-listen-port={agent}", f"--num-cpus={cpus}", f"--temp-dir={folder}/r"),
        *("--object-store-memory=200000000", "--disable-usage-stats"),
    ]
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen(command, env=head.environment, stdout=log, stderr=log)
    try:
        _wait(process, folder / "head.log", dashboard)
        yield head
    finally:
        # As a machine that loses its power; a graceful end waits for the jobs.
        parts = [process, *psutil.Process(process.pid).children(recursive=True)]
        for part in parts:
            with suppress(psutil.NoSuchProcess):
                part.kill()
        psutil.wait_procs(parts[1:], 30)
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], log: Path, dashboard: int) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        if "runtime started" in log.read_text():
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", dashboard)) == 0:
                    return
        time.sleep(0.2)
    raise TimeoutError(log.read_text())
