"""`mixco report`: gain against capacity, from Parquet results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from study.console import console, news_of, say, tell

if TYPE_CHECKING:
    import pandas as pd

    from reports.findings import Findings
    from reports.reading import Tables
    from reports.statistics.capacity import Measure
    from reports.statistics.lines_rule import Lines

app = typer.Typer(add_completion=False)
REFRESH_SECONDS = 10


@app.command()
def report(
    results: Annotated[list[str], typer.Argument(help="Results folders or URIs.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; default: RESULTS/report.")
    ] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="OTHER", help="Show another study's results beside.")
    ] = None,
    capacity: Annotated[
        Literal["parameters", "flops"],
        typer.Option(help="What orders encoders: parameters, or FLOPs of one image."),
    ] = "parameters",
    watch: Annotated[
        bool, typer.Option("--watch", help="Update the report as results arrive; Ctrl-C ends.")
    ] = False,
    exports: Annotated[
        bool, typer.Option(help="Also write figures (SVG, PDF, PNG) and tables as files.")
    ] = True,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON instead of tables.")
    ] = False,
) -> None:
    """Write the report of RESULTS and print its summary."""
    folder = out or _default_folder(results)
    # Check all input before the slow imports.
    latest = _read(results, waiting=watch)
    other = _read([compare]) if compare else None
    _check_writable(folder)
    if watch:
        _watch(latest, other, results, folder, exports, json_, capacity)
    else:
        findings = _write(latest, other, results, folder, exports, 0, capacity)
        _print(findings, folder, json_)


def _watch(
    latest: Tables,
    other: Tables | None,
    results: list[str],
    folder: Path,
    exports: bool,
    as_json: bool,
    capacity: Measure,
) -> None:
    """Writes the report again whenever trials have been added, until Ctrl-C."""
    import time

    from reports.store.address import public

    tables = None
    try:
        while True:
            if latest.trials.empty and tables is None:
                tell(f"{public(results[0])}: waiting for the first finished trial")
            elif tables is None or len(latest.trials) != len(tables.trials):
                findings = _write(latest, other, results, folder, False, REFRESH_SECONDS, capacity)
                _print(findings, folder, as_json)
            tables = latest
            time.sleep(REFRESH_SECONDS)
            latest = _read(results, waiting=True)
    except KeyboardInterrupt:
        # The page that stays behind must not reload itself.
        if tables is not None and not tables.trials.empty:
            _write(tables, other, results, folder, exports, 0, capacity)


def _write(
    tables: Tables,
    other: Tables | None,
    results: list[str],
    folder: Path,
    exports: bool,
    refresh: int,
    capacity: Measure,
) -> Findings:
    from reports.findings import find
    from reports.output.charts import charts_of, write_figures
    from reports.output.page import render
    from reports.output.tables import write_tables
    from reports.statistics.compare import compare_gains
    from study.provenance import SPEC_FILE
    from trainables.atomic_write import atomic_write
    from trainables.errors import InputError

    unfinished = _unfinished(results, tables.trials)
    findings = find(
        *tables._replace(notes=tables.notes + unfinished),
        lines=_lines(results),
        measure=capacity,
    )
    beside = None if other is None else find(*other, measure=capacity)
    charts = charts_of(findings, beside)
    comparison = compare_gains(findings.gains.pairs, beside.gains.pairs) if beside else None
    page = render(
        findings,
        charts,
        other=beside,
        comparison=comparison,
        spec=_beside(results, SPEC_FILE),
        packages=_packages(results),
        refresh=refresh,
    )
    try:
        atomic_write(folder / "index.html", page.encode())
        if exports:
            write_tables(findings.tables(), folder / "tables")
            write_figures(charts, folder / "figures")
    except OSError as error:
        raise InputError(f"--out {folder}: cannot write ({error.strerror})") from None
    return findings


def _check_writable(folder: Path) -> None:
    """Refuses a path that is not a writable folder and cannot become one."""
    import os

    from trainables.errors import InputError

    nearest = folder
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise InputError(f"--out {folder}: cannot write ({nearest} is not a folder)")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"--out {folder}: cannot write ({nearest} is read-only)")


def _print(findings: Findings, folder: Path, as_json: bool) -> None:
    import json

    from reports.output.plain import plain
    from reports.output.summary import print_summary

    news_of(str(folder), data=as_json)
    if as_json:
        say(json.dumps(plain(findings)))  # ASCII, so that every stream can carry it
        return
    print_summary(findings, console())
    say(f"report: {folder / 'index.html'}")


def _default_folder(results: list[str]) -> Path:
    from reports.store.address import is_uri, public
    from trainables.errors import InputError

    if is_uri(results[0]):
        raise InputError(f"{public(results[0])}: results that are not a folder here need --out DIR")
    return Path(results[0]) / "report"


def _read(results: list[str], waiting: bool = False) -> Tables:
    from reports.reading import read_results

    tables = read_results(results, waiting)
    for note in tables.notes:
        tell(f"mixco: {note}")
    return tables


def _unfinished(results: list[str], trials: pd.DataFrame) -> list[str]:
    """What is still to come, where one study is reported and its spec is beside the tables."""
    from study.provenance import SPEC_FILE
    from study.spec import parse_spec
    from study.unfinished import unfinished
    from trainables.errors import InputError

    text = _beside(results, SPEC_FILE)
    try:
        sentence = unfinished(parse_spec(text, SPEC_FILE), trials) if text else None
    except InputError:
        return []  # The spec is of another version; its trials are readable all the same.
    return [sentence] if sentence else []


def _lines(results: list[str]) -> Lines:
    """The lines that the study asks for, where its spec is beside the tables."""
    from study.provenance import SPEC_FILE
    from study.spec import parse_spec
    from trainables.errors import InputError

    text = _beside(results, SPEC_FILE)
    try:
        return parse_spec(text, SPEC_FILE).lines if text else "auto"
    except InputError:
        return "auto"  # as in `_unfinished`


def _packages(results: list[str]) -> str:
    """Versions of the packages that the trials ran with."""
    import json

    from study.provenance import PROVENANCE_FILE

    text = _beside(results, PROVENANCE_FILE)
    try:
        record = json.loads(text) if text else {}
        packages = {"python": record.get("python"), **record.get("packages", {})}
    except (ValueError, AttributeError, TypeError):
        return ""
    return ", ".join(f"{name} {version}" for name, version in packages.items() if version)


def _beside(results: list[str], name: str) -> str:
    """A file beside the tables, where exactly one study is reported and the file is there."""
    from reports.store.tables import open_store
    from trainables.errors import InputError

    if len(results) != 1:
        return ""
    try:
        return open_store(results[0]).read_text(name) or ""
    except (OSError, InputError):
        return ""  # The report needs the tables alone.
