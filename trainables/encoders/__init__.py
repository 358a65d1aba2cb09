"""Encoders: the network whose capacity a study varies.

A new family is a file here and an entry in `_FAMILIES`.
"""

from __future__ import annotations

from trainables.encoders.base import EncoderFamily
from trainables.registry import Registry

_FAMILIES = (
    EncoderFamily(
        "resnet",
        "ResNets of any width (He et al. 2016)",
        encoders=("resnet10", "resnet18", "resnet34", "resnet50"),
        stems=("small", "tiny", "imagenet"),
        implementation="trainables.encoders.resnet:ResNet",
    ),
)

ENCODERS: Registry[EncoderFamily] = Registry(
    "encoder",
    {name: family for family in _FAMILIES for name in family.encoders},
    contract=EncoderFamily,
    group="mixco.encoders",
)
"""Every encoder's family by the encoder's name."""
STEMS: Registry[str] = Registry("stem", {s: s for family in _FAMILIES for s in family.stems})
"""The stems of all families."""
