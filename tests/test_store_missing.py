"""Results that are deleted while a study runs: its end names them, and a rerun fills them in."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.store.tables import Store, open_store
from study.on_ray import driver
from study.on_ray.driver import StudyError, run_study
from study.spec import parse_spec
from tests.complete_study import complete_study

SPEC = """
name: vanishing
datasets: [digits]
methods: [moco]
widths: [4]
arms: [none, mixco]
trials: 2
searches: 1
seeds: 2
search: {sampler: random}
trackers: []
"""


def test_a_study_whose_results_are_deleted_meanwhile_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = parse_spec(SPEC, "test")
    complete_study(tmp_path, spec)
    assert run_study(spec, open_store(tmp_path))  # compacts; every trial is one file from here
    compacted = Store.compact

    def lose(self: Store) -> None:
        for path in tmp_path.glob("trials/*.parquet"):
            path.unlink()
        compacted(self)

    monkeypatch.setattr(driver.Store, "compact", lose)
    with pytest.raises(
        StudyError, match=r"8 trials ended, but their results are gone: .* and 3 more"
    ):
        run_study(spec, open_store(tmp_path))
