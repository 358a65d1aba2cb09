"""Encoders of timm (Wightman 2019), without their classifiers and with random weights.

timm's models are made for images of 224 pixels. On small images their first layer would leave too
few positions, so the field ``stem`` divides that layer's stride: by 1 (``imagenet``: timm's own
model), 2 (``tiny``, images of about 64 pixels) or 4 (``small``, about 32 pixels), to 1 at least. A
first layer that cuts the image into patches (ConvNeXt, ViT) keeps its stride equal to its kernel,
so its patches shrink; a ViT is built for the images' size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainables.config import TrialConfig
from trainables.device import norms
from trainables.encoders.embedding import Encoder
from trainables.errors import InputError
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
    layer = model.pretrained_cfg["first_conv"]
    first = model.get_submodule(layer)
    own = first.stride[0]
    stride = max(1, own // _DIVISORS[stem])
    if first.kernel_size[0] != own:  # overlapping windows: the kernel stays
        return options, {} if stride == own else {layer: stride}
    if stride != own:
        options["patch_size"] = stride
    if hasattr(model, "pos_embed"):
        if image_size < stride:
            raise InputError(
                f"stem: {PREFIX}{name} has patches of {stride} pixels with the stem {stem}, "
                f"larger than the images ({image_size})"
            )
        options["img_size"] = image_size
    return options, {}
