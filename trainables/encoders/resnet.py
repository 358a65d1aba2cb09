"""ResNets of any width, built from torchvision's blocks.

At width 64 with the ImageNet stem the modules, their names and their parameters are those of
torchvision's ResNets without the classifier (He et al. 2016).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, conv1x1

from trainables.config import TrialConfig
from trainables.encoders.embedding import Encoder
from trainables.native.batch_norm import normalise


class _Basic(BasicBlock):
    """torchvision's block; batch norm, residual addition and ReLU are one operation."""

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        y = normalise(self.bn1, self.conv1(x))
        return normalise(self.bn2, self.conv2(y), identity)


class _Bottleneck(Bottleneck):
    """torchvision's block; batch norm, residual addition and ReLU are one operation."""

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        y = normalise(self.bn1, self.conv1(x))
        y = normalise(self.bn2, self.conv2(y))
        return normalise(self.bn3, self.conv3(y), identity)


_DEPTHS: dict[str, tuple[type[_Basic] | type[_Bottleneck], tuple[int, ...]]] = {
    "resnet10": (_Basic, (1, 1, 1, 1)),
    "resnet18": (_Basic, (2, 2, 2, 2)),
    "resnet34": (_Basic, (3, 4, 6, 3)),
    "resnet50": (_Bottleneck, (3, 4, 6, 3)),
}
_STEMS = {"small": (3, 1, False), "tiny": (3, 2, False), "imagenet": (7, 2, True)}
"""By stem: kernel and stride of the first convolution, and whether max pooling follows."""
_TORCHVISION = """\
from torchvision.models.resnet import {block}, ResNet


def network() -> nn.Module:
    resnet = ResNet({block}, {depths})
    resnet.conv1 = nn.{conv1}
    resnet.bn1 = nn.BatchNorm2d({width})
    resnet.maxpool = nn.{maxpool}
    resnet.inplanes = {width}  # torchvision's own stages have 64, 128, 256 and 512 channels
    for stage, depth in enumerate({depths}):
        layer = resnet._make_layer({block}, {width} << stage, depth, stride=2 if stage else 1)
        setattr(resnet, f"layer{{stage + 1}}", layer)
    resnet.fc = nn.Identity()
    return resnet
"""


class ResNet(Encoder):
    """A ResNet that ends in its pooled features.

    Args:
        encoder: ``resnet10``, ``resnet18``, ``resnet34`` or ``resnet50``.
        width: channels of the first stage; the stages have 1, 2, 4 and 8 times as many.
        stem: ``small`` (3x3, stride 1), ``tiny`` (3x3, stride 2) or ``imagenet`` (7x7, stride 2,
            then max pooling): downsampling by 1, 2 and 4 before the first stage.
        channels: of the images.

    Maps images [N, channels, H, W] to features [N, ``features``].
    """

    def __init__(self, encoder: str, width: int, stem: str = "small", channels: int = 3) -> None:
        super().__init__()
        block, depths = _DEPTHS[encoder]
        self.features = 8 * width * block.expansion
        kernel, stride, pool = _STEMS[stem]
        self.conv1 = nn.Conv2d(
            channels, width, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if pool else nn.Identity()
        planes, stages = width, []
        for stage, depth in enumerate(depths):
            blocks = []
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                outputs = (width << stage) * block.expansion
                downsample = None
                if stride != 1 or planes != outputs:
                    downsample = nn.Sequential(
                        conv1x1(planes, outputs, stride), nn.BatchNorm2d(outputs)
                    )
                blocks.append(block(planes, width << stage, stride, downsample))
                planes = outputs
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def network_source(self, config: TrialConfig, channels: int) -> str:
        """torchvision's ResNet, with first layers and stages of this width."""
        block, depths = _DEPTHS[config.encoder]
        return _TORCHVISION.format(
            block="BasicBlock" if issubclass(block, BasicBlock) else "Bottleneck",
            depths=list(depths),
            width=config.width,
            conv1=self.conv1,
            maxpool=self.maxpool,
        )

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(normalise(self.bn1, self.conv1(images)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return torch.flatten(self.avgpool(x), 1)
