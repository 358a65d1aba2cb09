"""Fingerprints of the contents of a data set, as messages show them."""

from __future__ import annotations

_SHOWN = 8


def changed(was: str, now: str) -> str | None:
    """How the contents' fingerprint has changed, for a message; None: it has not.

    >>> changed("1f0cb54a2277", "1f0cb54a2277")
    >>> changed("1f0cb54a2277", "90d5e1c48a31")
    'fingerprint 1f0cb54a, now 90d5e1c4'
    """
    return None if was == now else f"fingerprint {was[:_SHOWN]}, now {now[:_SHOWN]}"
