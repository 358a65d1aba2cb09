"""Every error is one short line, whatever names and causes stand in it."""

from __future__ import annotations

import os
import pickle

from hypothesis import given
from hypothesis import strategies as st

from trainables.errors import InputError, cause, listed, shown

any_text = st.text(st.characters(), max_size=400)  # with control characters and lone surrogates


@given(any_text)
def test_any_text_becomes_one_printable_line(text: str) -> None:
    for line in (shown(text), str(InputError(text)), cause(OSError(text)), listed([text] * 3)):
        assert len(line.splitlines()) <= 1
        assert not any(ord(sign) < 32 or 0xD800 <= ord(sign) < 0xE000 for sign in line)
        line.encode()


@given(any_text)
def test_an_error_is_the_same_after_its_way_to_another_process(text: str) -> None:
    error = InputError(text)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_names_are_shown_as_they_are_but_for_what_would_harm() -> None:
    assert shown("Grünkohl 日本\u3000[bold]") == "Grünkohl 日本\u3000[bold]"
    assert shown("a\nb\x1b[31m\u2028\u202e") == r"a\nb\x1b[31m\u2028\u202e"
    assert shown(os.fsdecode(b"caf\xe9")) == r"caf\xe9"
    assert shown(b"caf\xe9") == r"caf\xe9"


def test_long_names_lists_causes_and_errors_are_cut() -> None:
    assert shown("a" * 150 + "b" * 150, limit=11) == "aaaaa…bbbbb"
    assert listed(f"f{index}" for index in range(12)) == (
        "f0, f1, f2, f3, f4, f5, f6, f7, f8, f9 and 2 more"
    )
    assert listed(["a", "b"], limit=2) == "a, b"
    assert len(cause(ValueError("word\n" * 2000))) == 300
    assert len(str(InputError("start " + "x" * 9000 + " end"))) == 1500
    assert str(InputError("start " + "x" * 9000 + " end")).endswith(" end")


def test_a_cause_says_something() -> None:
    assert cause(KeyError()) == "KeyError"
    assert cause(FileNotFoundError(2, "No such file or directory", "/some/path")) == (
        "No such file or directory"
    )
