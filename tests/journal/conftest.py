"""The fixture that runs a test on every store of the journal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.journal.stores import STORES, use_store


@pytest.fixture(params=STORES)
def each_store(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind of store that the journals of a test have."""
    use_store(request.param)
    yield request.param
    use_store("sqlite")
