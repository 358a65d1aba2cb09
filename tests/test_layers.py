"""Who may import whom, and that the core works where Ray is not installed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "trainables": {"trainables"},
    "search_spaces": {"trainables", "search_spaces"},
    "reports": {"reports", "study.store", "trainables.config"},
    "study": {"trainables", "search_spaces", "study"},
}
OWN = ("trainables", "search_spaces", "study", "reports")
MAY_IMPORT_REPORTS = {Path("study/commands/report.py"), Path("study/commands/study.py")}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("package", OWN)
def test_packages_import_only_what_the_design_allows(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        if path.relative_to(ROOT) in MAY_IMPORT_REPORTS:
            continue
        for name in imports(path):
            if name.split(".")[0] in OWN:
                allowed = ALLOWED[package]
                assert any(f"{name}.".startswith(f"{a}.") for a in allowed), f"{path}: {name}"


def test_ray_is_imported_only_where_trials_are_launched() -> None:
    users = {
        str(path.relative_to(ROOT))
        for package in OWN
        for path in (ROOT / package).rglob("*.py")
        if any(name.split(".")[0] == "ray" for name in imports(path))
    }
    core = {
        "search_spaces", "reports", "study/store.py", "study/spec.py", "study/plan.py",
        "study/single.py", "study/cli.py", "trainables/trial.py", "trainables/pretraining.py",
    }  # fmt: skip
    assert not [user for user in users for part in core if user.startswith(part)]
    assert {user for user in users if user.startswith("trainables/")} <= {
        "trainables/tune_trainable.py",
        "trainables/train_trainable.py",
    }


def test_the_core_the_store_and_the_reports_work_without_ray() -> None:
    code = """
import importlib, pkgutil, sys
class NoRay:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'ray':
            raise ModuleNotFoundError(f'blocked: {name}')
sys.meta_path.insert(0, NoRay())
import trainables, search_spaces, reports
for package in (trainables, search_spaces, reports):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):
        if module.name not in ('trainables.tune_trainable', 'trainables.train_trainable'):
            importlib.import_module(module.name)
for name in ('store', 'spec', 'plan', 'single', 'cli'):
    importlib.import_module('study.' + name)
assert 'ray' not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)
