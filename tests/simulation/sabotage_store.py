"""The PostgreSQL store broken on purpose. See :mod:`tests.simulation.sabotage`."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
import pytest

from captchahub._journal.postgres import PostgresDatabase, _Dead
from tests.simulation.sabotage import Sabotage

__all__ = ["STORE_SABOTAGES"]

# pyright: reportPrivateUsage=false


def lost_commit_taken_for_written(patch: pytest.MonkeyPatch) -> None:
    """A commit whose reply was lost counts as written."""

    def written(
        self: PostgresDatabase, number: int, done: list[object], cause: psycopg.Error
    ) -> list[object]:
        return done

    patch.setattr(PostgresDatabase, "_outcome_of", written)


def lost_commit_repeated(patch: pytest.MonkeyPatch) -> None:
    """A transaction whose reply was lost runs again, even if it was committed."""

    def again(self: PostgresDatabase, number: int, done: list[object], cause: psycopg.Error) -> list[object]:
        raise _Dead from cause

    patch.setattr(PostgresDatabase, "_outcome_of", again)


STORE_SABOTAGES: Mapping[str, tuple[Sabotage, str]] = {
    "lost commit taken for written": (lost_commit_taken_for_written, "in the journal, not None"),
    "lost commit repeated": (lost_commit_repeated, "was ordered 2 times at"),
}
"""Each with a part of the violation that the simulation must report on PostgreSQL."""
