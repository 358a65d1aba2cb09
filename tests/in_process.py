"""`mixco` in this process: its exit code and what it printed."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import NamedTuple
from unittest import mock

from study.commands.main import main


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def mixco(*arguments: str) -> Ended:
    """Run a command as the shell would; an exception that it does not catch is raised here."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.object(sys, "argv", ["mixco", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())
