"""Works of one transaction that are done together, in fewer statements than one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

import attrs

from captchahub._journal.database import Connection, T

Item = TypeVar("Item")


@attrs.frozen(eq=False)
class GroupedWork(Generic[Item, T]):
    """A work that is done together with others of its transaction that have the same ``together``.

    ``together`` returns what the work of each item returns or raises. Called alone, a work does its own item.
    """

    together: Callable[[Connection, Sequence[Item]], Sequence[T | Exception]]
    item: Item

    def __call__(self, connection: Connection) -> T:
        """Do the work of this item."""
        (done,) = self.together(connection, [self.item])
        if isinstance(done, Exception):
            raise done
        return done


def run_grouped(
    works: Sequence[Callable[..., T]], run: Callable[[Callable[..., Any]], Any]
) -> list[T | Exception]:
    """Return what works return or raise, in their order, as ``run`` returns it for one work.

    They may run in another order, because none of their callers knows yet what another work has done. If
    ``run`` returns an exception for several works at once, they run again, each alone, so that one which
    can't be written spoils no other.
    """
    groups: dict[object, list[int]] = {}
    for number, work in enumerate(works):
        kind: object = number
        if isinstance(work, GroupedWork):
            kind = cast("GroupedWork[Any, T]", work).together
        groups.setdefault(kind, []).append(number)
    found: dict[int, T | Exception] = {}
    for numbers in groups.values():
        members = [works[number] for number in numbers]
        if len(members) > 1:
            done = run(_joined(cast("Sequence[GroupedWork[Any, T]]", members)))
            if not isinstance(done, Exception):
                found.update(zip(numbers, done, strict=True))
                continue
        found.update((number, run(work)) for number, work in zip(numbers, members, strict=True))
    return [found[number] for number in range(len(works))]


def _joined(works: Sequence[GroupedWork[Any, T]]) -> Callable[[Connection], Sequence[T | Exception]]:
    items = [work.item for work in works]
    return lambda connection: works[0].together(connection, items)
