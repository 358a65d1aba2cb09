"""Where results are: a path or a URI, and what of it may be printed."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from trainables.errors import shown

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:/+")
_SECRET_OPTION = re.compile(
    r"(?P<name>[?&][^=&]*(?:key|secret|token|password|credential|sig)[^=&]*=)[^&]*", re.IGNORECASE
)


def is_uri(root: str | Path) -> bool:
    """Whether ``root`` begins with a scheme; a `Path` and any other text is a path."""
    found = _SCHEME.match(str(root))
    return isinstance(root, str) and found is not None and "://" in found[0]


def public(root: str | Path) -> str:
    """``root`` without secrets, in one printable line.

    >>> public("s3://KEY:SECRET@bucket/prefix?region=eu-west-1")
    's3://bucket/prefix?region=eu-west-1'
    """
    text = str(root)
    if scheme := _SCHEME.match(text):  # A `Path` made of a URI has one slash only.
        rest = text[scheme.end() :]
        text = scheme[0] + rest.removeprefix(_credentials(rest))
        text = _SECRET_OPTION.sub(r"\g<name>...", text)
    return shown(text, 500)


def without_credentials(root: str) -> str:
    """``root`` for a machine that has credentials of its own.

    >>> without_credentials("s3://KEY:SECRET@bucket/prefix?region=eu-west-1&secret_key=SECRET")
    's3://bucket/prefix?region=eu-west-1'
    """
    scheme = _SCHEME.match(root)
    if not scheme:
        return root
    rest = root[scheme.end() :]
    credentials = _credentials(rest.partition("?")[0]) or _credentials(rest)
    address, _, query = rest.removeprefix(credentials).partition("?")
    options = [option for option in query.split("&") if not _SECRET_OPTION.match(f"&{option}")]
    return scheme[0] + "?".join(part for part in (address, "&".join(options)) if part)


def without_secrets(message: str, root: str | Path) -> str:
    """``message`` of a library, without the secrets that stand in ``root``."""
    if not is_uri(root):
        return message
    text = str(root)
    credentials = _credentials(text.partition("://")[2])
    secrets = {credentials, credentials.rstrip("@"), credentials.rstrip("@").partition(":")[2]}
    secrets |= {found[0].removeprefix(found["name"]) for found in _SECRET_OPTION.finditer(text)}
    secrets |= {unquote(secret) for secret in secrets}
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            message = message.replace(secret, "...")
    return message


def _credentials(rest: str) -> str:
    """``KEY:SECRET@`` at the start of what follows a scheme; a secret may hold any character.

    Without a colon before the first ``/`` there is no secret, and an ``@`` behind it belongs to the
    path. With one, everything up to the last ``@`` counts as secret.
    """
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    searched = rest if ":" in host else host
    return searched[: searched.rfind("@") + 1]
