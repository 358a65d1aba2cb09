"""Which operations the views of a trial have."""

from __future__ import annotations

from trainables.config import TrialConfig
from trainables.data.dataset import Dataset
from trainables.views.parameters import BLUR_FROM, Policy


def policy_of(config: TrialConfig, data: Dataset) -> Policy:
    """The operations that the config and the data set's images call for."""
    return Policy(
        config.crop_scale,
        data.horizontal_flip,
        data.colour,
        data.image_size >= BLUR_FROM,
        config.colour_strength,
    )
