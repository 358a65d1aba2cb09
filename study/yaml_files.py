"""YAML as studies and trial configurations use it: the core schema of YAML 1.2, checked first.

Only ``true`` and ``false`` are booleans, so that ``off`` and ``no`` are text; a date is text, too.
Anchors, aliases and merge keys (``<<``) are allowed, tags (``!!int``) are not. Source of the
schema: YAML 1.2.2, chapter 10.3.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import BaseResolver

from trainables.errors import InputError, shown

MAX_CHARACTERS = 1 << 18
_MAX_DEPTH = 32
_MAX_VALUES = 50_000
"""Values of one file, those that aliases repeat counted each time."""
_MAX_OPEN_BRACKETS = 200
"""Checked before the library reads: its time grows with the square of the open brackets."""
_MANY_DIGITS = re.compile(r"(?:[-+]?[0-9]|0x|0o)[0-9a-fA-F]{100,}$")
_UNWRITTEN = re.compile("[\ud800-\udfff]")
"""Half characters: an escape can name them, but no file can hold them."""


class _Core(BaseResolver):
    """Which plain scalars are not text: the core schema's, and merge keys."""

    processing_version = (1, 2)

    def __init__(self, version: Any = None, loader: Any = None, loadumper: Any = None) -> None:
        super().__init__(loader or loadumper)


for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        "float",
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
    ("merge", r"<<$", ["<"]),
):
    _Core.add_implicit_resolver_base(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


class _Plain(SafeRepresenter):
    """Writes each value out where it stands: no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> Any:
        """Text as it stands; in double quotes, which escape, where it has line breaks or the like.

        In single quotes U+0085 would be read back as a space.
        """
        style = None if data.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Plain.add_representer(str, _Plain.represent_str)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver = _Core
    yaml.Representer = _Plain
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 1 << 20
    return yaml


def load_yaml(text: str, where: str) -> dict[str, Any]:
    """A YAML mapping, its values as Python's own types.

    Args:
        text: the file's content.
        where: its name in errors.

    Raises:
        InputError: no YAML, no mapping, a key given twice, a tag, too large or nested too deeply;
            one line that names ``where`` and the line of the file.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"{where}: more than {MAX_CHARACTERS} characters; studies and configurations are "
            "smaller"
        )
    text = text.removeprefix("\ufeff")
    _check_brackets(text, where)
    try:
        _check(_yaml().parse(text))
        values = _yaml().load(text)
    except MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{where}:{line} {_words(error.problem or error.context)}") from None
    except (YAMLError, ValueError, ArithmeticError) as error:
        raise InputError(f"{where}: {_words(error)}") from None
    if values is None:
        raise InputError(f"{where}: is empty; a mapping of fields is expected (field: value)")
    if not isinstance(values, dict):
        raise InputError(
            f"{where}: a mapping of fields is expected (field: value), got {shown(values, 80)}"
        )
    return values


def dump_yaml(values: Mapping[str, Any]) -> str:
    """``values`` as block YAML in their own order; `load_yaml` reads them back equal."""
    text = io.StringIO()
    _yaml().dump(dict(values), text)
    return text.getvalue()


def _check_brackets(text: str, where: str) -> None:
    depth = 0
    for found in re.finditer(r"[\[{}\]]", text):
        depth += 1 if found[0] in "[{" else -1
        if depth > _MAX_OPEN_BRACKETS:
            line = text.count("\n", 0, found.start()) + 1
            raise InputError(f"{where}: line {line} nested more than {_MAX_DEPTH} levels deep")


def _words(problem: object) -> str:
    return shown(" ".join(str(problem).split()), 300)


class _Open:
    """A list or mapping that the scan is inside of."""

    def __init__(self, event: NodeEvent) -> None:
        self.anchor = event.anchor
        self.keys: set[str] | None = set() if isinstance(event, MappingStartEvent) else None
        self.at_key = self.keys is not None
        self.values = 1


def _check(events: Iterable[Event]) -> None:
    """Refuses what must not be built: it would take all memory, or hide a mistake."""
    stack: list[_Open] = []
    sizes: dict[str, int] = {}
    for event in events:
        if isinstance(event, CollectionEndEvent):
            closed = stack.pop()
            _count(closed.values, closed.anchor, stack, sizes, event)
        elif isinstance(event, NodeEvent):
            _check_key(event, stack)
            if (tag := getattr(event, "tag", None)) is not None:
                raise _problem(f"the tag {tag} is not allowed", event)
            if isinstance(event, AliasEvent):
                if any(outer.anchor == event.anchor for outer in stack):
                    raise _problem(f"*{event.anchor} stands inside itself", event)
                _count(sizes.get(event.anchor, 1), None, stack, sizes, event)
            elif isinstance(event, ScalarEvent):
                if _UNWRITTEN.search(event.value):
                    raise _problem("a half character (surrogate) is not allowed", event)
                if event.style is None and _MANY_DIGITS.match(event.value):
                    raise _problem(f"a number of {len(event.value)} digits", event)
                _count(1, event.anchor, stack, sizes, event)
            else:
                stack.append(_Open(event))
                if len(stack) > _MAX_DEPTH:
                    raise _problem(f"nested more than {_MAX_DEPTH} levels deep", event)


def _check_key(event: NodeEvent, stack: list[_Open]) -> None:
    """Whether ``event`` may be the next key of the mapping that it stands in, if it is one."""
    mapping = stack[-1] if stack else None
    if mapping is None or mapping.keys is None:
        return
    if mapping.at_key:
        if not isinstance(event, ScalarEvent):
            raise _problem("a key must be a name or a number", event)
        if event.value in mapping.keys:
            raise _problem(f"{event.value!r} is given twice", event)
        mapping.keys.add(event.value)
    mapping.at_key = not mapping.at_key


def _count(
    values: int, anchor: str | None, stack: list[_Open], sizes: dict[str, int], event: Event
) -> None:
    if anchor:
        sizes[anchor] = values
    if stack:
        stack[-1].values += values
    if values > _MAX_VALUES or (stack and stack[-1].values > _MAX_VALUES):
        raise _problem(f"more than {_MAX_VALUES} values, repeated ones counted each time", event)


def _problem(text: str, event: Event) -> MarkedYAMLError:
    mark = event.start_mark
    assert isinstance(mark, StringMark)
    return MarkedYAMLError(problem=text, problem_mark=mark)
