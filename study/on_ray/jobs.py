"""A study as a Ray job: shipped to a cluster, followed from here, left running, found again."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from study.on_ray.cluster import TOKEN_HELP, package_folders
from study.spec import StudySpec, dump_spec
from trainables.errors import InputError

EXCLUDED = (".venv", "venv", ".git", "/results", "/data", "*.pt", "__pycache__", ".*_cache")
"""What of the working directory stays here."""
_SPEC_VARIABLE = "MIXCO_STUDY"
_LOST = 1
"""Exit code of a job that ended without one: stopped, or its head died."""


class Jobs:
    """The jobs of one cluster, through its dashboard."""

    def __init__(self, address: str) -> None:
        """Connects.

        Args:
            address: of the dashboard, ``http://HEAD:8265``.

        Raises:
            InputError: malformed, nothing answers, or the token is missing or wrong.
        """
        if find_spec("aiohttp") is None:
            raise InputError("jobs need Ray's dashboard client: pip install 'mixco-study[cluster]'")
        if not address.startswith(("http://", "https://")):
            raise InputError(
                f"--address {address}: the dashboard's address is needed (http://HEAD:8265)"
            )
        from ray.job_submission import JobSubmissionClient

        self.address = address
        # These override the address that a client is given.
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            os.environ.pop(name, None)
        self._client = self._ask(lambda: JobSubmissionClient(address))

    def submit(self, study: StudySpec, options: list[str], environment: Mapping[str, str]) -> str:
        """Starts `mixco study run` there; the job's id.

        The job gets the current folder, this version of the tool and the study itself, wherever
        that came from.

        Args:
            study: the study.
            options: of `mixco study run`.
            environment: variables of the job and its trials.

        Raises:
            InputError: the cluster refuses it, or the folder is too large to ship.
        """
        run = shlex.join(
            ["python", "-m", "study.commands.main", "study", "run", "-", "--address", "auto"]
        )
        entrypoint = f'printf %s "${_SPEC_VARIABLE}" | {run} {shlex.join(options)}'
        runtime_env: dict[str, Any] = {
            "working_dir": str(Path.cwd()),
            "excludes": list(EXCLUDED),
            "py_modules": package_folders(),
            "env_vars": {**environment, _SPEC_VARIABLE: dump_spec(study)},
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
        """Writes the job's log from its start until it ends; its exit code.

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
