"""A node of a cluster dies under a study, with notice or without: its trials move to the others."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

from reports.store.tables import Store, open_store
from study.on_ray import driver, recorder
from study.on_ray.driver import run_study
from study.spec import parse_spec
from tests.study_tables import assert_same_tables
from tests.synthetic_trial import MakeSynthetic
from trainables.config import TrialConfig
from trainables.on_ray import notice

SPEC = """
name: nodes
datasets: [digits]
methods: [moco]
widths: [4, 8]
arms: [none, mixco]
base: {epochs: 4}
trials: 4
searches: 1
seeds: 2
trackers: []
search: {startup_trials: 2, parallel_per_cell: 2}
"""


class Diary:
    """Notes where each epoch begins, and may hold the trials of one node at two places.

    Once `hold` is called, a trial there waits before epoch 2 until `let_go` is called. From then
    on it waits before epoch 3, for as long as its node lives.
    """

    def __init__(self, folder: Path, held: str) -> None:
        self._folder, self._held = folder, held

    def __call__(self, config: TrialConfig, epoch: int) -> None:
        notice.LOOK_SECONDS = 0  # in the trial's process, where this runs: an epoch takes 0.3 s
        here = ray.get_runtime_context().get_node_id()
        with (self._folder / "diary").open("a") as file:
            file.write(f"{config.digest()} {here} {epoch}\n")
        if here == self._held and (self._folder / "hold").exists() and self._stops(epoch):
            with (self._folder / "waits").open("a") as file:
                file.write(f"{epoch}\n")
            while self._stops(epoch):
                time.sleep(0.1)

    def _stops(self, epoch: int) -> bool:
        let_go = (self._folder / "let go").exists()
        return (epoch == 2 and not let_go) or (epoch == 3 and let_go)

    def hold(self) -> None:
        (self._folder / "hold").touch()

    def let_go(self) -> None:
        (self._folder / "let go").touch()

    def see_both_wait(self, epoch: int) -> None:
        """Returns when both trials of the node wait before this epoch."""
        waits = self._folder / "waits"
        while not waits.exists() or waits.read_text().split().count(str(epoch)) < 2:
            time.sleep(0.1)

    def epochs(self) -> dict[str, list[tuple[str, int]]]:
        """(node, epoch) of each trial, in order."""
        epochs = defaultdict(list)
        path = self._folder / "diary"
        for line in path.read_text().splitlines() if path.exists() else []:
            trial, node, epoch = line.split()
            epochs[trial].append((node, int(epoch)))
        return epochs


def take_away(cluster: Cluster, node: Any, store: Store, diary: Diary) -> None:
    """Gives notice that the node goes, and takes it before epoch 3 of its two trials."""
    while len(store.ids()) < 5:
        time.sleep(0.1)
    diary.hold()
    diary.see_both_wait(2)
    deadline = time.time() + 6
    preemption = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    client = ray._raylet.GcsClient(address=cluster.address)
    assert client.drain_node(node.node_id, preemption, "test", int(1000 * deadline))[0]
    diary.let_go()  # Epoch 2 ends after the notice, so it is saved.
    diary.see_both_wait(3)
    while time.time() < deadline:
        time.sleep(0.1)
    cluster.remove_node(node, allow_graceful=False)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_node_that_dies_costs_no_trial_and_changes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        # A node that is taken away with notice costs no attempt: none may be lost here.
        monkeypatch.setattr(driver, "MAX_FAILURES", 0)
        monkeypatch.setattr(recorder, "MAX_FAILURES", 0)
        moved = open_store(tmp_path / "moved", create=True)
        diary = Diary(tmp_path, nodes[1].node_id)
        arguments = (cluster, nodes[1], moved, diary)
        taker = threading.Thread(target=take_away, args=arguments, daemon=True)
        taker.start()
        assert run_study(spec, moved, make_trial=MakeSynthetic(0.3, trouble=diary))
        taker.join(60)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert set(store.read("trials")["status"]) == {"complete"}
    assert len(store.ids()) == 24
    assert_same_tables(store, moved)  # disturbed in different ways, at different moments
    moved_trials = [
        epochs for epochs in diary.epochs().values() if len({node for node, _ in epochs}) == 2
    ]
    assert len(moved_trials) == 2
    for epochs in moved_trials:  # What was done is kept: only the epoch in hand begins again.
        assert [epoch for _, epoch in epochs] == [1, 2, 3, 3, 4]
