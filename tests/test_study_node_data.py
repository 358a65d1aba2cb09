"""Data on the nodes of a cluster: each builds its cache once, however many trials start there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

import trainables.trial  # noqa: F401  # before the start signal: it takes seconds
from tests.image_trees import make_image_folder
from trainables.config import TrialConfig
from trainables.data import dataset
from trainables.on_ray.steps import local_trial

TRIALS = 2
"""On each node."""


@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def start_trial(tree: str, ready: str) -> tuple[str, int, list[str]]:
    """(data folder, process, splits that it built) of a trial that starts when all are ready."""
    built = []
    build = dataset.write_split

    def write_split(path: Path, *rest: object) -> None:
        built.append(path.name)
        time.sleep(3)  # long enough for the others to come
        build(path, *rest)  # type: ignore[arg-type]

    dataset.write_split = write_split
    Path(ready, str(os.getpid())).touch()
    while len(list(Path(ready).iterdir())) < 2 * TRIALS:
        time.sleep(0.01)
    config = TrialConfig(
        dataset=f"imagefolder:{tree}", width=4, epochs=1, batch_size=16, queue_size=64, knn_k=5
    )
    local_trial(config, "validation", None, 1)
    return os.environ["MIXCO_DATA"], os.getpid(), built


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_each_node_builds_once(tmp_path: Path) -> None:
    tree = make_image_folder(tmp_path / "tree", train=60)
    ready = tmp_path / "ready"
    ready.mkdir()
    folders = [str(tmp_path / "one"), str(tmp_path / "two")]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for folder in folders:
            cluster.add_node(num_cpus=TRIALS, env_vars={"MIXCO_DATA": folder})
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False)
        found = ray.get([start_trial.remote(str(tree), str(ready)) for _ in range(2 * TRIALS)])
    finally:
        ray.shutdown()
        cluster.shutdown()
    for folder in folders:
        there = [(process, built) for place, process, built in found if place == folder]
        assert len({process for process, _ in there}) == TRIALS
        splits = [split for _, built in there for split in built]
        assert sorted(splits) == ["test-12.images", "train-12.images"]
