"""Encoders against torchvision's own, and counted work against its closed form."""

from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from trainables.config import TrialConfig
from trainables.device.flops import encoder_flops, encoder_parameters, training_flops
from trainables.encoders import ENCODERS
from trainables.encoders.embedding import Embedding, Encoder, Projection, build_encoder
from trainables.encoders.resnet import ResNet

RESNETS = ENCODERS["resnet10"].encoders


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_width_64_with_the_imagenet_stem_is_torchvisions_resnet(name: str) -> None:
    theirs = getattr(torchvision.models, name)().eval()
    theirs.fc = torch.nn.Identity()
    ours = ResNet(name, 64, "imagenet").eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))
    config = TrialConfig(encoder=name, stem="imagenet")
    assert encoder_parameters(config, 64) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("name", RESNETS)
@pytest.mark.parametrize(("stem", "side"), [("small", 4), ("tiny", 2), ("imagenet", 1)])
def test_every_encoder_has_any_width_and_each_stem_its_resolution(
    name: str, stem: str, side: int
) -> None:
    model = ResNet(name, 3, stem, channels=1).eval()
    x = model.maxpool(model.relu(model.bn1(model.conv1(torch.randn(2, 1, 32, 32)))))
    x = model.layer4(model.layer3(model.layer2(model.layer1(x))))
    assert x.shape == (2, model.features, side, side)


def test_flops_of_the_first_convolution_and_the_growth_with_width() -> None:
    # 3x3x3 weights for each of 64x32x32 outputs, two operations each; the rest follows from
    # doubling: all but the first convolution grows four times as the width doubles.
    first = 2 * 27 * 64 * 32 * 32
    at_64 = encoder_flops(TrialConfig(width=64), 32)
    at_128 = encoder_flops(TrialConfig(width=128), 32)
    assert at_128 - 2 * first == 4 * (at_64 - first)


@pytest.mark.parametrize(
    ("method", "arm", "ratio"),
    [
        ("moco", "mixco", 1.375),
        ("moco", "extra-crop", 1.375),
        ("moco", "i-mix", 1.0),
        ("moco", "un-mix", 1.75),
        ("simclr", "mixco", 1.5),
        ("simclr", "i-mix", 1.0),
        ("simclr", "un-mix", 2.0),
    ],
)
def test_work_of_an_arm_over_the_baselines(method: str, arm: str, ratio: float) -> None:
    base = TrialConfig(method=method, arm="none")
    work = training_flops(base.model_copy(update={"arm": arm}), 32) / training_flops(base, 32)
    # The first convolution needs no gradient of its input: backward is not quite twice forward.
    assert work == pytest.approx(ratio, rel=2e-3)


def test_embeddings_are_unit_vectors() -> None:
    encoder = ResNet("resnet10", 4)
    z = Embedding(encoder, Projection(encoder.features, 16))(torch.randn(5, 3, 16, 16))
    torch.testing.assert_close(z.norm(dim=1), torch.ones(5))


@pytest.mark.parametrize("name", RESNETS)
def test_every_resnet_encoder_keeps_the_contract(name: str) -> None:
    for stem in ENCODERS[name].stems:
        config = TrialConfig(encoder=name, width=2, stem=stem)
        encoder = build_encoder(config, channels=1)
        assert isinstance(encoder, Encoder)
        assert encoder(torch.randn(2, 1, 16, 16)).shape == (2, encoder.features)
        names: dict[str, Any] = {"nn": nn}
        exec(encoder.network_source(config, 1), names)  # torchvision's ResNet
        theirs = names["network"]()
        theirs.load_state_dict(encoder.state_dict())
        # Batch norm of two values may make single precision's error of rounding 300 times larger.
        images = torch.randn(2, 1, 24, 24, dtype=torch.float64)
        found, expected = encoder.double()(images), theirs.double()(images)
        torch.testing.assert_close(found, expected)
        wider = build_encoder(TrialConfig(encoder=name, width=4, stem=stem), channels=1)
        counts = [sum(p.numel() for p in model.parameters()) for model in (encoder, wider)]
        assert counts[1] > 2 * counts[0]
