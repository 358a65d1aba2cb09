"""Encoders of timm: small images, counted work, and the same training as ResNets have."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from trainables import export
from trainables.config import TrialConfig, parse_config
from trainables.device import synced_norm
from trainables.device.flops import encoder_flops, encoder_parameters, saved_bytes
from trainables.encoders import ENCODERS
from trainables.encoders.embedding import Encoder, build_encoder
from trainables.errors import InputError
from trainables.trial import Trial

timm = pytest.importorskip("timm")
NAMES = [name for name, family in ENCODERS.items() if not family.has_widths]
SMALLEST = {ENCODERS[name].encoders[0] for name in NAMES}
SMALL = ["timm:test_efficientnet", "timm:test_convnext", "timm:test_vit"]


def config_of(name: str, **fields: Any) -> TrialConfig:
    return TrialConfig.model_validate(
        {"dataset": "digits", "encoder": name, "batch_size": 256, "epochs": 1, "queue_size": 64,
         "projection_dim": 8, "knn_every": 0, "image_size": 8, **fields}
    )  # fmt: skip


def built(name: str, stem: str = "small", size: int = 32, channels: int = 3) -> Encoder:
    with torch.device("meta"):
        return build_encoder(config_of(name, stem=stem, image_size=size), channels)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in SMALLEST else pytest.mark.slow) for n in NAMES],
)
def test_every_model_gives_features_and_is_timms_own_at_its_own_size(name: str) -> None:
    theirs_name = name.removeprefix("timm:")
    with torch.device("meta"):
        theirs = timm.create_model(theirs_name, num_classes=0)
    size = theirs.pretrained_cfg["input_size"][1]
    ours = built(name, "imagenet", size)
    assert ours(torch.empty(2, 3, size, size, device="meta")).shape == (2, ours.features)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: v.shape for key, v in ours.exported.state_dict().items()} == shapes
    count = sum(p.numel() for p in theirs.parameters())
    assert encoder_parameters(config_of(name, stem="imagenet"), size) == count


@pytest.mark.parametrize(
    ("name", "stem", "positions"),
    [
        ("timm:efficientnet_b0", "imagenet", 16), ("timm:efficientnet_b0", "small", 32),
        ("timm:convnext_atto", "imagenet", 8), ("timm:convnext_atto", "tiny", 16),
        ("timm:convnext_atto", "small", 32),
        ("timm:vit_tiny_patch16_224", "imagenet", 2), ("timm:vit_tiny_patch16_224", "small", 8),
    ],
)  # fmt: skip
def test_a_stem_divides_the_first_layers_stride(name: str, stem: str, positions: int) -> None:
    encoder = built(name, stem)
    sides = []
    first = encoder.model.get_submodule(encoder.model.pretrained_cfg["first_conv"])  # type: ignore[operator, union-attr]
    first.register_forward_hook(lambda module, _, output: sides.append(output.shape[-1]))
    encoder(torch.empty(2, 3, 32, 32, device="meta"))
    assert sides == [positions]


def test_flops_of_a_vits_products_follow_their_closed_form() -> None:
    # 64 patches and the class token; twice the multiplications of: the patches' projection, and
    # for each of 12 blocks q, k, v, the output, an MLP of 4 times the width, and attention.
    tokens, d = 65, 192
    block = tokens * (3 + 1 + 8) * d * d + 2 * tokens * tokens * d
    expected = 2 * (64 * (3 * 16) * d + 12 * block)
    assert encoder_flops(config_of("timm:vit_tiny_patch16_224"), 32) == expected


def test_memory_for_the_backward_pass_grows_with_the_image() -> None:
    for name in SMALL:
        small, large = (saved_bytes(config_of(name), size, 1) for size in (16, 32))
        assert 2 < large / small < 8


def test_a_model_of_timm_has_no_width() -> None:
    assert config_of(SMALL[0]).width == 0
    again = config_of(SMALL[0]).model_dump(mode="json")
    assert parse_config(again) == config_of(SMALL[0])
    with pytest.raises(InputError, match="width: timm:test_vit has no width; leave it out"):
        parse_config({"encoder": "timm:test_vit", "width": 64})
    with pytest.raises(InputError, match="width: 0 is no width of resnet18"):
        parse_config({"width": 0})
    with pytest.raises(InputError, match="which do not fill images of 8"):
        build_encoder(config_of("timm:test_vit", stem="imagenet"), 1)


def test_a_model_that_is_not_listed_is_looked_up_in_timm() -> None:
    config = parse_config({"encoder": "timm:resnet18", "stem": "small", "image_size": 32})
    assert config.width == 0
    assert not ENCODERS.is_own(config.encoder)
    with torch.device("meta"):
        encoder = build_encoder(config, 1)
        assert encoder(torch.empty(2, 1, 32, 32)).shape == (2, encoder.features) == (2, 512)
    for name, said in (
        ("timm:resnet1", "'timm:resnet1': timm has no model 'resnet1', did you mean 'resnet18'"),
        ("timm:crossvit_9_240", "has no single first convolution, whose stride a stem divides"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            parse_config({"encoder": name})
        assert "\n" not in str(caught.value)


def test_a_trial_continues_bit_for_bit(tmp_path: Path) -> None:
    config = config_of(SMALL[0], epochs=2, train_fraction=0.2, image_size=None)
    whole, first, second = (Trial(config, data_dir=tmp_path / "data") for _ in range(3))
    for trial in (whole, whole):
        trial.pretraining.advance()
    first.advance()
    first.save(tmp_path / "first.pt")
    second.restore(tmp_path / "first.pt")
    second.pretraining.advance()
    states = (trial.pretraining.method.state_dict().values() for trial in (whole, second))
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))


@pytest.mark.parametrize("name", [pytest.param(SMALL[0], marks=pytest.mark.slow), SMALL[2]])
def test_an_export_loads_into_timm(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(name, precision="fp32", image_size=None)
    trial = Trial(config, data_dir=tmp_path / "data")
    trial.pretraining.epoch = 1  # untrained weights serve here
    trial.save(tmp_path / "trial.pt")
    export.export(tmp_path / "trial.pt", config, {}, tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    found: dict[str, Any] = {}
    exec(Path("example.py").read_text(), found)
    model = runpy.run_path("model.py")
    with torch.no_grad():
        own = model["load_encoder"]().eval()(found["images"])
    torch.testing.assert_close(own, found["features"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", [nn.ReLU, nn.SiLU])
def test_compiled_norm_and_activation_are_timms(kind: type[nn.Module]) -> None:
    from timm.layers import BatchNormAct2d

    from trainables.encoders.timm_models import NormAct

    torch.manual_seed(0)
    theirs = BatchNormAct2d(8, act_layer=kind)
    nn.init.normal_(theirs.weight)
    ours = NormAct(theirs)
    ours.running_mean, ours.running_var = torch.zeros(8), torch.ones(8)
    ours.num_batches_tracked = torch.tensor(0)
    x = torch.randn(4, 8, 6, 6).contiguous(memory_format=torch.channels_last)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected, got = theirs(a), ours(b)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    (expected**3).sum().backward()
    (got**3).sum().backward()
    torch.testing.assert_close(b.grad, a.grad, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(ours.running_var, theirs.running_var)


def test_norms_over_all_workers_keep_their_activation() -> None:
    encoder = build_encoder(config_of(SMALL[0], image_size=32), 3)
    images = torch.randn(4, 3, 32, 32)
    expected = encoder.train()(images)
    synced_norm.synchronise(encoder, on_cpu=True)
    kinds = {type(m) for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)}
    assert kinds == {synced_norm.SyncedBatchNorm2d}
    torch.testing.assert_close(encoder(images), expected, atol=1e-4, rtol=1e-4)
