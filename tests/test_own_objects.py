"""Objects of a user's own, by ``package.module:Name``: where they are found, what is refused."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest

from reports.store.tables import open_store
from search_spaces import space
from study import provenance
from study.plan import cells
from study.spec import load_spec
from trainables import own_objects
from trainables.arms import ARMS
from trainables.arms.base import Arm
from trainables.config import TrialConfig, parse_config
from trainables.data.sources import find_source, parts
from trainables.errors import InputError
from trainables.own_objects import modules_in_folders, source_of

ARM = """
    from trainables.arms.base import Arm

    class Own(Arm):
        summary = "nothing new"
        fields = ("mix_weight",)
        extra_images = 0.5

        def mixer(self, config, draws):
            return None
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder; modules that a test imports are forgotten after it."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    monkeypatch.setattr(own_objects._FOLDERS, "folders", [])
    monkeypatch.setattr(own_objects._FOLDERS, "wanted", set())
    monkeypatch.setattr(ARMS, "_own", {})
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str = ARM) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))


def refused(arm: str) -> str:
    with pytest.raises(InputError) as raised:
        config_of(arm)
    return str(raised.value)


def config_of(arm: str) -> TrialConfig:
    return parse_config({"arm": arm}, "options")


def test_a_class_in_the_current_folder_is_an_arm(folder: Path) -> None:
    write(folder / "one_arm.py")
    config = config_of("one_arm:Own")
    assert config.mixes
    arm = ARMS.find(config.arm)
    assert isinstance(arm, Arm)
    assert arm is ARMS.find("one_arm:Own")
    assert set(space("moco", "one_arm:Own")) - set(space("moco", "none")) == {"mix_weight"}


def test_a_study_finds_modules_beside_its_file_and_names_its_cells_for_files(folder: Path) -> None:
    write(folder / "studies" / "ideas" / "pasted.py", "from beside_it import Own" + dedent(ARM))
    write(folder / "studies" / "beside_it.py")
    write(
        folder / "studies" / "own.yaml",
        """
        name: own
        datasets: [digits]
        methods: [moco]
        widths: [2]
        arms: [none, "ideas.pasted:Own"]
        """,
    )
    names = [cell.name for cell in cells(load_spec(str(folder / "studies" / "own.yaml")))]
    assert names[0] == "digits-moco-resnet18-w2-none"
    assert names[1].startswith("digits-moco-resnet18-w2-ideas.pasted_Own_")
    assert not set(names[1]) & set(':/\\ "')
    shipped = {place.name for place in modules_in_folders()}
    assert shipped == {"ideas", "beside_it.py"}


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        ("", "no_such:Own", "there is no module no_such among the installed packages or in"),
        ("x = 1 / 0", "broken:Own", "importing broken failed: ZeroDivisionError: division by zero"),
        ("x = (", "broken:Own", "importing broken failed: SyntaxError"),
        ("import not_there", "broken:Own", "No module named 'not_there'"),
        ("raise SystemExit(3)", "broken:Own", "importing broken failed: SystemExit: 3"),
        ("class Other: ...", "broken:Own", "has no Own (it has: Other)"),
        ("Own = 3", "broken:Own", "is of type builtins.int, not a trainables.arms.base.Arm"),
        ("class Own: ...", "broken:Own", "is the class broken.Own, not a trainables.arms.base.Arm"),
        (
            "from trainables.arms.base import Arm\nclass Own(Arm): ...",
            "broken:Own",
            "cannot be made: Can't instantiate abstract class Own",
        ),
        (
            ARM.replace("extra_images = 0.5", ""),
            "broken:Own",
            "has no extra_images, which a trainables.arms.base.Arm must have",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line_that_says_where(
    folder: Path, text: str, name: str, line: str
) -> None:
    write(folder / "broken.py", text)
    said = refused(name)
    assert said.startswith(f"options: arm: {name!r}: ")
    assert line in said
    assert "\n" not in said
    if "failed" in line and "SystemExit" not in line:
        assert "broken.py, line 1" in said or "broken.py, line 2" in said


def test_a_plain_unknown_name_is_answered_as_before() -> None:
    assert "Input should be 'none', 'mixco'" in refused("mixko")


def test_an_entry_point_of_an_installed_package_has_a_plain_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "packaged.py")
    points = [
        EntryPoint("own", "packaged:Own", "mixco.arms"),
        EntryPoint("mixco", "packaged:Own", "mixco.arms"),  # what ships comes first
    ]
    monkeypatch.setattr(own_objects, "entry_points", lambda group: points)
    own_objects.installed.cache_clear()
    assert type(ARMS.find("own")).__name__ == "Own"
    assert type(ARMS.find("mixco")).__name__ == "MixCo"
    assert ARMS.names[-1] == "own"
    with pytest.raises(InputError, match=r"un-mix, own or package.module:Name"):
        ARMS.find("owm")
    own_objects.installed.cache_clear()


def test_a_folder_that_no_name_asks_for_is_not_taken_for_a_library(folder: Path) -> None:
    write(folder / "one_arm.py")
    (folder / "results_of_a_tracker").mkdir()
    config_of("one_arm:Own")
    assert importlib.util.find_spec("results_of_a_tracker") is None


def test_a_data_set_of_ones_own_may_have_a_place(folder: Path) -> None:
    assert parts("imagefolder:birds") == ("imagefolder", ":", "birds")
    assert parts("own_data:Birds") == ("own_data:Birds", "", "")
    assert parts("own_data:Birds:some/birds") == ("own_data:Birds", ":", "some/birds")
    write(
        folder / "own_data.py",
        """
        from dataclasses import replace

        from trainables.data.sources.digits import Digits

        class Birds(Digits):
            name = "birds"
            path_summary = "birds in a folder"

            def find(self, address, data_dir):
                found = super().find(address, data_dir)
                return replace(found, place=str(address.path)) if address.path else found
        """,
    )
    assert find_source("own_data:Birds", folder).place == "scikit-learn"
    assert find_source("own_data:Birds:some/birds", folder).place == "some/birds"
    with pytest.raises(InputError, match=r"dataset: 'own_data:Cats': .* has no Cats"):
        find_source("own_data:Cats", folder)
    with pytest.raises(InputError, match=r"no module imagfolder .*need no module: digits"):
        find_source("imagfolder:birds", folder)


def test_the_source_of_an_object_is_all_code_of_its_package(folder: Path) -> None:
    write(folder / "ideas" / "__init__.py", '__version__ = "1.2"')
    write(folder / "ideas" / "pasted.py")
    write(folder / "ideas" / "notes.txt", "of no account")
    config_of("ideas.pasted:Own")
    first = source_of("ideas.pasted:Own")
    assert first.version == "1.2"
    write(folder / "ideas" / "notes.txt", "changed")
    assert source_of("ideas.pasted:Own") == first
    write(folder / "ideas" / "helper.py", "side = 3")
    assert source_of("ideas.pasted:Own").sha256 != first.sha256


def test_a_changed_source_under_recorded_rows_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "one_arm.py")
    text = """
        name: own
        datasets: [digits]
        methods: [moco]
        widths: [2]
        arms: [none, "one_arm:Own"]
        """
    write(folder / "own.yaml", text)
    spec = load_spec(str(folder / "own.yaml"))
    store = open_store(folder / "results", create=True)
    provenance.write(store, spec)
    provenance.check_same_study(store, spec)
    write(folder / "one_arm.py", ARM.replace("0.5", "0.25"))
    with pytest.raises(InputError, match=r"source of arm one_arm:Own \w{8} -> \w{8}.*accept-mixed"):
        provenance.check_same_study(store, spec)
    monkeypatch.setattr(own_objects._FOLDERS, "folders", [])
    monkeypatch.setattr(ARMS, "_own", {})
    del sys.modules["one_arm"]
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert provenance.stored_spec(store) == spec
    write(folder / "own.yaml", text.replace(', "one_arm:Own"', ""))
    provenance.check_same_study(store, load_spec(str(folder / "own.yaml")))


def test_no_module_is_imported_before_a_name_asks_for_it() -> None:
    config_of("none")
    assert own_objects._FOLDERS.wanted == set()
    assert modules_in_folders() == []
