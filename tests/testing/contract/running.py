"""Running a contract without pytest around it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import islice, product
from typing import Any

import pytest

from captchahub.testing.contract import ProviderContract


def checks(contract: type[ProviderContract], every: int = 1) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield every check by name, once for each value of its parameters, or once for ``every`` values."""
    for name in dir(contract):
        if name.startswith("test_"):
            method: Any = getattr(contract, name)
            marks = [mark.args for mark in getattr(method, "pytestmark", [])]
            for values in islice(product(*(values for _, values in marks)), 0, None, every):
                given = dict(zip([names for names, _ in marks], values, strict=True))
                yield name.removeprefix("test_"), partial(method, contract(), **given)


def failures(
    contract: type[ProviderContract], every: int = 1, without: Collection[str] = ()
) -> dict[str, str]:
    """Return the message of each check that fails. Any other error of a check is raised."""
    found: dict[str, str] = {}
    for name, check in checks(contract, every):
        if name in without:
            continue
        try:
            check()
        except pytest.skip.Exception:
            continue
        except pytest.fail.Exception as error:
            found[name] = str(error)
    return found
