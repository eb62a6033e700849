"""What the records of a batch add up to. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import attrs

from captchahub.provider import money
from captchahub.words import fields_of

__all__ = ["Done", "Record", "Totals", "done_of", "failure_of"]

Record = Mapping[str, object]


@attrs.frozen
class Done:
    """What the totals of a batch need of a record. ``is_right`` is None if the right answer is unknown.

    ``cost`` is that of all its jobs, without the ``unpriced`` ones: those whose cost is unknown. ``failure``
    is the class of the error and why the picture is not solved, or None if it is solved.
    """

    is_right: bool | None = None
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    failure: tuple[str, str] | None = None

    @property
    def is_solved(self) -> bool:
        """Whether there is an answer."""
        return self.failure is None


def done_of(record: Record) -> Done:
    """Return what the totals need of a record, as it was made or as it was read from a file."""
    is_right = record.get("is_right")
    cost, unpriced = _cost_of(record)
    return Done(
        None if is_right in (None, "") else is_right in (True, "true"), cost, unpriced, failure_of(record)
    )


def failure_of(record: Record) -> tuple[str, str] | None:
    """Return the class of a record's error, and why the picture is not solved; None if it is solved.

    The class is that of the last attempt in which a provider was called, if there is one.
    """
    error = record.get("error")
    if not error:
        return None
    if isinstance(error, str):
        # As a CSV file has it.
        kind, _, reason = error.partition(": ")
        return kind, reason
    fields = fields_of(error)
    failed = [attempt for attempt in _attempts_of(record) if attempt["error"]]
    kinds = [attempt["error"]["type"] for attempt in failed]
    kind = next((one for one in reversed(kinds) if one != "NotAsked"), (kinds or [fields["type"]])[-1])
    found = [f"{attempt['provider']}: {attempt['error']['message']}" for attempt in failed]
    return str(kind), "; ".join([str(fields["message"]), *found])


def _cost_of(record: Record) -> tuple[Decimal, int]:
    """Return what the jobs of a record cost as far as that is known, and how many have no known cost."""
    total = record.get("total_cost")
    known = money(total) if isinstance(total, str) and total else None
    if known is not None:
        return known, 0
    costs = [attempt["cost"] for attempt in _attempts_of(record)]
    prices = [money(cost) or Decimal(0) for cost in costs if cost is not None]
    # A row of a CSV file does not say how many they are.
    return sum(prices, Decimal(0)), costs.count(None) or 1


def _attempts_of(record: Record) -> Sequence[Any]:
    attempts: Any = record.get("attempts")
    return attempts or ()


@attrs.define
class Totals:
    """How far a batch is. ``judged`` counts the solved pictures whose right answer is known."""

    total: int
    done_before: int = 0
    solved: int = 0
    failed: int = 0
    judged: int = 0
    right: int = 0
    spent: Decimal = Decimal(0)
    unpriced: int = 0
    """The number of jobs without a known price, which ``spent`` cannot contain."""
    errors: Counter[str] = attrs.field(factory=Counter[str])
    """The failed pictures by the class of their error."""
    examples: dict[str, str] = attrs.field(factory=dict[str, str])
    """For each class of error, the first picture that failed so, and why."""

    @property
    def done(self) -> int:
        """The number of pictures with a record."""
        return self.solved + self.failed

    def add(self, key: str, done: Done) -> None:
        """Count a picture by its id."""
        self.add_cost(done)
        if done.failure is None:
            self.solved += 1
            self.judged += done.is_right is not None
            self.right += bool(done.is_right)
        else:
            kind, reason = done.failure
            self.failed += 1
            self.errors[kind] += 1
            self.examples.setdefault(kind, f"{key}: {reason}")

    def add_cost(self, done: Done) -> None:
        """Count only what the jobs of a picture cost."""
        self.spent += done.cost
        self.unpriced += done.unpriced
