"""Encoders: the network whose capacity a study varies.

A new family is a file here and an entry in `_FAMILIES`.
"""

from __future__ import annotations

from trainables.encoders.base import EncoderFamily
from trainables.registry import Registry

_TIMM = {
    "mobilenetv3": (
        "MobileNetV3 of timm (Howard et al. 2019)",
        (
            *("mobilenetv3_small_050", "mobilenetv3_small_075", "mobilenetv3_small_100"),
            "mobilenetv3_large_100",
        ),
    ),
    "efficientnet": (
        "EfficientNet of timm (Tan and Le 2019), and timm's own small test model",
        ("test_efficientnet", "efficientnet_lite0", "efficientnet_b0", "efficientnet_b1"),
    ),
    "convnext": (
        "ConvNeXt of timm (Liu et al. 2022), and timm's own small test model",
        (
            *("test_convnext", "convnext_atto", "convnext_femto", "convnext_pico"),
            *("convnext_nano", "convnext_tiny"),
        ),
    ),
    "vit": (
        "ViT of timm (Dosovitskiy et al. 2021), and timm's own small test model",
        ("test_vit", "vit_tiny_patch16_224", "vit_small_patch16_224"),
    ),
}
"""Families of timm: what each is, and those of its models that are used where capacity is limited.

They need the extra `timm`. They are listed so that a study which names them is read without timm,
and so that a line over depths knows their families. Other models are looked up in timm."""
_FAMILIES = (
    EncoderFamily(
        "resnet",
        "ResNets of any width (He et al. 2016)",
        encoders=("resnet10", "resnet18", "resnet34", "resnet50"),
        stems=("small", "tiny", "imagenet"),
        implementation="trainables.encoders.resnet:ResNet",
    ),
    *(
        EncoderFamily(
            name,
            summary,
            encoders=tuple(f"timm:{encoder}" for encoder in encoders),
            stems=("small", "tiny", "imagenet"),
            implementation="trainables.encoders.timm_models:TimmEncoder",
            has_widths=False,
            fuses_batch_norm=name in ("mobilenetv3", "efficientnet"),
        )
        for name, (summary, encoders) in _TIMM.items()
    ),
)

ENCODERS: Registry[EncoderFamily] = Registry(
    "encoder",
    {name: family for family in _FAMILIES for name in family.encoders},
    contract=EncoderFamily,
    group="mixco.encoders",
    makers={"timm:": "trainables.encoders.timm_models:family_of"},
)
"""Every encoder's family by the encoder's name."""
STEMS: Registry[str] = Registry("stem", {s: s for family in _FAMILIES for s in family.stems})
"""The stems of all families."""
