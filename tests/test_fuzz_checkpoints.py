"""Damaged and edited checkpoints: one line, no code runs, and the trial is as it was."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.image_trees import make_image_folder
from tests.refusals import line_of
from trainables import checkpoint
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.trial import Trial

pytestmark = pytest.mark.usefixtures("one_thread")
FUZZ = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
JUNK = st.sampled_from([
    None, -1, 7, 10**30, 0.5, float("nan"), float("inf"), "x", "", [], [1], {}, {"x": 1}, True,
    torch.zeros(3), torch.zeros(2, 2).to_sparse(),
])  # fmt: skip


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    folder = tmp_path_factory.mktemp("data")
    make_image_folder(folder / "images")
    config = TrialConfig(
        dataset=f"imagefolder:{folder / 'images'}", encoder="resnet10", width=1, batch_size=4,
        epochs=2, queue_size=8, projection_dim=2, image_size=8, device="cpu", precision="fp32",
        validation_fraction=0.3, knn_k=1,
    )  # fmt: skip
    trial = Trial(config, data_dir=folder)
    trial.advance()
    assert trial.advance(pause=lambda: True) is None  # after a step of the second epoch
    return trial


@pytest.fixture(scope="module")
def saved(trial: Trial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "state.pt"
    trial.save(path)
    return path


@pytest.fixture(scope="module")
def whole(saved: Path) -> bytes:
    return saved.read_bytes()


@pytest.fixture(scope="module")
def state(saved: Path) -> dict[str, Any]:
    return checkpoint.load(saved)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.pt"


def held(trial: Trial) -> list[Any]:
    """All that restoring may change."""
    state = trial.pretraining.state_dict()
    momenta = state["optimizer"]["state"].values()
    tensors = [*state["method"].values(), *(part["momentum_buffer"] for part in momenta)]
    plain = [
        trial.epoch,
        trial.steps_done,
        trial.seconds,
        trial.loss,
        trial.knn_accuracy,
        str(trial.rows),
    ]
    return [*plain, *(tensor.numpy().tobytes() for tensor in tensors)]


def refused(trial: Trial, path: Path) -> str | None:
    """The line that refuses the checkpoint, if it is refused; the trial is then as it was."""
    before = held(trial)
    try:
        trial.restore(path)
    except InputError as error:
        assert held(trial) == before
        line = line_of(error)
        assert line.startswith(str(path)), line
        return line
    return None


@FUZZ
@given(data=st.data())
def test_every_changed_byte_is_found(
    data: st.DataObject, trial: Trial, whole: bytes, path: Path
) -> None:
    at = data.draw(st.integers(0, len(whole) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "drop", "insert"])):
        case "flip":
            changed = bytearray(whole)
            changed[at] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            changed = bytearray(whole[:at])
        case "drop":
            changed = bytearray(whole[:at] + whole[at + 1 :])
        case _:
            changed = bytearray(whole[:at] + data.draw(st.binary(min_size=1)) + whole[at:])
    path.write_bytes(changed)
    line = refused(trial, path)
    assert line and "delete it to start the trial over" in line


def copied(value: Any) -> Any:
    """Nested dictionaries and lists, copied; the tensors in them are shared."""
    if isinstance(value, dict):
        return {key: copied(part) for key, part in value.items()}
    return [copied(part) for part in value] if isinstance(value, list) else value


def places(value: Any, under: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to each value within nested dictionaries and lists."""
    if under:
        yield under
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, part in items:
        yield from places(part, (*under, key))


@FUZZ
@given(data=st.data())
def test_a_checkpoint_with_an_edited_field_is_refused_or_can_be_continued(
    data: st.DataObject, trial: Trial, state: dict[str, Any], saved: Path, path: Path
) -> None:
    # The first version wrote no checksum.
    edited = part = copied({**state, "kind": "mixco-study checkpoint 1"})
    *keys, last = data.draw(st.sampled_from(list(places(state))))
    for key in keys:
        part = part[key]
    if data.draw(st.booleans()):
        del part[last]
    else:
        part[last] = data.draw(JUNK)
    torch.save(edited, path)
    if refused(trial, path) is None:
        assert trial.epoch == len(trial.rows) == 1
        assert isinstance(trial.seconds, float | int)
        trial.restore(saved)


def test_settings_that_an_older_torch_did_not_save_keep_their_values(
    trial: Trial, state: dict[str, Any], saved: Path, path: Path
) -> None:
    (group,) = state["pretraining"]["optimizer"]["param_groups"]
    for name in group.keys() - {"params"}:
        edited = copied({**state, "kind": "mixco-study checkpoint 1"})
        del edited["pretraining"]["optimizer"]["param_groups"][0][name]
        torch.save(edited, path)
        assert refused(trial, path) is None
        assert trial.pretraining.optimizer.param_groups[0][name] == group[name], name
        trial.restore(saved)


def test_what_another_program_wrote_is_refused_and_runs_no_code(
    trial: Trial, state: dict[str, Any], whole: bytes, path: Path
) -> None:
    class Code:
        def __reduce__(self) -> Any:
            return (Path.touch, (path.with_name("ran"),))

    torch.save({"kind": "mixco-study checkpoint 2", "config": Code()}, path)
    assert refused(trial, path)
    torch.save(state, path)  # edited by another program: its checksum is missing
    assert "its checksum is missing" in str(refused(trial, path))
    path.write_bytes(whole)
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    assert "compressed" in str(refused(trial, path))
    assert not path.with_name("ran").exists()
