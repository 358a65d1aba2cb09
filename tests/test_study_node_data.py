"""Data on the nodes of a cluster: each builds its cache once, however many trials start there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from study.runner import run_study
from study.spec import parse_spec
from study.store import open_store
from tests.image_trees import make_image_folder
from trainables import datasets
from trainables.config import TrialConfig
from trainables.tune_trainable import Steps, local_trial

SPEC = """
name: data
datasets: ["imagefolder:{tree}"]
methods: [moco]
widths: [4]
arms: [none, mixco]
base: {{epochs: 1, batch_size: 16, queue_size: 64, knn_every: 0, knn_k: 5}}
trials: 3
seeds: 1
search: {{startup_trials: 3, parallel_per_cell: 3}}
"""


class CountBuilds:
    """A real trial; each split that its process builds is a line in a file of its node."""

    def __call__(
        self, config: TrialConfig, split: str, data_dir: Path | None, cpus: float
    ) -> Steps:
        folder = Path(os.environ["MIXCO_DATA"])
        build = datasets.write_split

        def write_split(path: Path, *rest: object) -> None:
            with (folder / "built").open("a") as file:
                file.write(f"{path.name}\n")
            build(path, *rest)  # type: ignore[arg-type]

        datasets.write_split = write_split
        try:
            trial = local_trial(config, split, data_dir, cpus)
        finally:
            datasets.write_split = build
        with (folder / "trials").open("a") as file:
            file.write(f"{os.getpid()}\n")
        return trial


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_each_node_builds_once(tmp_path: Path) -> None:
    make_image_folder(tmp_path / "tree", train=60)
    spec = parse_spec(SPEC.format(tree=tmp_path / "tree"), "test")
    folders = [tmp_path / "one", tmp_path / "two"]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for folder in folders:
        folder.mkdir()
        cluster.add_node(num_cpus=3, env_vars={"MIXCO_DATA": str(folder)})
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        store = open_store(tmp_path / "results", create=True)
        assert run_study(spec, store, make_trial=CountBuilds())
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert set(store.read("trials")["status"]) == {"complete"}
    for folder in folders:
        processes = set((folder / "trials").read_text().split())
        assert len(processes) >= 2, "trials on one process only show nothing"
        built = (folder / "built").read_text().split()
        assert len(built) == len(set(built)) == 2
