"""`mixco study submit`."""

from __future__ import annotations

from typing import Annotated

import typer

from study.commands.study.logs import follow
from study.commands.study.options import RESULTS_VARIABLE, Dashboard, Spec
from study.console import tell


def submit(
    spec: Spec,
    address: Dashboard,
    results: Annotated[
        str, typer.Option("--results", help="URI, or absolute path that the nodes share.")
    ],
    data: Annotated[
        str | None, typer.Option("--data", help="Folder with data sets, on the nodes.")
    ] = None,
    accept_mixed: Annotated[
        bool, typer.Option("--accept-mixed", help="As of `mixco study run`.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="As of `mixco study run`.")
    ] = False,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", help="NAME or NAME=VALUE: a variable for the job; repeatable."),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include",
            metavar="PATH",
            help="A file or folder in the current folder that the job needs besides the tool, the "
            "study and the data sets that the study names; repeatable.",
        ),
    ] = None,
    send_credentials: Annotated[
        bool,
        typer.Option(
            "--send-credentials",
            help="Give the job the key that stands in --results, as a variable, which Ray's "
            "dashboard shows; default: the nodes use their own credentials.",
        ),
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow the job's log.")] = False,
) -> None:
    """Run SPEC on a cluster as a Ray job, and follow its log (Ctrl-C leaves it running)."""
    from study.on_ray.cluster import check_shared
    from study.on_ray.jobs import Jobs
    from study.spec import load_spec

    study = load_spec(spec)
    check_shared(results, "a job runs in a folder of its own on the cluster")
    options, environment = results_of_job(results, send_credentials)
    options += ["--data", data] if data else []
    options += ["--accept-mixed"] if accept_mixed else []
    options += ["--retry-failed"] if retry_failed else []
    environment |= dict(_variable(item) for item in env or ())
    jobs = Jobs(address)
    job_id = jobs.submit(study, options, environment, include or ())
    if environment:
        tell(f"Ray's dashboard shows these variables of the job: {', '.join(environment)}")
    again = f"mixco study logs {job_id} --address {address}"
    tell(f"{job_id}: follow it with: {again}")
    if not detach:
        follow(jobs, job_id, again)


def results_of_job(results: str, send_credentials: bool) -> tuple[list[str], dict[str, str]]:
    """Options and variables that tell a job where its results go.

    Whoever may see Ray's dashboard may read both of every job, so credentials in ``results`` are
    left out unless ``send_credentials`` asks for them. A line on stderr says so.
    """
    from reports.store.address import without_credentials

    bare = without_credentials(results)
    if send_credentials and bare != results:
        return [], {RESULTS_VARIABLE: results}
    if bare != results:
        tell(
            "the job does not get the key that stands in --results: the nodes use their own "
            "credentials (--send-credentials sends it)"
        )
    return ["--results", bare], {}


def _variable(item: str) -> tuple[str, str]:
    """Name and value of ``NAME=VALUE``, or of ``NAME`` with this process's value."""
    import os

    name, given, value = item.partition("=")
    return name, value if given else os.environ.get(name, "")
