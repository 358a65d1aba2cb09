"""A node of a cluster dies under a study: its trials move to the others."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import ray
from ray.cluster_utils import Cluster

from reports.store.tables import Store, open_store
from study.on_ray.driver import run_study
from study.spec import parse_spec
from tests.synthetic_trial import MakeSynthetic

SPEC = """
name: nodes
datasets: [digits]
methods: [moco]
widths: [4, 8]
arms: [none, mixco]
base: {epochs: 4}
trials: 4
seeds: 2
trackers: []
search: {startup_trials: 2, parallel_per_cell: 2}
"""


def table(store: Store, name: str) -> pd.DataFrame:
    rows = store.read(name).drop(columns=["started_at", "finished_at"], errors="ignore")
    keys = [key for key in ("trial_id", "epoch", "protocol") if key in rows]
    return rows.sort_values(keys, ignore_index=True)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_node_that_dies_costs_no_trial_and_changes_none(tmp_path: Path) -> None:
    spec = parse_spec(SPEC, "test")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = [cluster.add_node(num_cpus=2) for _ in range(2)]
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    killed_after: list[int] = []
    store = open_store(tmp_path / "killed", create=True)

    def kill_when_under_way() -> None:
        while len(store.ids()) < 5:
            time.sleep(0.1)
        killed_after.append(len(store.ids()))
        cluster.remove_node(nodes[0], allow_graceful=False)

    killer = threading.Thread(target=kill_when_under_way)
    try:
        killer.start()
        assert run_study(spec, store, make_trial=MakeSynthetic(seconds_per_epoch=0.3))
        killer.join()
        assert 5 <= killed_after[0] < 24
        deadline = time.monotonic() + 60  # the study may end before Ray declares the node dead
        while sum(node["Alive"] for node in ray.nodes()) != 2:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        whole = open_store(tmp_path / "whole", create=True)
        assert run_study(spec, whole, make_trial=MakeSynthetic())
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert set(store.read("trials")["status"]) == {"complete"}
    for name in ("trials", "epochs", "evaluations"):
        pd.testing.assert_frame_equal(table(store, name), table(whole, name))
