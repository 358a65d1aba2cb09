"""`mixco report`: gain against capacity, from Parquet results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer()


@app.command()
def report(
    results: Annotated[list[str], typer.Argument(help="results folders, or URIs of them")],
    out: Annotated[
        Path | None, typer.Option(help="where to write; default: RESULTS/report")
    ] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="print the findings as JSON instead of a table")
    ] = False,
) -> None:
    """Write the report of RESULTS and print its summary."""
    import json

    from rich.console import Console

    from trainables.config import InputError

    trials = _read(results)  # first: bad input is answered before the slow imports

    from reports.findings import as_json, find
    from reports.page import render
    from reports.summary import print_summary

    findings = find(trials)
    folder = out or _default_folder(results)
    page = render(findings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out {folder}: cannot write ({error.strerror})") from None
    if json_:
        typer.echo(json.dumps(as_json(findings), ensure_ascii=False))
    else:
        console = Console()
        print_summary(findings, console)
        console.print(f"report: {folder / 'index.html'}", highlight=False, soft_wrap=True)


def _default_folder(results: list[str]) -> Path:
    from trainables.config import InputError

    if "://" in results[0]:
        raise InputError(
            f"{results[0]}: a report needs --out DIR where results are not a folder here"
        )
    return Path(results[0]) / "report"


def _read(results: list[str]) -> pd.DataFrame:
    """The trials of all results, each once."""
    import pandas as pd
    import pyarrow.dataset as ds

    from study.store import TRIALS
    from trainables.config import InputError

    frames = []
    for uri in results:
        folder = f"{uri.rstrip('/')}/trials"
        try:
            table = ds.dataset(folder, schema=TRIALS, format="parquet").to_table()
        except (OSError, ValueError) as error:
            raise InputError(f"{uri}: no results there ({str(error).splitlines()[0]})") from None
        frames.append(table.to_pandas())
    trials = pd.concat(frames, ignore_index=True).drop_duplicates("trial_id", keep="last")
    if trials.empty:
        raise InputError(f"{', '.join(results)}: no finished trial there")
    return trials
