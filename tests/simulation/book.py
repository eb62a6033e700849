"""The journal's file, the disk that it is on, and what is to be seen in it at each commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from captchahub._journal_money import spent
from captchahub._journal_schema import read_entries
from captchahub._journal_store import Store
from captchahub.errors import JournalError
from captchahub.jobs import JobEntry
from tests.simulation.budgets import Charge
from tests.simulation.configuration import Configuration
from tests.simulation.world import Town

__all__ = ["Book"]

T = TypeVar("T")

# Who looks at the books afterwards wants to see what was pruned as well.
_KEEPING = (
    "CREATE TEMP TABLE pruned AS SELECT * FROM jobs WHERE 0",
    """
    CREATE TEMP TRIGGER keep_pruned BEFORE DELETE ON main.jobs
    BEGIN INSERT INTO pruned SELECT * FROM jobs WHERE id = OLD.id; END
    """,
    "CREATE TEMP VIEW every_job AS SELECT * FROM jobs UNION ALL SELECT * FROM pruned",
)
_ENDED = "('solved', 'failed', 'expired', 'not_sent', 'refused')"


class Book:
    """The journal's file, which outlives the processes; and the disk that it is on."""

    def __init__(self, town: Town, configured: Configuration, *, failing: float, slow: float) -> None:
        self._town = town
        self._store = Store(None)
        # Looks at it are no part of what is tried, and need no transaction of their own.
        self._connection = self._store.transact([lambda connection: connection])[0]
        self._chance = town.chance("disk")
        self._limits = configured.limits
        self._keep = configured.settings.journal.keep
        self._cache = configured.settings.cache
        self._seen = 0
        self._pruned = 0
        for statement in _KEEPING:
            self.read(statement)
        self._failing = failing
        self._slow = slow

    @property
    def may_fail(self) -> bool:
        """Whether the disk is a bad one."""
        return self._failing > 0

    def latency(self) -> float:
        """How long the next commit takes, in seconds."""
        if self._chance.random() < self._slow:
            self._town.inject("slow commit")
            return self._chance.uniform(0.05, 0.5)
        return self._chance.uniform(0.0001, 0.005)

    def commit(self, works: Sequence[Callable[[sqlite3.Connection], Any]]) -> Sequence[Any]:
        """What each work returned or raised."""
        self._town.note(f"commit {len(works)}")
        if not self._town.is_calm and self._chance.random() < self._failing:
            self._town.inject("failed commit")
            return [JournalError("the disk is full") for _ in works]
        outcomes = self._store.transact(works)
        newest = self._newest()
        if newest > self._seen:
            self._check_budgets()
            self._check_shared()
            self._check_cache()
            self._seen = newest
        self._check_pruned()
        return outcomes

    def _newest(self) -> int:
        ((newest,),) = self.read("SELECT max(id) FROM jobs")
        return newest or 0

    def _check_budgets(self) -> None:
        """See that all budgets are kept, now and in every period so far, as far as prices were known."""
        if not self._limits:
            return
        # That a reply says that a job was dearer than agreed is not the fault of who ordered it.
        sql = "SELECT provider, ordered_at, min(charge, price) FROM every_job WHERE price IS NOT NULL"
        charges = [Charge(*row) for row in self.read(sql)]
        for limit in self._limits:
            most = limit.most(charges)
            if most > limit.amount:
                self._town.blame(f"the budget {limit} is passed by what is reserved: {most}")

    def _check_shared(self) -> None:
        """See that nobody orders what another living process is having solved, where both would share it."""
        sql = """
            SELECT new.id, old.id FROM jobs AS new
            JOIN jobs AS old ON old.fingerprint = new.fingerprint AND old.owner <> new.owner
            JOIN owners ON owners.id = old.owner AND owners.alive_until > ?2
            WHERE new.id > ?1 AND old.id < new.id AND new.is_shared AND old.is_shared
                AND old.state IN ('intent', 'created')
            """
        for new, old in self.read(sql, self._seen, self._town.wall()):
            self._town.blame(f"order {new} was made while another process had an equal one, {old}")

    def _check_cache(self) -> None:
        """See that nobody orders what the journal has a fresh answer to."""
        if not self._town.has_reliable_clock:
            return
        sql = """
            SELECT new.id, old.id FROM jobs AS new
            JOIN jobs AS old ON old.fingerprint = new.fingerprint AND old.state = 'solved'
                AND old.answer IS NOT NULL AND old.updated_at BETWEEN new.ordered_at - ?2 AND new.ordered_at
            WHERE new.id > ?1 AND old.id < new.id AND new.is_shared AND old.is_shared
            """
        for new, old in self.read(sql, self._seen, self._cache):
            self._town.blame(f"order {new} was made, and {old} is a fresh answer to an equal task")

    def _check_pruned(self) -> None:
        """See that nothing is forgotten that is open, or not old enough."""
        sql = f"""
            SELECT rowid, id, state, updated_at, state NOT IN {_ENDED} FROM pruned WHERE rowid > ?
            """
        for place, entry, state, updated_at, is_open in self.read(sql, self._pruned):
            self._pruned = place
            self._town.count("job pruned")
            is_young = self._town.has_reliable_clock and updated_at > self._town.wall() - self._keep
            if is_open or is_young:
                self._town.blame(f"job {entry} was pruned when it was {state}, last changed at {updated_at}")

    def every_job(self) -> list[JobEntry]:
        """All that ever was in it, the oldest first."""
        sql = "SELECT * FROM every_job ORDER BY id"
        return self.look(lambda connection: read_entries(connection.execute(sql)))

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query of the journal gives."""
        return self.look(lambda connection: connection.execute(sql, values).fetchall())

    def look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What a look into the journal gives, beside all processes."""
        assert isinstance(self._connection, sqlite3.Connection)
        return work(self._connection)

    def charged(self, provider: str) -> Decimal:
        """What the ledger says that was spent at a provider."""
        return self.look(lambda connection: spent(connection, provider, 0))

    def close(self) -> None:
        """Let go of it."""
        self._store.close()
