"""`python -m tests.synthetic_driver SPEC RESULTS [SECONDS_PER_EPOCH [CPUS]]`: no training.

A process of its own, for tests that kill it. Prints the exit of `run_study`. With 0 CPUs,
`run_study` starts Ray itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ray

from reports.store.tables import open_store
from study.on_ray.driver import StudyError, run_study
from study.spec import load_spec
from tests.synthetic_trial import MakeSynthetic
from trainables.errors import InputError

if __name__ == "__main__":
    spec, results, *rest = sys.argv[1:]
    seconds = float(rest[0]) if rest else 0.0
    cpus = int(rest[1]) if len(rest) > 1 else 2
    started = None if "://" in results else Path(f"{results}.started")
    if cpus:
        # "local": on a machine where a cluster runs, Ray would join that one.
        ray.init(
            "local",
            num_cpus=cpus,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
    try:
        complete = run_study(
            load_spec(spec),
            open_store(results, create=True),
            make_trial=MakeSynthetic(seconds, started=started),
        )
    except (StudyError, InputError) as error:
        print(f"error: {error}", flush=True)
        raise SystemExit(1) from None
    # Tune imports what trackers need, if it may: seconds for every start of a driver.
    assert not {"mlflow", "wandb"} & set(sys.modules)
    print("complete" if complete else "interrupted", flush=True)
