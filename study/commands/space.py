"""`mixco space`."""

import typer

app = typer.Typer(no_args_is_help=True)


@app.command("show")
def show(method: str, arm: str) -> None:
    """Print the search space of METHOD and ARM as a table."""
    from trainables.config import InputError

    raise InputError(f"{method} {arm}")


@app.callback()
def group() -> None:
    """Show what a search may vary."""
