"""Trials that can never start are found before anything runs."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st

from reports.store.tables import open_store
from study.agenda import Agenda
from study.fitting import Node, misfits
from study.on_ray import waiting
from study.on_ray.driver import run_study
from study.spec import StudySpec, parse_spec
from trainables.errors import InputError

LAPTOP = Node(2, 0)


def spec_of(resources: str) -> StudySpec:
    text = "name: fit\ndatasets: [digits]\nwidths: [8, 16, 64]\nbase: {batch_size: 256}\n"
    return parse_spec(f"{text}resources: {resources}\n", "test")


def lines(resources: str, *nodes: Node) -> list[str]:
    return [str(misfit) for misfit in misfits(spec_of(resources), nodes)]


@pytest.mark.parametrize(
    ("resources", "nodes", "expected"),
    [
        ("{}", [LAPTOP], []),
        (
            "{cpus: 4}",
            [LAPTOP],
            [
                "widths 8, 16, 64: a trial wants 4 CPUs; the largest node has 2 CPUs",
            ],
        ),
        (
            "{gpus: auto}",
            [LAPTOP, Node(1, 0)],
            ["widths 8, 16, 64: a trial wants 1 CPU and 1 GPU; the largest node has 2 CPUs "
             "and 0 GPUs"],
        ),
        ("{gpus: auto}", [LAPTOP, Node(1, 1)], []),
        ("{gpus: 0.3333}", [Node(1, 1)], []),
        # The CPUs of one node and the GPUs of another do not make a worker.
        (
            "{cpus: 4, gpus: {8: 0, 64: 1}}",
            [Node(8, 0), Node(2, 1)],
            ["width 64: a trial wants 4 CPUs and 1 GPU; the largest node has 2 CPUs and 1 GPU"],
        ),
        # Workers of one trial may be spread over nodes, a worker may not.
        ("{workers: 4}", [LAPTOP, LAPTOP], []),
        (
            "{workers: {8: 1, 64: 4}}",
            [LAPTOP, Node(1, 0)],
            [
                "width 64: a trial wants 4 workers with 1 CPU each; the largest node has 2 CPUs"
                ", and all nodes together have room for 3 such workers"
            ],
        ),
        (
            "{workers: 4}",
            [],
            [
                "widths 8, 16, 64: a trial wants 4 workers with 1 CPU each; the largest node has "
                "0 CPUs"
            ],
        ),
    ],
)  # fmt: skip
def test_what_cannot_fit_is_named_with_what_there_is(
    resources: str, nodes: list[Node], expected: list[str]
) -> None:
    assert lines(resources, *nodes) == expected


def test_encoders_are_named_where_widths_do_not_tell_what_a_trial_wants() -> None:
    text = "name: fit\ndatasets: [digits]\nwidths: [8]\nencoders: [resnet10, 'timm:test_vit']\n"
    for resources, expected in (
        ("{cpus: 4}", "width 8 and encoder timm:test_vit: a trial wants 4 CPUs"),
        ("{cpus: {8: 1, timm:test_vit: 4}}", "encoder timm:test_vit: a trial wants 4 CPUs"),
        ("{cpus: {resnet10: 4, timm:test_vit: 1}}", "encoder resnet10 of width 8: a trial wants"),
    ):
        (found,) = misfits(parse_spec(f"{text}resources: {resources}\n", "test"), [LAPTOP])
        assert str(found).startswith(expected)


@given(st.integers(1, 6), st.integers(1, 8), st.lists(st.integers(0, 8), max_size=4))
def test_a_trial_fits_exactly_where_its_workers_can_be_placed(
    workers: int, cpus: int, nodes: list[int]
) -> None:
    spec = spec_of(f"{{workers: {workers}, cpus: {cpus}}}") if 256 % (4 * workers) == 0 else None
    if spec is None:
        return
    free, placed = list(nodes), 0
    while any(left >= cpus for left in free):
        free[next(i for i, left in enumerate(free) if left >= cpus)] -= cpus
        placed += 1
    fits = not misfits(spec, [Node(count, 0) for count in nodes])
    assert fits == (placed >= workers)


def test_the_example_of_the_documentation_fits_on_a_laptop() -> None:
    text = Path("docs/studies.md").read_text(encoding="utf-8")
    example, *others = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (with_gpus,) = (block for block in others if block.startswith("resources:"))
    spec = parse_spec(example, "docs/studies.md")
    assert misfits(spec, [LAPTOP]) == []
    assert spec_of(with_gpus.removeprefix("resources:")).resources.of("resnet18", 64).workers == 2


def test_what_does_not_fit_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    store = open_store(tmp_path / "results", create=True)
    with pytest.raises(InputError, match="width 64: a trial wants 9999 CPUs; the largest node"):
        run_study(spec_of("{cpus: {8: 1, 64: 9999}}"), store)
    assert not ray.is_initialized()
    assert list(tmp_path.iterdir()) == []


def test_what_waits_for_room_on_a_cluster_is_said_every_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 0.0
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: clock))
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    agenda, said = Agenda(spec_of("{cpus: {8: 1, 64: 9}}")), list[str]()
    notice = waiting.WaitingNotice(agenda, said.append)
    while agenda.next():
        pass
    for second in range(130):
        clock = float(second)
        notice.on_step_end(0, [])
    line = "width 64: a trial wants 9 CPUs; the largest node has 2 CPUs"
    assert said == [f"waiting for room on the cluster: {line}"] * 3
