"""`mixco report`: gain against capacity, from Parquet results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    import pandas as pd

    from reports.findings import Findings

app = typer.Typer()
REFRESH_SECONDS = 10


@app.command()
def report(
    results: Annotated[list[str], typer.Argument(help="results folders, or URIs of them")],
    out: Annotated[
        Path | None, typer.Option(help="where to write; default: RESULTS/report")
    ] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="OTHER", help="results of another study, side by side")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="write it again whenever results arrive; Ctrl-C ends")
    ] = False,
    exports: Annotated[
        bool,
        typer.Option(help="also write figures (SVG, PDF, PNG) and tables as files"),
    ] = True,
    json_: Annotated[
        bool, typer.Option("--json", help="print the findings as JSON instead of a table")
    ] = False,
) -> None:
    """Write the report of RESULTS and print its summary."""
    import time

    folder = out or _default_folder(results)
    tables = _read(results)  # first: bad input is answered before the slow imports
    other = _read([compare]) if compare else None
    _print(_write(tables, other, results, folder, exports and not watch, watch), folder, json_)
    while watch:
        try:
            time.sleep(REFRESH_SECONDS)
            latest = _read(results)
        except KeyboardInterrupt:
            return
        if len(latest.trials) != len(tables.trials):
            tables = latest
            _print(_write(tables, other, results, folder, False, watch), folder, json_)


class _Tables(NamedTuple):
    trials: pd.DataFrame
    evaluations: pd.DataFrame


def _write(
    tables: _Tables,
    other: _Tables | None,
    results: list[str],
    folder: Path,
    exports: bool,
    watch: bool,
) -> Findings:
    from reports.compare import compare_gains
    from reports.findings import find
    from reports.page import charts_of, render, write_figures
    from reports.tables import write_tables
    from trainables.config import InputError

    findings = find(*tables)
    charts = charts_of(findings)
    beside = None if other is None else find(*other)
    page = render(
        findings,
        charts,
        other=beside,
        comparison=None if beside is None else compare_gains(findings.pairs, beside.pairs),
        spec=_spec(results),
        refresh=REFRESH_SECONDS if watch else 0,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / ".index.html.partial"
        partial.write_text(page, encoding="utf-8")
        partial.replace(folder / "index.html")
        if exports:
            write_tables(findings.tables(), folder / "tables")
            write_figures(charts, folder / "figures")
    except OSError as error:
        raise InputError(f"--out {folder}: cannot write ({error.strerror})") from None
    return findings


def _print(findings: Findings, folder: Path, as_json: bool) -> None:
    import json

    from rich.console import Console

    from reports.findings import as_json as plain
    from reports.summary import print_summary

    if as_json:
        typer.echo(json.dumps(plain(findings), ensure_ascii=False))
        return
    console = Console()
    print_summary(findings, console)
    console.print(f"report: {folder / 'index.html'}", highlight=False, soft_wrap=True)


def _default_folder(results: list[str]) -> Path:
    from trainables.config import InputError

    if "://" in results[0]:
        raise InputError(f"{results[0]}: results that are not a folder here need --out DIR")
    return Path(results[0]) / "report"


def _read(results: list[str]) -> _Tables:
    """The trials of all results, each once, and the evaluations where encoders were transferred."""
    import pandas as pd

    from study.store import CONFIRM, EVALUATIONS, open_store
    from trainables.config import InputError

    none = EVALUATIONS.empty_table().to_pandas()
    trials, evaluations = [], []
    for uri in results:
        store = open_store(uri)
        frame = store.read("trials")
        if frame.empty:
            raise InputError(f"{uri}: no finished trial there")
        trials.append(frame)
        transferred = frame["eval_datasets"].map(lambda names: names is not None and len(names) > 0)
        ids = frame.loc[transferred & (frame["phase"] == CONFIRM), "trial_id"]
        if len(ids):
            evaluations.append(store.read("evaluations", trial_ids=ids))
    return _Tables(
        pd.concat(trials, ignore_index=True).drop_duplicates("trial_id", keep="last"),
        pd.concat([none, *evaluations], ignore_index=True).drop_duplicates(),
    )


def _spec(results: list[str]) -> str:
    """The study's file as it was run, where exactly one study is reported and it is there."""
    from study.store import open_store

    if len(results) != 1:
        return ""
    store = open_store(results[0])
    try:
        with store.filesystem.open_input_file(f"{store.root}/study.yaml") as file:
            return bytes(file.read()).decode(errors="replace")
    except OSError:
        return ""
