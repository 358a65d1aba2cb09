"""A bar while images are read and decoded, shown only where that takes place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

from rich.console import Console
from rich.progress import Progress, TaskID


@contextmanager
def loading() -> Iterator[Callable[[str, int, int], None]]:
    """A ``progress`` for `trainables.data.dataset.load_dataset`; on standard error."""
    with ExitStack() as stack:
        tasks: dict[str, TaskID] = {}

        @cache
        def bar() -> Progress:  # only once there is something to show
            return stack.enter_context(Progress(console=Console(stderr=True), transient=True))

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar().add_task(what, total=total)
            bar().update(tasks[what], completed=done)

        yield progress
