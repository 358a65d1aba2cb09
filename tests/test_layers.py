"""Who may import whom, and that the core works where Ray is not installed."""

from __future__ import annotations

import ast
import functools
import graphlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
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


def parts(node: ast.AST, loading: bool) -> Iterator[ast.AST]:
    """The node and all below it; if ``loading``, only what runs as the file is loaded."""
    yield node
    below: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if loading and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    if loading and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        below = node.orelse
    for child in below:
        yield from parts(child, loading)


@functools.cache
def imports(path: Path, loading: bool = False) -> set[str]:
    """Every module that the file imports, by its full name; if ``loading``, when it is loaded."""
    found: set[str] = set()
    for node in parts(ast.parse(path.read_text()), loading):
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


USES_RAY = {name for name, path in FILES.items() if str(path.relative_to(ROOT)).startswith(RAY)}


def test_ray_is_imported_only_where_trials_are_launched() -> None:
    users = {
        name
        for name, path in FILES.items()
        if any(imported.split(".")[0] == "ray" for imported in imports(path))
    }
    assert users
    assert users <= USES_RAY


def test_what_uses_ray_is_imported_only_when_it_is_called() -> None:
    for name in FILES.keys() - USES_RAY:
        assert not imports(FILES[name], loading=True) & USES_RAY, name


@pytest.mark.slow
def test_the_core_the_store_and_the_reports_work_without_ray() -> None:
    """Every other module can be loaded; importing them all takes a while."""
    code = f"""
import importlib, sys
class NoRay:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'ray':
            raise ModuleNotFoundError(f'blocked: {{name}}')
sys.meta_path.insert(0, NoRay())
for name in {sorted(FILES.keys() - USES_RAY)!r}:
    importlib.import_module(name)
assert 'ray' not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)
