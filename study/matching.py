"""``match: compute``: choose each arm's epochs so that all arms do the same training work."""

from __future__ import annotations

from collections.abc import Mapping

from trainables.config import TrialConfig, parse_config
from trainables.errors import InputError


def match_compute(configs: Mapping[str, TrialConfig]) -> dict[str, TrialConfig]:
    """The configurations of one problem's arms, with epochs that match the most expensive arm.

    The arm with the most forward and backward work keeps its epochs. Every other arm gets the
    whole number of epochs that comes closest to that work.

    Raises:
        InputError: an arm would need more epochs than a trial may have.
    """
    from trainables.device.flops import training_flops

    # Arms differ only in the passes through one encoder, so their ratio is the same at any image
    # size, and a config that takes its size from the data set needs no data set here.
    work = {
        arm: training_flops(config, config.image_size or 32) * config.epochs
        for arm, config in configs.items()
    }
    most = max(work.values())
    matched = {}
    for arm, config in configs.items():
        epochs = round(config.epochs * most / work[arm])
        try:
            matched[arm] = parse_config({**config.model_dump(), "epochs": epochs}, f"arm {arm}")
        except InputError as error:
            raise InputError(f"match: compute turns {config.epochs} epochs of {error}") from None
    return matched
