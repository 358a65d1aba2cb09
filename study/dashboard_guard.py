"""Who may ask the dashboard: only pages that this dashboard served itself.

It listens on this machine alone, but a browser here also runs pages of other sites. Such a page can
send requests to it, and by DNS rebinding (a name of its own that resolves to 127.0.0.1) read the
answers. So the Host header must be a name of this machine, and a request that changes something
must come from the dashboard's own pages (OWASP: DNS rebinding; cross-site request forgery).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HTTP_PORT = 80  # browsers leave it out of Host and Origin
_READING = ("GET", "HEAD", "OPTIONS")


def guarded(app: App, port: int) -> App:
    """The WSGI application behind a check of Host and Origin; what fails it gets status 403."""
    hosts = {f"{name}:{port}" for name in _NAMES}
    if port == _HTTP_PORT:
        hosts |= set(_NAMES)
    origins = {f"http://{host}" for host in hosts}

    def check(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "").lower()
        origin = environ.get("HTTP_ORIGIN")  # programs that are no browser send none
        changes = environ["REQUEST_METHOD"] not in _READING
        if host not in hosts:
            return _refuse(start_response, "this dashboard answers to localhost only")
        if changes and origin is not None and origin.lower() not in origins:
            return _refuse(start_response, "this dashboard takes changes from its own pages only")
        return app(environ, start_response)

    return check


def _refuse(start_response: Callable[..., Any], why: str) -> list[bytes]:
    start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{why}\n".encode()]
