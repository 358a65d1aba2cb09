"""YAML 1.2 for studies and configurations: what it means, and what is refused with its line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from study.yaml_files import dump_yaml, load_yaml
from trainables.errors import InputError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("no", "no"),
        ("yes", "yes"),
        ("true", True),
        ("2020-01-01", "2020-01-01"),
        ("1e-4", 1e-4),
        (".5", 0.5),
        ("010", 10),
        ("0o10", 8),
        ("0x10", 16),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("~", None),
        ("", None),
        ("_", "_"),
        ("=", "="),
    ],
)
def test_plain_words_follow_the_core_schema(text: str, value: object) -> None:
    found = load_yaml(f"key: {text}\n", "test")["key"]
    assert found == value
    assert type(found) is type(value)


def test_merge_keys_take_what_is_not_given() -> None:
    text = "x: &base {q: 1, r: 2}\ny:\n  <<: *base\n  q: 3\n"
    assert load_yaml(text, "test")["y"] == {"q": 3, "r": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml: is empty"),
        ("# only a comment\n", "f.yaml: is empty"),
        ("- a\n", "a mapping of fields is expected"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml: line 3 'a' is given twice"),
        ("y:\n  <<: {a: 1}\n  b: 1\n  b: 2\n", "line 4 'b' is given twice"),
        ("a: !!int x\n", "line 1 the tag .*int is not allowed"),
        ("a: !python/object:os.system x\n", "line 1 the tag .* is not allowed"),
        ("a: 1\nb: " + "[" * 3000, "line 2 nested more than 32 levels"),
        ("a: " + "{a: " * 40 + "1" + "}" * 40, "line 1 nested more than 32 levels"),
        ("".join(" " * n + "a:\n" for n in range(40)), "line 33 nested more than 32 levels"),
        (BOMB, "line 5 more than 50000 values"),
        ("a: &a [*a]\n", "stands inside itself"),
        ("a: *nothing\n", "line 1 found undefined alias"),
        ("? [a]\n: b\n", "a key must be a name or a number"),
        ("a: 1\n---\nb: 2\n", "line 2 but found another document"),
        ("a: " + "9" * 5000, "line 1 a number of 5000 digits"),
        ('a: "\\ud800"\n', "half character"),
        ("a: \x00\n", "unacceptable character"),
        ("a: 'b\n", "unexpected end of stream"),
        ("a: x\n" * 100_000, "f.yaml: more than 262144 characters"),
    ],
)
def test_what_is_refused_is_one_line_and_soon(text: str, message: str) -> None:
    start = time.process_time()
    with pytest.raises(InputError, match=message) as error:
        load_yaml(text, "f.yaml")
    assert time.process_time() - start < 2
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(["off", "1e5", "<<", "=", "~", "0o7", ".5", "2020-01-01", "- a", "#", "a: b"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.integers() | st.text("ab<=: -1", max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def same_texts(value: Any) -> bool:
    """Whether a mapping has keys that differ in type only, such as 1 and "1": refused."""
    if isinstance(value, dict):
        return len({str(key) for key in value}) < len(value) or any(
            same_texts(inner) for inner in value.values()
        )
    return isinstance(value, list) and any(same_texts(inner) for inner in value)


@settings(max_examples=150)
@example({"<": "\x85"})
@given(st.dictionaries(st.text("abc<~", min_size=1, max_size=5), VALUES, min_size=1, max_size=3))
def test_what_is_dumped_is_read_back_equal(values: dict[str, Any]) -> None:
    if not same_texts(values):
        text = dump_yaml(values)
        assert repr(load_yaml(text, "dumped")) == repr(values), text


def test_a_text_that_looks_like_a_number_keeps_its_type() -> None:
    assert load_yaml(dump_yaml({"a": "1e5", "b": "off"}), "test") == {"a": "1e5", "b": "off"}


def test_a_configuration_file_follows_the_same_rules(tmp_path: Path) -> None:
    from study.commands.trial import _resolve

    file = tmp_path / "c.yaml"
    file.write_text("compile: off\nlearning_rate: 1e-2\n")
    config = _resolve({}, file, "fast")
    assert (config.compile, config.learning_rate) == ("off", 0.01)
