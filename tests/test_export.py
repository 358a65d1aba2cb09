"""Exported encoders, loaded where only torch is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest
import torch
import torchvision
from safetensors.torch import load_file
from typer.testing import CliRunner

from reports.store.schema import COMPLETE, DIVERGED
from reports.store.tables import open_store
from study import local_trial
from study.commands import export as command
from trainables.config import TrialConfig
from trainables.encoders.embedding import build_encoder
from trainables.errors import InputError
from trainables.export import export
from trainables.trial import Trial

ROOT = Path(__file__).parent.parent
CONFIG = TrialConfig(
    precision="fp32",  # as the exported program computes
    dataset="digits", encoder="resnet10", width=4, batch_size=256, epochs=1, queue_size=64,
    projection_dim=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one finished trial and its checkpoint."""
    root = tmp_path_factory.mktemp("results")
    trial = Trial(CONFIG, data_dir=root / "data")
    path = local_trial.checkpoint_path(root, local_trial.identity(CONFIG)["trial_id"])
    local_trial.run(trial, open_store(root, create=True), path, lambda row: None, None)
    return root


def run(*arguments: Any) -> str:
    result = CliRunner().invoke(command.app, [str(a) for a in arguments])
    if result.exception:
        raise result.exception
    return result.output


def shown_example() -> str:
    """The Python that the documents show."""
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    return str(example)


@pytest.mark.slow
def test_program_and_module_give_the_trials_features_where_this_package_is_not(
    results: Path, tmp_path: Path
) -> None:
    run("digits-moco", "--results", results, "--out", tmp_path / "out")
    trial = Trial(CONFIG, data_dir=results / "data")
    trial.restore(local_trial.checkpoint_path(results, local_trial.identity(CONFIG)["trial_id"]))
    expected = trial._features(trial.data, trial.data.test).values
    torch.save(trial.data.test.images.float() / 255, tmp_path / "images.pt")
    code = (
        "import sys, torch\n"
        "for name in ('trainables', 'study', 'torchvision'): sys.modules[name] = None\n"
        "exec(open('example.py').read())\n"
        "assert features.shape == (2, 32)\n"
        "images = torch.load('../images.pt')\n"
        "torch.save(encoder(images), '../features.pt')\n"
        "torch.save(encoder(images[:1]), '../first.pt')\n"
        "del sys.modules['torchvision']\n"
        "from model import load_encoder\n"
        "with torch.no_grad(): torch.save(load_encoder().eval()(images), '../module.pt')\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code + shown_example()],
        cwd=tmp_path / "out", check=True, timeout=250, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert float(said.removeprefix("accuracy ")) > 0.8  # trained at another size of images
    features = torch.load(tmp_path / "features.pt")
    assert torch.allclose(features, expected, atol=1e-4)
    assert torch.allclose(torch.load(tmp_path / "module.pt"), expected, atol=1e-4)
    assert torch.allclose(torch.load(tmp_path / "first.pt"), expected[:1], atol=1e-4)
    assert features.std(0).mean() > 1e-3  # not constant: the comparison means something


def test_an_own_class_is_exported_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples" / "own_encoder")
    config = TrialConfig.model_validate(
        {**CONFIG.model_dump(), "encoder": "plain:PlainNet", "image_size": 8}
    )
    found: dict[str, Any] = {"nn": torch.nn}
    encoder = build_encoder(config, 1)
    exec(encoder.network_source(config, 1), found)
    again = found["network"]()
    assert type(again) is type(encoder)
    again.load_state_dict(encoder.state_dict())


def test_card_says_what_the_weights_are(results: Path, tmp_path: Path) -> None:
    trial_id = local_trial.identity(CONFIG)["trial_id"]
    said = run(trial_id, "--results", results)
    folder = results / "exports" / trial_id
    assert str(folder) in said
    card = json.loads((folder / "card.json").read_text())
    row = local_trial.find(open_store(results), trial_id)
    assert TrialConfig.model_validate_json(json.dumps(card["config"])) == CONFIG
    assert (card["split"], card["accuracy"]) == ("test", row["accuracy"])
    assert card["data_fingerprint"] == row["data_fingerprint"]
    assert card["input"]["size"] == 8
    weights = load_file(folder / "encoder.safetensors")
    learned = [value for name, value in weights.items() if name.endswith(("weight", "bias"))]
    assert sum(value.numel() for value in learned) == card["parameters"]
    with pytest.raises(InputError, match="exists already"):
        run(trial_id, "--results", results)


def test_standard_width_fits_torchvisions_class(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"encoder": "resnet18", "width": 64, "stem": "imagenet"})
    trial = Trial(config, data_dir=tmp_path / "data")
    trial.pretraining.epoch = 1  # untrained weights serve here
    trial.save(tmp_path / "trial.pt")
    export(tmp_path / "trial.pt", config, {}, tmp_path / "out")
    images = trial.data.test.images[:3].expand(-1, trial.data.channels, -1, -1).float()
    resnet = torchvision.models.resnet18()
    if trial.data.channels == 1:
        resnet.conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    resnet.fc = torch.nn.Identity()
    resnet.load_state_dict(load_file(tmp_path / "out" / "encoder.safetensors"))
    encoder = trial.pretraining.encoder.eval()
    with torch.no_grad():
        assert torch.allclose(resnet.eval()(images), encoder(images), atol=1e-4)


def test_what_cannot_be_exported_is_one_clear_line(results: Path, tmp_path: Path) -> None:
    store = open_store(tmp_path / "other", create=True)
    (row,) = pyarrow.dataset.dataset(results / "trials").to_table().to_pylist()
    for name, status in (("tuned", COMPLETE), ("lost", DIVERGED)):
        store.append({**row, "own_parameters": {}, "trial_id": name, "status": status}, [])
    with pytest.raises(InputError, match="no checkpoint at"):
        run("tuned", "--results", tmp_path / "other")
    with pytest.raises(InputError, match="is diverged"):
        run("lost", "--results", tmp_path / "other")
    with pytest.raises(InputError, match="no such trial"):
        run("nope", "--results", tmp_path / "other")
    unfinished = Trial(CONFIG, data_dir=results / "data")
    unfinished.save(tmp_path / "start.pt")
    with pytest.raises(InputError, match="epoch 0 of 1"):
        export(tmp_path / "start.pt", CONFIG, {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
