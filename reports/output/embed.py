"""What a page needs to draw its figures offline: their specifications and Vega's script."""

from __future__ import annotations

import contextlib
import json
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

import vl_convert
from markupsafe import Markup

from trainables.atomic_write import atomic_write


def script_json(value: object) -> Markup:
    """JSON that is safe inside a script element, with any text in its strings."""
    text = json.dumps(value, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


@cache
def library() -> str:
    """Vega, Vega-Lite and vega-embed as one script.

    Bundling takes seconds, so the script is kept in the user's cache, for this version of
    vl-convert.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mixco-study"
    kept = home / f"vega-{version('vl-convert-python')}.js"
    try:
        return kept.read_text(encoding="utf-8")
    except OSError:
        pass
    script = str(vl_convert.javascript_bundle())  # type: ignore[call-arg]
    script = script.replace("</script", "<\\/script")
    with contextlib.suppress(OSError):  # Without the cache the next report takes seconds longer.
        atomic_write(kept, script.encode())
    return script
