"""How an error ends a command: its exit code and its line. The one place with this rule.

0: the work is done. 1: the machine failed, or the work did. 2: the input is wrong. 130: Ctrl-C.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
import uuid
from pathlib import Path
from typing import NamedTuple

from trainables.atomic_write import atomic_write
from trainables.errors import InputError, cause, shown

DEBUG_OPTION = "--debug"
DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

# The errors of the machine among the system's: nothing in the input would change them.
_MACHINE = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE,
    errno.EAGAIN, errno.EROFS, errno.EPIPE, errno.ETIMEDOUT, errno.ESTALE, errno.EHOSTUNREACH,
    errno.ENETUNREACH, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED,
})  # fmt: skip

# Errors of modules that may not be imported here: an error that was raised has its module loaded.
_INPUT_TYPES = (
    ("zipfile", "BadZipFile"), ("zipfile", "LargeZipFile"), ("tarfile", "TarError"),
    ("lzma", "LZMAError"), ("zlib", "error"), ("json", "JSONDecodeError"), ("yaml", "YAMLError"),
    ("pickle", "UnpicklingError"), ("pyarrow", "ArrowException"), ("pydantic", "ValidationError"),
    ("PIL.Image", "DecompressionBombError"), ("safetensors", "SafetensorError"),
)  # fmt: skip
_FAILURE_TYPES = (
    ("pyarrow", "ArrowMemoryError"), ("torch", "OutOfMemoryError"),
    ("subprocess", "SubprocessError"),
    ("reports.store.files", "StoreError"), ("study.on_ray.halt", "StudyError"),
    ("trainables.endings", "GaveUpError"), ("ray.exceptions", "RayError"),
)  # fmt: skip


class Ending(NamedTuple):
    """How a command ends that raised an error."""

    code: int
    line: str


def ending(error: BaseException) -> Ending:
    """The exit code and the line of an error that ended a command.

    An error that is neither the input's nor the machine's fault is a bug: its traceback goes to a
    file, and the line names it.
    """
    code = _code(error)
    if code is None:
        return Ending(FAILED, _bug(error))
    return Ending(code, _text(error) if isinstance(error, InputError) else shown(_text(error), 600))


def debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return DEBUG_OPTION in sys.argv[1:] or os.environ.get("MIXCO_DEBUG", "") not in ("", "0")


def _code(error: BaseException) -> int | None:
    """The exit code; None for a bug."""
    if isinstance(error, InputError):
        return BAD_INPUT
    if isinstance(error, MemoryError) or _is_one_of(error, _FAILURE_TYPES):
        return FAILED
    if isinstance(error, OSError):
        # pyarrow and PIL raise an OSError without a number for files that they cannot read.
        return FAILED if error.errno in _MACHINE else BAD_INPUT
    if isinstance(error, UnicodeError | RecursionError | EOFError):
        return BAD_INPUT
    return BAD_INPUT if _is_one_of(error, _INPUT_TYPES) else None


def _is_one_of(error: BaseException, types: tuple[tuple[str, str], ...]) -> bool:
    return any(
        isinstance(error, getattr(sys.modules[module], name, ()))
        for module, name in types
        if module in sys.modules
    )


def _text(error: BaseException) -> str:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return f"not {error.encoding} text: {error.reason} at byte {error.start}"
    if isinstance(error, UnicodeEncodeError):
        text = error.object[max(0, error.start - 20) : error.end + 20]
        return f"{text}: {error.encoding} has no such character (locale: LC_ALL, PYTHONUTF8=1)"
    if isinstance(error, RecursionError):
        return f"the input is nested too deeply ({error})"
    if isinstance(error, EOFError):
        return f"a file ends too early ({error})" if str(error) else "a file ends too early"
    if isinstance(error, MemoryError):
        return f"out of memory: {error}" if str(error) else "out of memory"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        names = [os.fsdecode(n) for n in (error.filename, error.filename2) if _is_name(n)]
        return ": ".join([*map(shown, names), error.strerror])
    return cause(error)


def _is_name(name: object) -> bool:
    return isinstance(name, str | bytes)


def _bug(error: BaseException) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({Path(frame.filename).name}:{frame.lineno})" for frame in place)
    return (
        f"a bug in mixco-study: {type(error).__name__}: {cause(error)}{where}; please report it "
        f"with {_kept_traceback(error)}"
    )


def _kept_traceback(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    path = Path(tempfile.gettempdir()) / f"mixco-{uuid.uuid4().hex[:12]}.txt"
    try:
        atomic_write(path, text.encode(errors="replace"))
    except OSError:
        return "what `mixco --debug ...` prints"
    return f"the traceback in {shown(path)}"
