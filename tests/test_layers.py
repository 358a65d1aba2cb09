"""Who may import whom, and that the core works where Ray is not installed."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "trainables": {"trainables"},
    "search_spaces": {"trainables", "search_spaces"},
    "reports": {"trainables", "reports"},
    "study": {"trainables", "search_spaces", "reports", "study"},
}
OWN = tuple(ALLOWED)
RAY = ("trainables/on_ray/", "study/on_ray/")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for package in OWN for path in (ROOT / package).rglob("*.py")}


def imports(path: Path) -> set[str]:
    """Every module that the file imports, at its top or within a function, by its full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in FILES else node.module)
    return found


@pytest.mark.parametrize("package", OWN)
def test_packages_import_only_what_the_design_allows(package: str) -> None:
    for name, path in FILES.items():
        if name.split(".")[0] == package:
            for imported in imports(path):
                top = imported.split(".")[0]
                assert top not in OWN or top in ALLOWED[package], f"{path}: {imported}"


def test_no_module_imports_itself_through_others() -> None:
    graph = {name: imports(path) & set(FILES) - {name} for name, path in FILES.items()}
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the circle


def test_ray_is_imported_only_where_trials_are_launched() -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in FILES.values()
        if any(name.split(".")[0] == "ray" for name in imports(path))
    }
    assert not [user for user in users if not user.startswith(RAY)]


def test_the_core_the_store_and_the_reports_work_without_ray() -> None:
    modules = sorted(
        name for name, path in FILES.items() if not str(path.relative_to(ROOT)).startswith(RAY)
    )
    code = f"""
import importlib, sys
class NoRay:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'ray':
            raise ModuleNotFoundError(f'blocked: {{name}}')
sys.meta_path.insert(0, NoRay())
for name in {modules!r}:
    importlib.import_module(name)
assert 'ray' not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)
