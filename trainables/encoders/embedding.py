"""The contract of an encoder, and the embedding: an encoder with its projection head."""

from __future__ import annotations

from typing import ClassVar, cast

from torch import Tensor, nn

from trainables.config import TrialConfig
from trainables.encoders import ENCODERS
from trainables.encoders.base import EncoderFamily
from trainables.own_parameters import Parameter
from trainables.registry import summary_of

_OWN_CLASS = """\
from trainables.config import TrialConfig
from trainables.encoders.embedding import build_encoder


def network() -> nn.Module:
    return build_encoder(TrialConfig(**{fields!r}), {channels})
"""


class Encoder(nn.Module):
    """Images [N, channels, H, W] to features [N, ``features``].

    A family's class derives from this one. Its constructor takes the encoder's name, the width,
    the stem and the channels of the images. Its parameters are the capacity that a study varies.
    """

    stems: ClassVar[tuple[str, ...]] = ("small",)
    """As of `EncoderFamily`; read from the class where a user names it as
    ``package.module:Class``."""
    own_parameters: ClassVar[tuple[Parameter, ...]] = ()
    """As ``stems``; the constructor gets their values as further arguments, by name."""
    features: int
    """Length of the features."""

    @classmethod
    def describe(cls) -> EncoderFamily:
        """What the command line sees of this class: a family of one encoder.

        Families that ship with the tool are described in `ENCODERS`, which needs no torch.
        """
        path = f"{cls.__module__}:{cls.__qualname__}"
        return EncoderFamily(
            cls.__name__,
            summary_of(cls),
            encoders=(path,),
            stems=cls.stems,
            implementation=path,
            own_parameters=cls.own_parameters,
        )

    @classmethod
    def build(cls, config: TrialConfig, channels: int) -> Encoder:
        """The encoder of a config whose ``image_size`` is set."""
        own = {each.name: config.own_parameters[each.name] for each in cls.own_parameters}
        return cls(config.encoder, config.width, config.stem, channels, **own)

    @property
    def exported(self) -> nn.Module:
        """The module whose weights an export holds, under its own names."""
        return self

    def network_source(self, config: TrialConfig, channels: int) -> str:
        """Python that defines ``network()``: an untrained module with the weights' names.

        By default it takes this class and so needs this package; a family that some library has
        takes the library's class.

        Args:
            config: of the trial; its ``image_size`` is set.
            channels: of the images.
        """
        names = ("encoder", "width", "stem", *(own.name for own in self.own_parameters))
        fields = {name: config.value(name) for name in names}
        return _OWN_CLASS.format(
            fields={**fields, "image_size": config.image_size}, channels=channels
        )


class Projection(nn.Sequential):
    """The two-layer head of MoCo v2 and SimCLR: [N, features] to [N, dim], not normalised."""

    def __init__(self, features: int, dim: int) -> None:
        super().__init__(
            nn.Linear(features, features), nn.ReLU(inplace=True), nn.Linear(features, dim)
        )


class Embedding(nn.Module):
    """Encoder and projection head: images [N, C, H, W] to unit vectors [N, dim]."""

    def __init__(self, encoder: Encoder, projection: Projection) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = projection

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(self.projection(self.encoder(images)).float(), dim=1)


def build_encoder(config: TrialConfig, channels: int) -> Encoder:
    """The config's encoder; its weights are drawn from torch's global generator.

    ``image_size`` must be set where the network depends on it (a ViT's positions).
    """
    return cast(Encoder, ENCODERS.find(config.encoder).load().build(config, channels))


def build_embedding(config: TrialConfig, channels: int) -> Embedding:
    """The config's encoder and projection head, drawn from torch's global generator."""
    encoder = build_encoder(config, channels)
    return Embedding(encoder, Projection(encoder.features, config.projection_dim))
