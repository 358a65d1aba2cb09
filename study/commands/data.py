"""`mixco data`: list, fetch and look at data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data", help="where data sets and caches are; default: MIXCO_DATA or ~/.cache/mixco-study"
    ),
]


@app.callback()
def group() -> None:
    """List, fetch and look at data sets."""


@app.command("list")
def list_(data_dir: DataDir = None) -> None:
    """Print the data sets that have a name, and where each is found."""
    from rich.console import Console
    from rich.table import Table

    from trainables.data.sources import BY_PATH, NAMED
    from trainables.data_dir import default_data_dir
    from trainables.errors import InputError

    folder = data_dir or default_data_dir()
    table = Table(title=f"data sets (in {folder})", title_justify="left")
    for heading in ("dataset", "what it is", "found at"):
        table.add_column(heading, overflow="fold")
    for name, named in NAMED.items():
        try:
            place = named.find(folder).place
        except InputError:
            place = f"not here: mixco data fetch {name}"
        table.add_row(name, named.summary, place)
    for kind, named_by_path in BY_PATH.items():
        table.add_row(f"{kind}:PATH", named_by_path.summary, "PATH")
    Console().print(table)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="a name that `mixco data list` prints")],
    data_dir: DataDir = None,
) -> None:
    """Download a data set."""
    from trainables.data import sources
    from trainables.data_dir import default_data_dir

    folder = data_dir or default_data_dir()
    place = sources.fetch(name, folder)
    typer.echo(f"{name}: downloaded to {place}")


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="a name, imagefolder:PATH or parquet:PATH")],
    image_size: Annotated[
        int | None, typer.Option(min=4, max=512, help="side in pixels; default: the source's own")
    ] = None,
    validation_fraction: Annotated[
        float, typer.Option(help="share of the training images held out")
    ] = 0.1,
    sheet: Annotated[
        Path | None, typer.Option(help="write a contact sheet of views and mixed images (PNG)")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Decode a data set where that is not yet done, and print what is in it."""
    from rich.console import Console
    from rich.table import Table

    from study.commands.loading import loading
    from trainables.data.dataset import load_dataset
    from trainables.errors import InputError

    if sheet and (sheet.suffix.lower() != ".png" or not sheet.parent.is_dir()):
        raise InputError(f"--sheet {sheet}: not the name of a .png file in an existing folder")
    with loading() as progress:
        data = load_dataset(
            name,
            image_size=image_size,
            validation_fraction=validation_fraction,
            data_dir=data_dir,
            progress=progress,
        )
    table = Table(show_header=False, box=None)
    colours = "colour" if data.colour else "grey"
    sizes = f"{data.image_size} x {data.image_size} pixels, {colours}"
    for heading, value in (
        ("dataset", data.name),
        ("images", sizes),
        *((split, f"{len(getattr(data, split)):,} images") for split in _SPLITS),
        ("classes", f"{len(data.classes)}: {_first(data.classes)}"),
        ("mean", " ".join(f"{value:.4f}" for value in data.mean)),
        ("std", " ".join(f"{value:.4f}" for value in data.std)),
        ("fingerprint", data.fingerprint),
        ("cache", str(data.cache_dir)),
    ):
        table.add_row(heading, value)
    Console(soft_wrap=True).print(table)
    if sheet:
        from trainables.data.contact_sheet import contact_sheet

        contact_sheet(data).save(sheet)
        typer.echo(f"{sheet}: originals, two views of each, and mixed images")


_SPLITS = ("train", "validation", "test")


def _first(names: tuple[str, ...], shown: int = 10) -> str:
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")
