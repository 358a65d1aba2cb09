"""What the site needs besides the documents: the reference of commands, and links to the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from study.commands.main import COMMANDS, loaded

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")
"""A link to a file of the repository that is no document: the site has no such page."""
_COMMANDS = "<!-- commands -->"


def on_page_markdown(markdown: str, *, page: Any, **info: Any) -> str:
    """mkdocs calls this for each page: the text of the page as the site shows it."""
    if _COMMANDS in markdown:
        markdown = markdown.replace(_COMMANDS, "\n".join(_commands()))
    in_a_folder = "/" in page.file.src_uri  # then ../ is still a page of the site
    return markdown if in_a_folder else _OUTSIDE.sub(r"\1 (`\2`)", markdown)


def _commands() -> Iterator[str]:
    for name in COMMANDS:
        yield from _command(loaded(name), f"mixco {name}")


def _command(command: Any, path: str) -> Iterator[str]:
    yield f"\n## `{path}`\n\n{command.help or ''}\n"
    parameters = [parameter for parameter in command.params if not getattr(parameter, "hidden", 0)]
    if parameters:
        yield "| argument or option | default | meaning |\n| --- | --- | --- |"
    for parameter in parameters:
        names = ", ".join(f"`{name}`" for name in parameter.opts) or f"`{parameter.name}`"
        if parameter.param_type_name == "argument":
            names = f"`{parameter.metavar or parameter.name}`"
        shown = parameter.show_default if isinstance(parameter.show_default, str) else ""
        default = shown or ("" if parameter.default in (None, False, ()) else parameter.default)
        meaning = (getattr(parameter, "help", "") or "").replace("|", "\\|")
        yield f"| {names} | {default if not callable(default) else ''} | {meaning} |"
    for name, inner in getattr(command, "commands", {}).items():
        yield from _command(inner, f"{path} {name}")
