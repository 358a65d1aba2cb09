"""An encoder of one's own: a plain network of separable convolutions.

``width`` is the capacity that a study varies: channels of the first stage, doubled at each further
one. The constructor takes what every family's takes.

    mixco check encoder plain:PlainNet
    mixco study run digits.yaml
    mixco report results/plain-digits
"""

import torch
from torch import Tensor, nn

from trainables.encoders.embedding import Encoder

_STAGES = 3


class PlainNet(Encoder):
    """Separable convolutions without shortcuts (after MobileNet, Howard et al. 2017).

    Args:
        encoder: the name in the study, ``plain:PlainNet``.
        width: channels of the first stage.
        stem: the first layers; this family has one, ``small``.
        channels: of the images.
    """

    stems = ("small",)

    def __init__(self, encoder: str, width: int, stem: str, channels: int) -> None:
        super().__init__()
        self.features = width << (_STAGES - 1)
        layers = [nn.Conv2d(channels, width, 3, padding=1, bias=False), *finish(width)]
        for stage in range(1, _STAGES):
            layers += separable(width << (stage - 1), width << stage)
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))

    def forward(self, images: Tensor) -> Tensor:
        return torch.flatten(self.layers(images), 1)


def separable(inputs: int, outputs: int) -> list[nn.Module]:
    """A convolution of each channel with stride 2, then one that mixes channels."""
    depthwise = nn.Conv2d(inputs, inputs, 3, stride=2, padding=1, groups=inputs, bias=False)
    pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
    return [depthwise, *finish(inputs), pointwise, *finish(outputs)]


def finish(channels: int) -> list[nn.Module]:
    """Batch norm and ReLU."""
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
