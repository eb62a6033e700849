"""Running a contract without pytest around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, product
from typing import Any

import pytest

from captchahub.testing.contract import ProviderContract


def checks(contract: type[ProviderContract], every: int = 1) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every check by name, once for each value it is parametrised with, or for one in so many of them."""
    for name in dir(contract):
        if name.startswith("test_"):
            method: Any = getattr(contract, name)
            marks = [mark.args for mark in getattr(method, "pytestmark", [])]
            for values in islice(product(*(values for _, values in marks)), 0, None, every):
                given = dict(zip([names for names, _ in marks], values, strict=True))
                yield name.removeprefix("test_"), partial(method, contract(), **given)


def failures(contract: type[ProviderContract], every: int = 1) -> dict[str, str]:
    """The checks that failed and what they told the author; whatever else a check raises is raised."""
    found: dict[str, str] = {}
    for name, check in checks(contract, every):
        try:
            check()
        except pytest.skip.Exception:
            continue
        except pytest.fail.Exception as error:
            found[name] = str(error)
    return found
