"""`mixco study logs`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from study.commands.study.options import Dashboard
from study.console import tell


def logs(
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID", help="As `submit` printed it.")],
    address: Dashboard,
) -> None:
    """Follow the log of a submitted study to its end; exits with the job's code."""
    from study.on_ray.jobs import Jobs

    follow(Jobs(address), job_id, f"mixco study logs {job_id} --address {address}")


def follow(jobs: Any, job_id: str, again: str) -> None:
    """Follows the log of a job, and exits with its code; Ctrl-C leaves the job running."""
    from study.on_ray.interruption import EXIT_CODE, like_ctrl_c

    try:
        with like_ctrl_c():
            code = jobs.follow(job_id, lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        tell(f"left running; follow it again with: {again}")
        raise typer.Exit(EXIT_CODE) from None
    raise typer.Exit(code)
