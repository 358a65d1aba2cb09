"""A real Slurm on this machine, of two nodes, from a temporary configuration."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.local_head import free_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthInfo=socket={folder}/munge.sock
StateSaveLocation={folder}
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
MpiDefault=none
KillWait=10
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8
PartitionName=all Nodes=one,two Default=YES State=UP
"""


def slurm_is_installed() -> bool:
    """Whether `local_slurm` can start: its programs are there, and this user may run them."""
    # Debian keeps the daemons in /usr/sbin, which is not on every user's PATH.
    path = f"{os.environ['PATH']}:/usr/sbin"
    return os.getuid() == 0 and all(shutil.which(name, path=path) for name in PROGRAMS)


@dataclass(frozen=True)
class Job:
    """A batch job as `scontrol show job` has it."""

    state: str
    restarts: int
    exit_code: int
    minutes: int
    """How long it has run."""


@dataclass(frozen=True)
class Slurm:
    """Runs Slurm's commands."""

    environment: dict[str, str]

    def call(self, *command: str, **environment: str) -> str:
        """What the command prints.

        Raises:
            subprocess.CalledProcessError: the command failed.
        """
        return subprocess.run(
            command,
            env={**self.environment, **environment},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
        ).stdout

    def job(self, number: str) -> Job:
        text = self.call("scontrol", "show", "job", number)
        values = dict(re.findall(r"(\w+)=(\S*)", text))
        hours, minutes, _ = values["RunTime"].split(":")
        return Job(
            state=values["JobState"],
            restarts=int(values["Restarts"]),
            exit_code=int(values["ExitCode"].split(":")[0]),
            minutes=60 * int(hours) + int(minutes),
        )

    def is_idle(self) -> bool:
        """Whether all nodes are up and run nothing."""
        try:
            states = self.call("sinfo", "--noheader", "--Node", "--format=%T")
        except subprocess.CalledProcessError:
            return False
        return states.split() == ["idle", "idle"]

    def start_again(self, number: str) -> None:
        """Starts a requeued job once its nodes are free; Slurm lets it wait for two minutes."""
        # The end of a batch script that Slurm hears of after the new start would end the new one.
        wait_until(self.is_idle)
        time.sleep(10)
        self.call("scontrol", "update", f"JobId={number}", "StartTime=now", "TimeLimit=60")


@contextmanager
def local_slurm() -> Iterator[Slurm]:
    """Starts it; ends its jobs and its own processes at the end.

    Raises:
        RuntimeError: it does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)  # munged wants a socket that every user can reach
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(64))
    configuration = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    configuration.write_text(
        CONFIGURATION.format(folder=folder, host=host, ports=free_ports(3)).lstrip()
    )
    path = f"{os.environ['PATH']}:/usr/sbin"
    slurm = Slurm({**os.environ, "PATH": path, "SLURM_CONF": str(configuration)})
    munge = [f"--{name}={folder}/munge.{name}" for name in ("pid-file", "log-file", "seed-file")]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for command in (
            ["munged", "-F", f"--key-file={key}", f"--socket={folder}/munge.sock", *munge],
            ["slurmctld", "-D"],
            ["slurmd", "-D", "-N", "one"],
            ["slurmd", "-D", "-N", "two"],
        ):
            stack.enter_context(_daemon(command, slurm, folder / "log"))
        try:
            wait_until(slurm.is_idle)
        except TimeoutError:
            raise RuntimeError((folder / "log").read_text()) from None
        try:
            yield slurm
        finally:
            slurm.call("scancel", "--user=root")
            wait_until(lambda: not slurm.call("squeue", "--noheader"))


@contextmanager
def _daemon(command: list[str], slurm: Slurm, log: Path) -> Iterator[None]:
    with log.open("a") as output:
        process = subprocess.Popen(command, env=slurm.environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Asks twice a second.

    Raises:
        TimeoutError: it did not become true.
    """
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.5)
