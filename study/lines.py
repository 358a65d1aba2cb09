"""The lines of a study: which encoders are compared along capacity, from the smallest."""

from __future__ import annotations

from study.spec import StudySpec
from trainables.config import TrialConfig, parse_config


def next_smaller(spec: StudySpec, config: TrialConfig) -> TrialConfig | None:
    """``config`` with the next smaller encoder on its line; None for the smallest.

    Widths order the encoders of a line if only they differ, else parameters do.
    """
    lines = spec.line_of
    own = lines[config.encoder, config.width]
    others = [
        parse_config({**dict(config), "encoder": name, "width": width})
        for (name, width), line in lines.items()
        if line == own
    ]
    if len({other.encoder for other in others}) == 1:
        sized = {other: other.width for other in others}
    else:
        # Imported lazily: torch takes seconds, and a line of widths does not need it.
        from trainables.device.flops import encoder_parameters

        sized = {o: encoder_parameters(o, o.image_size or 32) for o in others}
    smaller = [other for other in others if sized[other] < sized[config]]
    return max(smaller, key=lambda other: sized[other], default=None)
