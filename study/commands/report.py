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
    # All input is looked at before the slow imports.
    latest = _read(results, waiting=watch)
    other = _read([compare]) if compare else None
    _check_writable(folder)
    if not watch:
        _print(_write(latest, other, results, folder, exports, 0), folder, json_)
        return
    tables = None
    try:
        while True:
            if latest.trials.empty and tables is None:
                typer.echo(f"{results[0]}: waiting for the first finished trial", err=True)
            elif tables is None or len(latest.trials) != len(tables.trials):
                findings = _write(latest, other, results, folder, False, REFRESH_SECONDS)
                _print(findings, folder, json_)
            tables = latest
            time.sleep(REFRESH_SECONDS)
            latest = _read(results, waiting=True)
    except KeyboardInterrupt:
        # The page that stays behind does not reload itself any more.
        if tables is not None and not tables.trials.empty:
            _write(tables, other, results, folder, exports, 0)


class _Tables(NamedTuple):
    trials: pd.DataFrame
    evaluations: pd.DataFrame
    notes: list[str]


def _write(
    tables: _Tables,
    other: _Tables | None,
    results: list[str],
    folder: Path,
    exports: bool,
    refresh: int,
) -> Findings:
    from reports.findings import find
    from reports.output.charts import charts_of, write_figures
    from reports.output.page import render
    from reports.output.tables import write_tables
    from reports.statistics.compare import compare_gains
    from trainables.atomic_write import atomic_write
    from trainables.errors import InputError

    findings = find(
        tables.trials, tables.evaluations, tables.notes + _unfinished(results, tables.trials)
    )
    beside = None if other is None else find(*other)
    charts = charts_of(findings, beside)
    page = render(
        findings,
        charts,
        other=beside,
        comparison=None
        if beside is None
        else compare_gains(findings.gains.pairs, beside.gains.pairs),
        spec=_spec(results),
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
    """Refuses a place that is no folder and cannot become one, before anything is computed."""
    import os

    from trainables.errors import InputError

    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise InputError(f"--out {folder}: cannot write ({there} is not a folder)")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"--out {folder}: cannot write ({there} is read-only)")


def _print(findings: Findings, folder: Path, as_json: bool) -> None:
    import json

    from rich.console import Console

    from reports.findings import as_json as plain
    from reports.output.summary import print_summary

    if as_json:
        typer.echo(json.dumps(plain(findings), ensure_ascii=False))
        return
    console = Console()
    print_summary(findings, console)
    console.print(f"report: {folder / 'index.html'}", highlight=False, soft_wrap=True)


def _default_folder(results: list[str]) -> Path:
    from trainables.errors import InputError

    if "://" in results[0]:
        raise InputError(f"{results[0]}: results that are not a folder here need --out DIR")
    return Path(results[0]) / "report"


def _read(results: list[str], waiting: bool = False) -> _Tables:
    """The trials of all results, each once, and the evaluations where encoders were transferred.

    Raises:
        InputError: no results there, no finished trial (unless ``waiting`` for one), or two results
            that hold different trials under one name.
    """
    import warnings

    import pandas as pd

    from reports.store.tables import CONFIRM, EVALUATIONS, open_store
    from trainables.errors import InputError

    none = EVALUATIONS.empty_table().to_pandas()
    trials, evaluations = [], []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        for uri in dict.fromkeys(results):
            try:
                store = open_store(uri)
                frame = store.read("trials")
            except (OSError, ValueError) as error:  # of the file system, or of the URI
                if isinstance(error, InputError):
                    raise
                reason = " ".join(str(error).split())[:200]
                raise InputError(f"{uri}: cannot be read ({reason})") from None
            damaged = [str(w.message) for w in caught if "damaged, skipped" in str(w.message)]
            if frame.empty and not waiting:
                why = f" ({damaged[-1]})" if damaged else ""
                raise InputError(f"{uri}: no finished trial there{why}")
            trials.append(frame)
            named = frame["eval_datasets"].map(lambda names: names is not None and len(names) > 0)
            ids = frame.loc[named.astype(bool) & (frame["phase"] == CONFIRM), "trial_id"]
            if len(ids):
                evaluations.append(store.read("evaluations", trial_ids=ids))
    notes = [str(w.message) for w in caught if "damaged, skipped" in str(w.message)]
    for note in notes:
        typer.echo(f"mixco: {note}", err=True)
    both = pd.concat(trials, ignore_index=True)
    _check_conflicts(both)
    # Ids name a trial within its study only.
    return _Tables(
        both.drop_duplicates(["study", "trial_id"], keep="last", ignore_index=True),
        pd.concat([none, *evaluations], ignore_index=True).drop_duplicates(),
        notes,
    )


def _check_conflicts(trials: pd.DataFrame) -> None:
    """Refuses results that hold one trial of one study with different settings.

    Raises:
        InputError: names the trial and the setting.
    """
    from reports.store.tables import CONFIG_FIELDS
    from trainables.errors import InputError

    key = ["study", "trial_id"]
    repeated = trials[trials.duplicated(key, keep=False)]
    names = [name for name, _ in CONFIG_FIELDS if name not in ("eval_datasets", "device")]
    differ = repeated.groupby(key, dropna=False)[names].nunique(dropna=False).gt(1)
    if differ.any(axis=None):
        first = differ[differ.any(axis=1)].reset_index().iloc[0]
        settings = ", ".join(name for name in names if first[name])
        raise InputError(
            f"two of the results hold trial {first['trial_id']} of study {first['study']} with "
            f"different {settings}: they are two studies of one name; use --compare"
        )


def _unfinished(results: list[str], trials: pd.DataFrame) -> list[str]:
    """How much of the study is still to come, where one study is reported and its file is there."""
    from reports.store.tables import COMPLETE, CONFIRM, TUNE
    from study.spec import parse_spec
    from trainables.errors import InputError

    text = _spec(results)
    try:
        study = parse_spec(text, "study.yaml") if text else None
    except InputError:
        study = None  # of another version: its trials are readable all the same
    if study is None:
        return []
    joint = study.treat_width == "joint"
    lines = len(study.datasets) * len(study.methods) * len(study.encoders) * len(study.arms)
    searches = lines * (1 if joint else len(study.widths))
    own = trials[trials["study"] == study.name]
    tuned = own[(own["phase"] == TUNE) & (own["number"] < study.trials)]
    # A search in which nothing completed has nothing to confirm.
    complete = tuned["status"].eq(COMPLETE).groupby(tuned["cell"]).agg(["size", "any"])
    dead = int(((complete["size"] >= study.trials) & ~complete["any"].astype(bool)).sum())
    confirms = len(study.confirm_seeds) * (lines * len(study.widths) - dead)
    confirmed = own[own["phase"] == CONFIRM].drop_duplicates(["cell", "width", "seed"])
    ended, planned = len(tuned) + len(confirmed), searches * study.trials + confirms
    if ended >= planned or (joint and len(tuned) >= searches * study.trials):
        return []
    return [
        f"Partial results: {ended} of the study's {planned} trials have ended "
        f"({len(tuned)} of {searches * study.trials} tune, {len(confirmed)} of {confirms} confirm)."
    ]


def _packages(results: list[str]) -> str:
    """Versions of what the trials ran with, from the file that a study leaves beside its tables."""
    import json

    text = _beside(results, "provenance.json")
    try:
        record = json.loads(text) if text else {}
        packages = {"python": record.get("python"), **record.get("packages", {})}
    except (ValueError, AttributeError, TypeError):
        return ""
    return ", ".join(f"{name} {version}" for name, version in packages.items() if version)


def _spec(results: list[str]) -> str:
    """The study's file as it was run, where exactly one study is reported and it is there."""
    return _beside(results, "study.yaml")


def _beside(results: list[str], name: str) -> str:
    """A file beside the tables, where exactly one study is reported and it is there."""
    from reports.store.tables import open_store

    if len(results) != 1:
        return ""
    store = open_store(results[0])
    try:
        with store.filesystem.open_input_file(f"{store.root}/{name}") as file:
            return bytes(file.read()).decode(errors="replace")
    except OSError:
        return ""
