"""The command `mixco`.

Commands are loaded when they are called: `mixco --help` answers at once, without torch or Ray.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
import traceback
import warnings
from typing import Any, cast

import typer
from typer.core import TyperGroup

from study.commands.completion import VARIABLE
from study.console import OutputError, close_streams, open_streams, say, tell
from study.exit_codes import BAD_INPUT, DEBUG_OPTION, DONE, FAILED, INTERRUPTED, debugging, ending
from trainables.thread_waits import wait_without_spinning

COMMANDS = {
    "trial": "Run one trial on this machine.",
    "study": "Start, plan, run and watch studies.",
    "report": "Gain against capacity, from Parquet results.",
    "data": "List, fetch and look at data sets.",
    "space": "Show what a search may vary.",
    "check": "Test an arm, a method, an encoder and so on of your own.",
    "export": "Write a trained encoder as safetensors.",
    "doctor": "Show what works on this machine, and what to do about the rest.",
}


class _LazyGroup(TyperGroup):
    """Knows the commands by name and help, and loads the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update({name: _named(name, help) for name, help in COMMANDS.items()})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else loaded(name), rest


def _named(name: str, help: str) -> Any:
    stub = typer.Typer(add_completion=False)
    stub.command(name, help=help)(lambda: None)
    return typer.main.get_command(stub)


def loaded(name: str) -> Any:
    """The command ``name`` with its options: the ``app`` of `study.commands.NAME`."""
    module = importlib.import_module(f"study.commands.{name}")
    command = typer.main.get_command(module.app)
    command.name = name
    return command


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help here: rich's takes longer to import than to answer
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How much does MixCo gain over the same method without mixing, and how does the gain "
    "change with capacity? Exit codes: 0, the work is done; 1, the machine or the work failed; "
    "2, the input is wrong; 130, interrupted by Ctrl-C.",
)


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        say(f"mixco-study {version('mixco-study')}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
    debug: bool = typer.Option(
        False, DEBUG_OPTION, help="Print the traceback of an error; MIXCO_DEBUG=1 does the same."
    ),
) -> None:
    """The group itself: options that come before a command."""


def main() -> None:
    """Run the command line; an error is one line on standard error, and an exit code."""
    if VARIABLE in os.environ:  # a shell asks what may come next
        typer.main.get_command(app).main(prog_name="mixco", complete_var=VARIABLE)
    open_streams()
    wait_without_spinning()
    # An option of every command: it may stand anywhere.
    arguments = [argument for argument in sys.argv[1:] if argument != DEBUG_OPTION]
    with warnings.catch_warnings():
        warnings.showwarning = cast(Any, _show_warning)
        code = _guarded(_command, arguments)
    written = _guarded(lambda _: close_streams(), arguments)
    raise SystemExit(code or written)


def _command(arguments: list[str]) -> int:
    """Run one command; its exit code."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("mixco", arguments) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    return DONE


def _guarded(run: Any, arguments: list[str]) -> int:
    """The last net: whatever ``run`` raises becomes one line and an exit code."""
    try:
        return int(run(arguments))
    except (KeyboardInterrupt, typer.Abort):
        tell("mixco: interrupted")
        return INTERRUPTED
    except OutputError as error:
        if error.errno == errno.EPIPE:
            return DONE  # the reader has read what it wanted
        tell(f"mixco: standard output: {error.strerror}")
        return FAILED
    except Exception as error:
        if debugging():
            traceback.print_exception(error)
        if hasattr(error, "format_message"):  # Typer's errors of usage
            _tell_usage(error, arguments)
            return BAD_INPUT
        end = ending(error)
        tell(f"mixco: {end.line}")
        return end.code


def _tell_usage(error: Any, arguments: list[str]) -> None:
    from reports.store.address import without_secrets

    context = getattr(error, "ctx", None)
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the whole help
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{message}\n" if message else "")
        return
    for argument in arguments:  # the message quotes what is too much, perhaps a URI with a secret
        for part in (argument, argument.partition("=")[2]):
            message = without_secrets(message, part)
    path = context.command_path if context else "mixco"
    tell(f"mixco: {' '.join(message.split())} (help: {path} --help)")


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any
) -> None:
    """A warning as one line; libraries' warnings about their own use only with ``--debug``."""
    if debugging():
        tell(f"mixco: {filename}:{lineno}: {category.__name__}: {message}")
    elif category is UserWarning:
        tell(f"mixco: {' '.join(str(message).split())}")


if __name__ == "__main__":
    main()
