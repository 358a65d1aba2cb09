"""A progress bar while images are read and decoded; none where they come from the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

from rich.progress import Progress, TaskID

from study.console import bar_columns, console, whole


@contextmanager
def loading() -> Iterator[Callable[[str, int, int], None]]:
    """A ``progress`` callback for `trainables.data.dataset.load_dataset`.

    It draws bars on standard error.
    """
    with ExitStack() as stack:
        tasks: dict[str, TaskID] = {}

        @cache
        def bar() -> Progress:  # only once there is something to show
            return stack.enter_context(
                Progress(*bar_columns(), console=console(stderr=True), transient=True)
            )

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar().add_task(whole(what), total=total)
            bar().update(tasks[what], completed=done)

        yield progress
