"""What several test files share."""

from collections.abc import Iterator

import pytest

from tests.local_head import Head, local_head


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """One head for all tests that leave it as it was: it takes a while to start."""
    with local_head() as running:
        yield running
