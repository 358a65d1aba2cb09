"""A study as a Ray job: submitted to a cluster, followed from this machine, or left running."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from study.on_ray.cluster import TOKEN_HELP, package_folders
from study.on_ray.job_folder import STUDY_FILE, job_folder
from study.on_ray.own_modules import own_modules
from study.spec import StudySpec
from trainables.errors import InputError

_LOST = 1
"""Exit code that stands for a job without an exit code: it was stopped, or its head died."""


class Jobs:
    """The jobs of one cluster, through the HTTP interface of its dashboard."""

    def __init__(self, address: str) -> None:
        """Connects.

        Args:
            address: the dashboard's, ``http://HEAD:8265``.

        Raises:
            InputError: the address is malformed, nothing answers, or the token is missing or wrong.
        """
        if find_spec("aiohttp") is None:
            raise InputError("jobs need Ray's dashboard client: pip install 'mixco-study[cluster]'")
        if not address.startswith(("http://", "https://")):
            raise InputError(
                f"--address {address}: the dashboard's address is needed (http://HEAD:8265)"
            )
        from ray.job_submission import JobSubmissionClient

        self.address = address
        # These variables would override the address that the client is given.
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            os.environ.pop(name, None)
        self._client = self._ask(lambda: JobSubmissionClient(address))

    def submit(
        self,
        study: StudySpec,
        options: list[str],
        environment: Mapping[str, str],
        includes: Iterable[str] = (),
    ) -> str:
        """Starts `mixco study run` on the cluster; returns the job's id.

        The job gets this version of the tool, the study, the modules of the user's own and the data
        sets of the current folder that the study names, and ``includes``.

        Args:
            study: the study.
            options: of `mixco study run`.
            environment: variables of the job and its trials.
            includes: further files and folders of the current folder.

        Raises:
            InputError: the cluster refuses the job, or its files cannot be shipped.
        """
        entrypoint = shlex.join(
            [
                *("python", "-m", "study.commands.main", "study", "run", STUDY_FILE),
                *("--address", "auto", *options),
            ]
        )
        with job_folder(study, includes) as folder, own_modules() as modules:
            runtime_env: dict[str, Any] = {
                "working_dir": str(folder),
                "py_modules": [*package_folders(), *map(_as_package, modules)],
                "env_vars": dict(environment),
            }
            return str(
                self._ask(
                    lambda: self._client.submit_job(
                        entrypoint=entrypoint,
                        runtime_env=runtime_env,
                        metadata={"study": study.name},
                    )
                )
            )

    def follow(self, job_id: str, write: Callable[[str], None]) -> int:
        """Prints the job's log from its start until the job ends; returns the job's exit code.

        Raises:
            InputError: there is no such job, or the cluster does not answer any more.
        """

        async def copy() -> None:
            async for text in self._client.tail_job_logs(job_id):
                write(text)

        self._ask(lambda: self._client.get_job_info(job_id))
        self._ask(lambda: asyncio.run(copy()))
        info = self._ask(lambda: self._client.get_job_info(job_id))
        if info.driver_exit_code is not None:
            return int(info.driver_exit_code)
        if info.status == "SUCCEEDED":
            return 0
        write(f"{job_id}: {info.status.lower()}: {info.message or 'no reason given'}\n")
        return _LOST

    def _ask(self, question: Callable[[], Any]) -> Any:
        import aiohttp
        from ray.exceptions import AuthenticationError

        try:
            return question()
        except (
            RuntimeError,
            OSError,
            ValueError,
            AuthenticationError,
            aiohttp.ClientError,
        ) as error:
            text = " ".join(str(error).split())
            if "uthenticat" in text or "nauthorized" in text:
                text = f"the cluster refuses the token, or lack of one: {TOKEN_HELP}"
            raise InputError(f"--address {self.address}: {text[:300]}") from None


def _as_package(copy: str) -> str:
    """The copy of a module as a package of the same name: a job takes folders only."""
    file = Path(copy)
    if file.is_dir():
        return copy
    package = file.with_suffix("")
    package.mkdir()
    file.rename(package / "__init__.py")
    return str(package)
