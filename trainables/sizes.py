"""Numbers of bytes, for people."""

from __future__ import annotations

from rich.filesize import pick_unit_and_suffix

_UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"]


def shown_size(size: int) -> str:
    """``size`` in bytes, in the largest unit of which it is at least one.

    >>> shown_size(0), shown_size(1023), shown_size(300 << 10), shown_size(8 << 30)
    ('0 bytes', '1023 bytes', '300.0 KiB', '8.0 GiB')
    """
    unit, name = pick_unit_and_suffix(size, _UNITS, 1024)
    return f"{size} bytes" if unit == 1 else f"{size / unit:,.1f} {name}"
