"""Studies whose trials run on Ray Train's workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import ray

from reports.store.tables import open_store
from study.on_ray.driver import run_study
from study.spec import StudySpec, parse_spec
from tests.study_tables import table
from tests.synthetic_trial import MakeSynthetic, diverge_at_high_rates
from tests.test_train_trainable import assert_nothing_is_left
from trainables.errors import InputError

BASE = """
name: several
datasets: [digits]
methods: [moco]
widths: [4, 8]
arms: [none]
base: {epochs: 4, device: cpu}
trials: 3
searches: 1
seeds: 1
trackers: []
search: {startup_trials: 2}
seed: 1
stopping: {rule: asha, grace_epochs: 1, reduction_factor: 2}
"""


def spec_of(**changes: Any) -> StudySpec:
    spec = parse_spec(BASE, "test")
    return StudySpec.model_validate({**spec.model_dump(), **changes})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_trials_of_several_workers_have_the_rows_of_reused_ones_and_leave_nothing_behind(
    tmp_path: Path,
) -> None:
    """Both kinds take turns on two CPUs: there is never room for all that could start."""
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    stores = {}
    try:
        for name, workers, widths in (("one", 1, [8]), ("several", {4: 1, 8: 2}, [4, 8])):
            stores[name] = open_store(tmp_path / name, create=True)
            synthetic = MakeSynthetic(trouble=diverge_at_high_rates)
            spec = spec_of(resources={"workers": workers}, widths=widths)
            assert run_study(spec, stores[name], make_trial=synthetic)
        assert_nothing_is_left()
    finally:
        ray.shutdown()
    alone, trials = (table(stores[name]) for name in ("one", "several"))
    assert set(alone["workers"]) == {1}
    assert set(alone["runner"]) == {"reused"}
    wide = trials["width"] == 8
    assert wide.sum() == (~wide).sum() == 4
    assert set(trials["status"][wide]) == {"complete", "pruned", "diverged"}
    assert trials["workers"].tolist() == [2 if is_wide else 1 for is_wide in wide]
    assert (trials["runner"] == "train").equals(wide)
    for name in ("trials", "epochs", "evaluations"):
        found, expected = (
            table(stores[kind], name).drop(columns=["workers", "runner"], errors="ignore")
            for kind in ("several", "one")
        )
        found = found[found["trial_id"].isin(expected["trial_id"])]
        pd.testing.assert_frame_equal(found.reset_index(drop=True), expected)


def test_a_study_refuses_workers_that_cannot_be() -> None:
    for line, message in (
        ("runner: reused\nresources: {workers: 2}", "runner: reused is for one worker"),
        ("resources: {workers: {8: 3}}", "batch_size: 256 does not go into 3 workers"),
        ("resources: {workers: 2, gpus: 0.5}", "workers of one trial cannot share a GPU"),
        ("resources: {workers: 0}", "workers: every number must be at least 1"),
        ("resources: {gpus: some}", "gpus"),
    ):
        with pytest.raises(InputError, match=message):
            parse_spec(f"{BASE}\n{line}", "test")
    by_width = parse_spec(f"{BASE}\nresources: {{workers: {{1: 1, 64: 2}}, gpus: auto}}", "test")
    assert by_width.resources.of("resnet18", 8, gpu_share=0.25) == (1, 1.0, 0.25)
    assert by_width.resources.of("resnet18", 64, gpu_share=0.25) == (2, 1.0, 1.0)
    assert by_width.resources.of("resnet18", 64).total == {"CPU": 2.0, "GPU": 2.0}
    assert [by_width.runner_of(("resnet18", width)) for width in (8, 64)] == ["reused", "train"]
    assert spec_of(runner="train").runner_of(("resnet18", 8)) == "train"
