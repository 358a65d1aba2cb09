"""Encoders of timm (Wightman 2019), without their classifiers and with random weights.

timm's models are made for images of 224 pixels. On small images their first layer would leave too
few positions, so the field ``stem`` divides that layer's stride: by 1 (``imagenet``: timm's own
model), 2 (``tiny``, images of about 64 pixels) or 4 (``small``, about 32 pixels), to 1 at least. A
first layer that cuts the image into patches (ConvNeXt, ViT) keeps its stride equal to its kernel,
so its patches shrink; a ViT is built for the images' size.

Any model of timm can be used that has a single first convolution and ends in pooled features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainables.config import TrialConfig
from trainables.device import norms
from trainables.encoders.base import EncoderFamily
from trainables.encoders.embedding import Encoder
from trainables.errors import InputError, cause, meant
from trainables.native.batch_norm import fused

try:
    import timm
    from timm.layers import BatchNormAct2d
except ModuleNotFoundError as error:
    if error.name != "timm":
        raise
    raise InputError("encoder: timm is not installed (pip install 'mixco-study[timm]')") from None

PREFIX = "timm:"
_DIVISORS = {"small": 4, "tiny": 2, "imagenet": 1}


class NormAct(nn.BatchNorm2d):
    """Batch norm, then an activation: timm's `BatchNormAct2d`, under the same names of weights."""

    def __init__(self, norm: BatchNormAct2d) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        norms.share(self, norm)
        self.act = norm.act

    def forward(self, input: Tensor) -> Tensor:
        relu = isinstance(self.act, nn.ReLU)
        y = fused(self, input, relu=relu)
        if y is None:
            y = super().forward(input)
        elif relu:
            return y
        activated: Tensor = self.act(y)
        return activated


class TimmEncoder(Encoder):
    """A model of timm that ends in its pooled features.

    Args:
        encoder: ``timm:NAME``.
        stem: by how much the first layer's stride is divided.
        channels, image_size: of the images.

    Maps images [N, channels, image_size, image_size] to features [N, ``features``].
    """

    def __init__(self, encoder: str, stem: str, channels: int, image_size: int) -> None:
        super().__init__()
        name = encoder.removeprefix(PREFIX)
        self._options, self._strides = _small_images(name, stem, channels, image_size)
        self._name = name
        self.model = timm.create_model(name, **self._options)
        for layer, stride in self._strides.items():
            self.model.get_submodule(layer).stride = (stride, stride)
        norms.replace(self.model, lambda m: NormAct(m) if type(m) is BatchNormAct2d else None)
        self.features = self.model.head_hidden_size

    @classmethod
    def build(cls, config: TrialConfig, channels: int) -> TimmEncoder:
        assert config.image_size is not None, "a ViT is built for the images' size"
        return cls(config.encoder, config.stem, channels, config.image_size)

    @property
    def exported(self) -> nn.Module:
        return self.model

    def network_source(self, config: TrialConfig, channels: int) -> str:
        """timm's model."""
        options = "".join(f", {name}={value!r}" for name, value in self._options.items())
        lines = [f"model = timm.create_model({self._name!r}{options})"]
        lines += [
            f"model.{layer}.stride = ({stride}, {stride})"
            for layer, stride in self._strides.items()
        ]
        body = "".join(f"    {line}\n" for line in [*lines, "return model"])
        return f"import timm\n\n\ndef network() -> nn.Module:\n{body}"

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.model(images)
        return features


def _small_images(
    name: str, stem: str, channels: int, image_size: int
) -> tuple[dict[str, Any], dict[str, int]]:
    """Arguments of ``timm.create_model``, and the strides to set afterwards, by layer."""
    options: dict[str, Any] = {"num_classes": 0, "in_chans": channels}
    with torch.device("meta"):
        model = timm.create_model(name, **options)
    layer = model.pretrained_cfg.get("first_conv")
    first = model.get_submodule(layer) if isinstance(layer, str) else None
    if not isinstance(first, nn.Conv2d):
        raise InputError(
            f"encoder: {PREFIX}{name} has no single first convolution, whose stride a stem divides"
        )
    own = first.stride[0]
    stride = max(1, own // _DIVISORS[stem])
    if first.kernel_size[0] != own:  # overlapping windows: the kernel stays
        return options, {} if stride == own else {layer: stride}
    if stride != own:
        options["patch_size"] = stride
    if hasattr(model, "pos_embed"):
        if image_size % stride:
            raise InputError(
                f"image_size: {PREFIX}{name} has patches of {stride} pixels with the stem {stem}, "
                f"which do not fill images of {image_size} (allowed: multiples of {stride})"
            )
        options["img_size"] = image_size
    return options, {}


def family_of(encoder: str) -> EncoderFamily:
    """The family of a model of timm that `trainables.encoders` does not list: that model alone.

    Raises:
        InputError: timm has no such model, or it does not end in pooled features of its images.
    """
    name = encoder.removeprefix(PREFIX)
    models = timm.list_models()
    if name not in models:
        raise InputError(f"timm has no model {name!r}{meant(name, models)}")
    try:
        with torch.device("meta"):
            size = timm.create_model(name).pretrained_cfg["input_size"][-1]
            built = TimmEncoder(encoder, "imagenet", 3, size).eval()
            shape = list(built(torch.empty(2, 3, size, size)).shape)
    except InputError:
        raise
    except Exception as error:  # of one of timm's thousand models
        raise InputError(f"timm's model cannot be built as an encoder: {cause(error)}") from None
    if shape != [2, built.features]:
        raise InputError(f"timm's model gives {shape} for two images, not [2, {built.features}]")
    return EncoderFamily(
        name,
        "a model of timm",
        encoders=(encoder,),
        stems=tuple(_DIVISORS),
        implementation=f"{__name__}:{TimmEncoder.__name__}",
        has_widths=False,
        fuses_batch_norm=False,  # not measured
    )
