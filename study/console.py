"""What commands print: one place makes consoles, and decides what becomes of output that is lost.

Names of files and classes are text, never markup. A stream that is not UTF-8 gets plain signs. A
reader may leave (``| head``) and a disk may be full; the exit code still says whether the work was
done.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

from trainables.errors import shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn, TextColumn

_PLAIN = {
    **dict.fromkeys("‐‑‒–—−─━╸╺╌┄", "-"),
    **dict.fromkeys("│┃╎┆", "|"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    "…": "...", "·": ".", "•": "*", "×": "x", "±": "+/-", "→": "->", "←": "<-", "≤": "<=",
    "≥": ">=", "≈": "~", "█": "#", "\xa0": " ",
}  # fmt: skip
_LONGEST_ESCAPE = 10  # characters, as in \U0001f600
_BOX_DRAWING = range(0x2500, 0x2580)
_UNDECODED = range(0xDC80, 0xDD00)  # bytes of a file name that is not UTF-8, as Python keeps them


class OutputError(OSError):
    """Standard output could not be written, and printing was all that the command had to do."""


def console(stderr: bool = False) -> Console:
    """A Rich console on standard output or standard error; it takes every string as text."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def text_column(template: str) -> TextColumn:
    """A column of a progress bar; the names in it are text."""
    from rich.progress import TextColumn

    return TextColumn(template, markup=False)


def bar_columns() -> tuple[ProgressColumn, ...]:
    """The columns of every progress bar: what is done, how much of it, and the time left."""
    from rich.progress import BarColumn, TaskProgressColumn, TimeRemainingColumn

    return (
        text_column("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
    )  # fmt: skip


def say(line: str) -> None:
    """Print a line on standard output."""
    print(whole(line), flush=True)


def tell(line: str) -> None:
    """Print a line on standard error."""
    print(whole(line), file=sys.stderr, flush=True)


def whole(line: str) -> str:
    """The line with its control characters escaped: a line break in a name makes no second line."""
    return shown(line, limit=max(1, len(line)) * _LONGEST_ESCAPE)


def news_of(kept: str, data: bool = False) -> None:
    """Declare that the command's work is kept in ``kept``, and that its output only tells of it.

    From here on, output that cannot be written is dropped, and the work goes on. Without this
    declaration the command ends there, since printing is all that it does.

    Args:
        kept: where the work is, for the line that says that output was lost.
        data: the caller asked for the output itself (``--json``): losing it is exit code 1.
    """
    _lost.kept, _lost.data = kept, data


class _Lost:
    """What this command may lose, and has lost, of its standard output."""

    def __init__(self) -> None:
        self.kept: str | None = None
        self.data = False
        self.error: OSError | None = None


_lost = _Lost()


def open_streams() -> None:
    """Prepare standard output and standard error, once, before anything is printed.

    Streams that a test or a caller has put in place of the process's own stay as they are.
    """
    global _lost
    _lost = _Lost()
    codecs.register_error("mixco", _plain_signs)
    sys.stdout = _prepared(sys.stdout, sys.__stdout__, 1)
    sys.stderr = _prepared(sys.stderr, sys.__stderr__, 2)


def close_streams() -> int:
    """Write what is buffered; the exit code that lost output asks for: 0 or 1.

    Raises:
        OutputError: standard output cannot be written, and printing was all there was to do.
    """
    if sys.stdout is not None:
        sys.stdout.flush()
    if _lost.error is None or _lost.kept is None or _lost.error.errno == errno.EPIPE:
        return 0  # a reader that leaves has read what it wanted
    tell(f"mixco: standard output: {_lost.error.strerror}; that output is lost; see {_lost.kept}")
    return int(_lost.data)


def _prepared(stream: Any, own: Any, descriptor: int) -> Any:
    if stream is None:  # closed by the caller, as with `>&-`
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
    if stream is not own or not isinstance(stream, io.TextIOWrapper):
        return stream
    with contextlib.suppress(OSError):
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(descriptor)),
        encoding=stream.encoding,
        errors="mixco",
        line_buffering=stream.line_buffering or descriptor == 2,
        write_through=stream.write_through,
    )


class _Descriptor(io.FileIO):
    """Standard output or standard error; knows what to do where it cannot be written."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._broken = False

    def write(self, data: Any, /) -> int:
        """Write ``data``, or drop it once the stream is broken."""
        if not self._broken:
            try:
                return super().write(data)
            except BlockingIOError:
                raise
            except OSError as error:
                self._broken = True
                if self.fileno() == 1:
                    _lost.error = error
                    if _lost.kept is None:
                        raise OutputError(error.errno, error.strerror) from None
        return len(memoryview(data).cast("B"))


def _plain_signs(error: UnicodeError) -> tuple[str | bytes, int]:
    """The codecs error handler ``mixco``: plain signs for those that the encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(sign: str) -> str:
    code = ord(sign)
    if code in _UNDECODED:
        return f"\\x{code - 0xDC00:02x}"
    if sign in _PLAIN:
        return _PLAIN[sign]
    if code in _BOX_DRAWING:
        return "+"
    letters = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode("ascii")
    return letters or sign.encode("unicode_escape").decode("ascii")
