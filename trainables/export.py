"""A trained encoder as files for other programs, to use it and to train it further."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from trainables import checkpoint
from trainables.atomic_write import atomic_folder
from trainables.config import TrialConfig
from trainables.encoders.embedding import Encoder, build_encoder
from trainables.errors import InputError

WEIGHTS, PROGRAM, CARD = "encoder.safetensors", "encoder.pt2", "card.json"
EXAMPLE, MODEL = "example.py", "model.py"

_EXAMPLE = """\
import torch

encoder = torch.export.load("encoder.pt2").module()
images = torch.rand(2, {channels}, {size}, {size})  # in 0..1; the program normalises them
features = encoder(images)  # [2, {features}]
"""

_MODEL = '''\
"""The trained encoder as a module of torch, to train it further or at another size of images."""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn
{network}

FEATURES = {features}
"""Length of the features."""
MEAN, STD = {mean}, {std}
"""Of the images that the encoder was trained on, by channel."""


class Normalise(nn.Module):
    """Images in 0..1 as the network was trained on them."""

    def forward(self, images: Tensor) -> Tensor:
        mean, std = (images.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        return (images - mean) / std


def load_encoder() -> nn.Sequential:
    """The trained encoder: images [N, {channels}, H, W] in 0..1 to features [N, {features}]."""
    trained = network()
    trained.load_state_dict(load_file(Path(__file__).with_name("encoder.safetensors")))
    return nn.Sequential(Normalise(), trained)
'''


class _Normalised(nn.Module):
    """The encoder, preceded by the normalisation that it was trained with."""

    def __init__(self, encoder: Encoder, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.encoder = encoder
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder((images - self.mean) / self.std)


def export(path: Path, config: TrialConfig, card: dict[str, Any], folder: Path) -> None:
    """Write the encoder of a trial's last checkpoint into a new folder, whole or not at all.

    ``encoder.safetensors`` holds the weights, under the names of torchvision or timm.
    ``encoder.pt2`` is the program (torch.export): images [N, C, S, S] in 0..1 to features [N, D],
    for any N; ``example.py`` loads it where only torch is. ``model.py`` loads the weights into a
    module that can be trained, of torchvision or timm; an own class needs this package.
    ``card.json`` says what they are.

    Args:
        path: the checkpoint.
        config: the trial's.
        card: the recorded row of the trial. The input's size and normalisation are added to it.
        folder: the new folder.

    Raises:
        InputError: the checkpoint is missing, damaged, or of an unfinished trial; or ``folder``
            exists.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists already; choose another with --out")
    state = checkpoint.load(path)
    epoch = state["pretraining"]["epoch"]
    if epoch != config.epochs:
        raise InputError(f"{path}: at epoch {epoch} of {config.epochs}; finish the trial first")
    images = state["images"]
    sized = config.model_copy(update={"image_size": images["size"]})
    encoder = build_encoder(sized, images["channels"])
    prefix = "embedding.encoder."
    weights = {
        name.removeprefix(prefix): tensor.contiguous()
        for name, tensor in state["pretraining"]["method"].items()
        if name.startswith(prefix)
    }
    encoder.load_state_dict(weights)
    encoder.eval()
    with atomic_folder(folder) as draft:
        save_file(encoder.exported.state_dict(), draft / WEIGHTS)
        shape = (2, images["channels"], images["size"], images["size"])
        program = torch.export.export(
            _Normalised(encoder, images["mean"], images["std"]),
            (torch.zeros(shape),),
            dynamic_shapes=({0: torch.export.Dim("images", min=1)},),
        )
        torch.export.save(program, draft / PROGRAM)
        card = {**card, "input": images, "features": encoder.features}
        (draft / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        known = {**images, "features": encoder.features}
        (draft / EXAMPLE).write_text(_EXAMPLE.format(**known), encoding="utf-8")
        network = encoder.network_source(sized, images["channels"])
        (draft / MODEL).write_text(_MODEL.format(**known, network=network), encoding="utf-8")
