"""The journal's file, the disk that it is on, and what is to be seen in it at each commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import attrs

from captchahub._journal.rows import COLUMNS, read_entries
from captchahub._journal.sqlite import SqliteDatabase
from captchahub._policy.accounting import from_units
from captchahub.errors import JournalError
from captchahub.jobs import JobEntry
from tests.simulation.accounts import Account
from tests.simulation.budgets import Charge
from tests.simulation.configuration import Configuration
from tests.simulation.world import Town

__all__ = ["Book", "Hub"]

T = TypeVar("T")


class Hub(Protocol):
    """One life of a hub as the journal's file sees it."""

    version: int | None
    accounts: Collection[Account] | None
    name: str
    is_dead: bool
    died_at: float

    def has(self, account: Account) -> bool:
        """Whether an account is surely one of its own."""
        ...

    def may_have(self, account: Account) -> bool:
        """Whether an account may be one of its own."""
        ...


@attrs.frozen
class _Writer:
    """Who has written an order, and by which configuration, None where that may be any."""

    hub: Hub
    version: int | None


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
        self._store = SqliteDatabase(None)
        # Looks at it are no part of what is tried, and need no transaction of their own.
        self._connection = self._store.transact([lambda connection: connection])[0]
        self._chance = town.chance("disk")
        self._limits = configured.limits
        self._keep = configured.settings.journal.keep
        self._cache = configured.settings.cache
        self._accounts = configured.accounts
        self.hubs: dict[str, list[Hub]] = {}
        """Whose hubs an owner of the journal stands for."""
        self._orders: dict[int, _Writer] = {}
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

    @property
    def slowest(self) -> float:
        """How long some commits in a row may take, in seconds."""
        return 2.0 if self._slow else 0.1

    def latency(self) -> float:
        """How long the next commit takes, in seconds."""
        if self._chance.random() < self._slow:
            self._town.inject("slow commit")
            return self._chance.uniform(0.05, 0.5)
        return self._chance.uniform(0.0001, 0.005)

    def commit(self, works: Sequence[Callable[[sqlite3.Connection], Any]], hub: Hub) -> Sequence[Any]:
        """What each work returned or raised; all are of one hub."""
        self._town.note(f"commit {len(works)}")
        if not self._town.is_calm and self._chance.random() < self._failing:
            self._town.inject("failed commit")
            return [JournalError("the disk is full") for _ in works]
        outcomes = self._store.transact(works)
        newest = self._newest()
        if newest > self._seen:
            written = _Writer(hub, hub.version)
            self._orders |= dict.fromkeys(range(self._seen + 1, newest + 1), written)
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
        sql = "SELECT id, provider, ordered_at, min(charge, price) FROM every_job WHERE price IS NOT NULL"
        rows = self.read(sql)
        for version, accounts in enumerate(self._accounts):
            of_these, by_these = list[Charge](), list[Charge]()
            for entry, provider, *rest in rows:
                if self.account_of(entry, provider) == accounts[provider]:
                    of_these.append(Charge(provider, *rest))
                    # Who has another account beside knows nothing of what is spent at this one's.
                    if self._orders[entry].version == version:
                        by_these.append(Charge(provider, *rest))
            for limit in self._limits:
                most = limit.most(by_these if limit.provider is None else of_these)
                if most > limit.amount:
                    self._town.blame(f"the budget {limit} of {version} is passed by what is reserved: {most}")

    def account_of(self, entry: int, provider: str) -> Account | None:
        """The account that an order was meant for, None where it may be any."""
        version = self._orders[entry].version
        return None if version is None else self._accounts[version][provider]

    def may_count(self, provider: str | None, hub: Hub) -> Decimal:
        """The most that a hub's budgets may ever have found to be spent, for a provider or all of them."""
        sql = "SELECT id, provider, max(charge, price) FROM every_job WHERE price IS NOT NULL"
        units = sum(
            units
            for entry, of, units in self.read(sql)
            if provider in (None, of) and self._is_usable(entry, of, hub)
        )
        return Decimal(units) / 10**9

    def has_equal(self, fingerprint: str, hub: Hub, since: float) -> bool:
        """Whether another hub had an equal task under way at an account that this one may have as well."""
        sql = """
            SELECT id, provider, owner FROM every_job WHERE fingerprint = ? AND is_shared
                AND (state IN ('intent', 'created') OR updated_at >= ?)
            """
        for entry, provider, owner in self.read(sql, fingerprint, since):
            # Others can have taken over what this one has ordered.
            is_own = self._orders[entry].hub is hub and hub in self.hubs.get(owner, ())
            if not is_own and self._is_usable(entry, provider, hub):
                return True
        return False

    def _is_usable(self, entry: int, provider: str, hub: Hub) -> bool:
        account = self.account_of(entry, provider)
        return account is None or hub.may_have(account)

    def left_behind(self, hub: Hub, since: float) -> Iterable[tuple[int, str]]:
        """The open jobs that a hub could collect, of others that were dead by a time and still have them."""
        sql = "SELECT id, provider, owner FROM jobs WHERE state = 'created' AND owner IS NOT NULL"
        for entry, provider, owner in self.read(sql):
            ordered, account = self._orders[entry].hub, self.account_of(entry, provider)
            is_own = account is not None and hub.has(account)
            if is_own and ordered in self.hubs[owner] and ordered.died_at < since:
                yield entry, ordered.name

    def _is_worked_on(self, entry: int, owner: str, hub: Hub) -> bool:
        """Whether another living hub has a job, so far as its owner tells."""
        hubs, ordered = self.hubs.get(owner, []), self._orders[entry].hub
        worker = ordered if ordered in hubs else hubs[-1] if hubs else None
        return worker is not None and worker is not hub and not worker.is_dead

    def _check_shared(self) -> None:
        """See that nobody orders what another living process is having solved, where both would share it."""
        sql = """
            SELECT new.id, old.id, old.provider, old.owner FROM jobs AS new
            JOIN jobs AS old ON old.fingerprint = new.fingerprint
            JOIN owners ON owners.id = old.owner AND owners.alive_until > ?2
            WHERE new.id > ?1 AND old.id < new.id AND new.is_shared AND old.is_shared
                AND old.state IN ('intent', 'created')
            """
        for new, old, provider, owner in self.read(sql, self._seen, self._town.wall()):
            hub, account = self._orders[new].hub, self.account_of(old, provider)
            if account is not None and hub.has(account) and self._is_worked_on(old, owner, hub):
                self._town.blame(f"order {new} was made while another process had an equal one, {old}")

    def _check_cache(self) -> None:
        """See that nobody orders what the journal has a fresh answer to."""
        if not self._town.has_reliable_clock:
            return
        sql = """
            SELECT new.id, old.id, old.provider FROM jobs AS new
            JOIN jobs AS old ON old.fingerprint = new.fingerprint AND old.state = 'solved'
                AND old.answer IS NOT NULL AND old.updated_at BETWEEN new.ordered_at - ?2 AND new.ordered_at
            WHERE new.id > ?1 AND old.id < new.id AND new.is_shared AND old.is_shared
            """
        for new, old, provider in self.read(sql, self._seen, self._cache):
            account = self.account_of(old, provider)
            if account is None or not self._orders[new].hub.has(account):
                continue
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
        sql = f"SELECT {COLUMNS} FROM every_job ORDER BY id"
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
        sql = "SELECT sum(charge) FROM ledger WHERE provider = ? GROUP BY span"
        sums = {units for (units,) in self.read(sql, provider)} or {0}
        if len(sums) > 1:
            self._town.blame(f"the slots and the days of the ledger differ for {provider}: {sums}")
        return from_units(max(sums))

    def close(self) -> None:
        """Let go of it."""
        self._store.close()
