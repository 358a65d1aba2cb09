"""The command `mixco`.

Commands are loaded when they are called: `mixco --help` answers at once, without torch or Ray.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "trial": "Run one trial on this machine.",
    "study": "Run, plan and watch studies.",
    "report": "Gain against capacity, from Parquet results.",
    "data": "List, fetch and look at data sets.",
    "space": "Show what a search may vary.",
    "export": "Write a trained encoder as safetensors.",
}
EXIT_BAD_INPUT = 2
_EXIT_STORE = 1


class _LazyGroup(TyperGroup):
    """Loads `study.commands.NAME` (its `app`) when the command NAME is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if ctx.invoked_subcommand is None and _lists_commands():
            stub = typer.Typer()
            stub.command(cmd_name, help=COMMANDS[cmd_name])(lambda: None)
            return typer.main.get_command(stub)
        module = importlib.import_module(f"study.commands.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command


def _lists_commands() -> bool:
    """Whether the command line names no command, so that only their one-line helps are shown."""
    return not any(argument in COMMANDS for argument in sys.argv[1:])


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help here: rich's takes longer to import than to answer
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How much does MixCo gain over the same method without mixing, and how does the gain "
    "change with capacity?",
)


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"mixco-study {version('mixco-study')}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """The group itself: options that come before a command."""


def main() -> None:
    """Run the command line; bad input is one line on standard error and exit code 2."""
    try:
        app(prog_name="mixco")
    except Exception as error:
        from trainables.errors import InputError

        code = EXIT_BAD_INPUT if isinstance(error, InputError) else _EXIT_STORE
        if os.environ.get("MIXCO_TRACEBACK") or not (
            isinstance(error, InputError) or _is_store_error(error)
        ):
            raise
        sys.stderr.write(f"mixco: {error}\n")
        raise SystemExit(code) from None


def _is_store_error(error: Exception) -> bool:
    if not isinstance(error, OSError):
        return False
    from reports.store.files import StoreError

    return isinstance(error, StoreError)


if __name__ == "__main__":
    main()
