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
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow the job's log.")] = False,
) -> None:
    """Run SPEC on a cluster as a Ray job, and follow its log (Ctrl-C leaves it running)."""
    import os

    from reports.store.address import public
    from study.on_ray.cluster import check_shared
    from study.on_ray.jobs import Jobs
    from study.spec import load_spec

    study = load_spec(spec)
    check_shared(results, "a job runs in a folder of its own on the cluster")
    secret = public(results) != results
    options = [] if secret else ["--results", results]
    options += ["--data", data] if data else []
    options += ["--accept-mixed"] if accept_mixed else []
    options += ["--retry-failed"] if retry_failed else []
    environment = {}
    for item in env or ():
        name, given, value = item.partition("=")
        environment[name] = value if given else os.environ.get(name, "")
    if secret:  # A job's command line is shown to all who see the dashboard.
        environment[RESULTS_VARIABLE] = results
    jobs = Jobs(address)
    job_id = jobs.submit(study, options, environment, include or ())
    again = f"mixco study logs {job_id} --address {address}"
    tell(f"{job_id}: follow it with: {again}")
    if not detach:
        follow(jobs, job_id, again)
