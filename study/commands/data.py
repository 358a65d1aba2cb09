"""`mixco data`: list, fetch and look at data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from study.console import console, say

app = typer.Typer(no_args_is_help=True, add_completion=False)

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
    from rich.table import Table

    from trainables.data.sources import SOURCES, find_source
    from trainables.data_dir import default_data_dir
    from trainables.errors import InputError, shown

    folder = data_dir or default_data_dir()
    table = Table(title=f"data sets (in {shown(folder)})", title_justify="left")
    for heading in ("dataset", "what it is", "found at"):
        table.add_column(heading, overflow="fold")
    for name, source in SOURCES.items():
        if source.summary:
            try:
                place = shown(find_source(name, folder).place)
            except InputError:
                place = f"not here: mixco data fetch {name}"
            table.add_row(name, source.summary, place)
    for name, source in SOURCES.items():
        if source.path_summary:
            options = "".join(f"?{option}=..." for option in source.options[:1])
            table.add_row(f"{name}:PATH{options}", source.path_summary, "PATH")
    console().print(table)


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
    say(f"{name}: downloaded to {place}")


@app.command()
def info(
    name: Annotated[
        str, typer.Argument(help="a name, or KIND:PATH as `mixco data list` prints it")
    ],
    image_size: Annotated[
        int | None, typer.Option(min=4, max=512, help="side in pixels; default: the source's own")
    ] = None,
    validation_fraction: Annotated[
        float, typer.Option(help="share of the training images held out")
    ] = 0.1,
    train_fraction: Annotated[
        float, typer.Option(help="share of the remaining images that is trained on")
    ] = 1.0,
    sheet: Annotated[
        Path | None, typer.Option(help="write a contact sheet of views and mixed images (PNG)")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Decode a data set where that is not yet done, and print what is in it."""
    from rich.table import Table

    from study.commands.loading import loading
    from trainables.data.dataset import load_dataset
    from trainables.errors import InputError, listed, shown

    if sheet and (sheet.suffix.lower() != ".png" or not sheet.parent.is_dir()):
        raise InputError(f"--sheet {sheet}: not the name of a .png file in an existing folder")
    with loading() as progress:
        data = load_dataset(
            name,
            image_size=image_size,
            validation_fraction=validation_fraction,
            train_fraction=train_fraction,
            data_dir=data_dir,
            progress=progress,
            note=lambda line: None,  # the table says it
        )
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow="fold")  # a long path is never cut
    colours = "colour" if data.colour else "grey"
    sizes = f"{data.image_size} x {data.image_size} pixels, {colours}"
    for heading, value in (
        ("dataset", shown(data.name)),
        ("images", sizes),
        *((split, f"{len(getattr(data, split)):,} images") for split in _SPLITS),
        ("classes", f"{len(data.classes)}: {listed(data.classes)}"),
        *([("passed over", data.passed_over)] if data.passed_over else []),
        ("mean", " ".join(f"{value:.4f}" for value in data.mean)),
        ("std", " ".join(f"{value:.4f}" for value in data.std)),
        ("fingerprint", data.fingerprint),
        ("cache", shown(data.cache_dir)),
    ):
        table.add_row(heading, value)
    console().print(table, soft_wrap=True)
    if sheet:
        from trainables.data.contact_sheet import contact_sheet

        contact_sheet(data).save(sheet)
        say(f"{sheet}: originals, two views of each, and mixed images")


_SPLITS = ("train", "validation", "test")
