"""What the tests of several machines use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from captchahub.testing import Sandbox, load_emulation
from tests.journal.stores import Place, place_of
from tests.promises.fleet import Fleet, MakeFleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[MakeFleet]:
    with ExitStack() as stack:

        def make(place: Place | None = None, **sandbox: Any) -> Fleet:
            running = stack.enter_context(Sandbox(load_emulation("omocaptcha"), **sandbox))
            place = place or stack.enter_context(place_of("postgres", None))
            return Fleet(running, place, tmp_path, stack.enter_context(ExitStack()))

        yield make
