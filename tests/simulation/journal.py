"""The journal that the processes share, its disk, and the checks after each commit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Any, Protocol

import attrs

from captchahub._journal.database import Work
from captchahub._journal.rows import COLUMNS, read_entries
from captchahub._policy.accounting import from_units
from captchahub.errors import JournalError
from captchahub.jobs import JobEntry
from tests.simulation.accounts import Account
from tests.simulation.budgets import Charge
from tests.simulation.configuration import Configuration
from tests.simulation.stores import Store, StoreConnection
from tests.simulation.world import SimulatedWorld

__all__ = ["Hub", "SimulatedJournal"]


class Hub(Protocol):
    """One hub as the journal knows it."""

    version: int | None
    accounts: Collection[Account] | None
    name: str
    is_dead: bool
    died_at: float

    def has(self, account: Account) -> bool:
        """Return whether an account certainly belongs to it."""
        ...

    def may_have(self, account: Account) -> bool:
        """Return whether an account may belong to it."""
        ...


@attrs.frozen
class _Writer:
    """The hub that wrote a job, and its configuration, or None if that is unknown."""

    hub: Hub
    version: int | None


_ENDED = "('solved', 'failed', 'expired', 'not_sent', 'refused')"


class SimulatedJournal:
    """The journal, which outlives the processes, and its disk."""

    def __init__(
        self, world: SimulatedWorld, store: Store, configured: Configuration, *, failing: float, slow: float
    ) -> None:
        self._world = world
        self._store = store
        self._chance = world.chance("disk")
        self._limits = configured.limits
        self._keep = configured.settings.journal.keep
        self._cache = configured.settings.cache
        self._accounts = configured.accounts
        self.hubs: dict[str, list[Hub]] = {}
        """The hubs of each owner in the journal."""
        self._orders: dict[int, _Writer] = {}
        self._seen = 0
        self._pruned = set[int]()
        self._pruned_count = 0
        self._failing = failing
        self._slow = slow

    @property
    def may_fail(self) -> bool:
        """Whether commits can fail."""
        return self._failing > 0

    @property
    def is_slow(self) -> bool:
        """Whether some commits are slow."""
        return self._slow > 0

    @property
    def slowest(self) -> float:
        """The longest time of several commits in a row, in seconds."""
        return 2.0 if self._slow else 0.1

    def latency(self) -> float:
        """Return the duration of the next commit, in seconds."""
        if self._chance.random() < self._slow:
            self._world.inject("slow commit")
            return self._chance.uniform(0.05, 0.5)
        return self._chance.uniform(0.0001, 0.005)

    def connect(self) -> StoreConnection:
        """Open it for a new hub."""
        return self._store.connect()

    def commit(self, connection: StoreConnection, works: Sequence[Work[Any]], hub: Hub) -> Sequence[Any]:
        """Run the work of one hub, and return what each part returned or raised."""
        self._world.note(f"commit {len(works)}")
        if self._fails():
            self._world.inject("failed commit")
            return [JournalError("the disk is full") for _ in works]
        outcomes = connection.transact(works, may_fail=self.may_fail)
        newest, pruned = self._store.counts()
        if newest is not None and newest > self._seen:
            written = _Writer(hub, hub.version)
            self._orders |= dict.fromkeys(range(self._seen + 1, newest + 1), written)
            self._check_budgets()
            self._check_shared()
            self._check_cache()
            self._seen = newest
        if pruned != self._pruned_count:
            self._check_pruned()
            self._pruned_count = pruned
        return outcomes

    def read_for_hub(self, connection: StoreConnection, work: Work[Any]) -> Any:
        """Return what a work of one hub reads, or the error that it gets."""
        self._world.count("read of the journal")
        if self._fails():
            self._world.inject("failed read")
            return JournalError("the disk can't be read")
        try:
            return connection.read(work, may_fail=self.may_fail)
        except JournalError as error:
            return error

    def _fails(self) -> bool:
        return not self._world.is_calm and self._chance.random() < self._failing

    def _check_budgets(self) -> None:
        """Check that all budgets are kept in every period so far, as far as prices were known."""
        if not self._limits:
            return
        # The hub is not to blame if a job cost more than its price when it was created.
        rows = self.read(
            """
            SELECT id, provider, ordered_at, CASE WHEN charge < price THEN charge ELSE price END
            FROM every_job WHERE price IS NOT NULL
            """
        )
        for version, accounts in enumerate(self._accounts):
            of_these, by_these = list[Charge](), list[Charge]()
            for entry, provider, *rest in rows:
                if self.account_of(entry, provider) == accounts[provider]:
                    of_these.append(Charge(provider, *rest))
                    # A hub with another account does not count what is spent at this one.
                    if self._orders[entry].version == version:
                        by_these.append(Charge(provider, *rest))
            for limit in self._limits:
                most = limit.most(by_these if limit.provider is None else of_these)
                if most > limit.amount:
                    self._world.report_violation(
                        f"the budget {limit} of {version} is passed by what is reserved: {most}"
                    )

    def account_of(self, entry: int, provider: str) -> Account | None:
        """Return the account that a job was created for, or None if that is unknown."""
        version = self._orders[entry].version
        return None if version is None else self._accounts[version][provider]

    def may_count(self, provider: str | None, hub: Hub) -> Decimal:
        """Return the most that a hub may have counted as spent, for one provider or for all."""
        sql = """
            SELECT id, provider, CASE WHEN charge > price THEN charge ELSE price END
            FROM every_job WHERE price IS NOT NULL
            """
        units = sum(
            units
            for entry, of, units in self.read(sql)
            if provider in (None, of) and self._is_usable(entry, of, hub)
        )
        return Decimal(units) / 10**9

    def has_equal(self, fingerprint: str, hub: Hub, since: float) -> bool:
        """Return whether a hub had an equal task in work at an account that this hub may have."""
        sql = """
            SELECT id, provider FROM every_job WHERE fingerprint = :fingerprint AND is_shared = 1
                AND (state IN ('intent', 'created') OR updated_at >= :since)
            """
        found = self.read(sql, fingerprint=fingerprint, since=since)
        return any(self._is_usable(entry, provider, hub) for entry, provider in found)

    def _is_usable(self, entry: int, provider: str, hub: Hub) -> bool:
        account = self.account_of(entry, provider)
        return account is None or hub.may_have(account)

    def left_behind(self, hub: Hub, since: float) -> Iterable[tuple[int, str]]:
        """Yield the open jobs that a hub could collect, because their hubs died before a time."""
        sql = "SELECT id, provider, owner FROM jobs WHERE state = 'created' AND owner IS NOT NULL"
        for entry, provider, owner in self.read(sql):
            ordered, account = self._orders[entry].hub, self.account_of(entry, provider)
            is_own = account is not None and hub.has(account)
            if is_own and ordered in self.hubs[owner] and ordered.died_at < since:
                yield entry, ordered.name

    def _is_worked_on(self, entry: int, owner: str, hub: Hub) -> bool:
        """Return whether another living hub works on a job, according to its owner."""
        hubs, ordered = self.hubs.get(owner, []), self._orders[entry].hub
        worker = ordered if ordered in hubs else hubs[-1] if hubs else None
        return worker is not None and worker is not hub and not worker.is_dead

    def _check_shared(self) -> None:
        """Check that no hub creates a job for a shared task while another living process has one.

        A solve that has waited for that one for some time may create one at another provider.
        """
        sql = """
            SELECT later.id, earlier.id, earlier.provider, earlier.owner FROM jobs AS later
            JOIN jobs AS earlier ON earlier.fingerprint = later.fingerprint
            JOIN owners ON owners.id = earlier.owner AND owners.alive_until > :now
            WHERE later.id > :seen AND earlier.id < later.id AND later.is_shared = 1
                AND earlier.is_shared = 1 AND earlier.state IN ('intent', 'created')
                AND (later.provider = earlier.provider OR later.ordered_at < earlier.ordered_at + 1)
            """
        for new, old, provider, owner in self.read(sql, now=self._world.wall(), seen=self._seen):
            hub, account = self._orders[new].hub, self.account_of(old, provider)
            if account is not None and hub.has(account) and self._is_worked_on(old, owner, hub):
                self._world.report_violation(
                    f"order {new} was made while another process had an equal one, {old}"
                )

    def _check_cache(self) -> None:
        """Check that no hub creates a job for a task to which the journal has a fresh answer."""
        if not self._world.has_reliable_clock:
            return
        sql = """
            SELECT later.id, earlier.id, earlier.provider FROM jobs AS later
            JOIN jobs AS earlier ON earlier.fingerprint = later.fingerprint AND earlier.state = 'solved'
                AND earlier.answer IS NOT NULL
                AND earlier.updated_at BETWEEN later.ordered_at - :cache AND later.ordered_at
            WHERE later.id > :seen AND earlier.id < later.id AND later.is_shared = 1
                AND earlier.is_shared = 1
            """
        for new, old, provider in self.read(sql, seen=self._seen, cache=self._cache):
            account = self.account_of(old, provider)
            if account is None or not self._orders[new].hub.has(account):
                continue
            self._world.report_violation(
                f"order {new} was made, and {old} is a fresh answer to an equal task"
            )

    def _check_pruned(self) -> None:
        """Check that no job is pruned that is open or not old enough."""
        sql = f"SELECT id, state, updated_at, state NOT IN {_ENDED} FROM pruned ORDER BY id"
        for entry, state, updated_at, is_open in self.read(sql):
            if entry in self._pruned:
                continue
            self._pruned.add(entry)
            self._world.count("job pruned")
            is_young = self._world.has_reliable_clock and updated_at > self._world.wall() - self._keep
            if is_open or is_young:
                self._world.report_violation(
                    f"job {entry} was pruned when it was {state}, last changed at {updated_at}"
                )

    def every_job(self) -> list[JobEntry]:
        """Return all jobs that were ever in the journal, oldest first."""
        sql = f"SELECT {COLUMNS} FROM every_job ORDER BY id"
        return self._store.look(lambda connection: read_entries(connection.execute(sql)))

    def read(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._store.look(lambda connection: list(connection.execute(sql, values)))

    def charged(self, provider: str) -> Decimal:
        """Return the amount spent at a provider according to the ledger."""
        sql = "SELECT sum(charge) FROM ledger WHERE provider = :provider GROUP BY span"
        sums = {int(units) for (units,) in self.read(sql, provider=provider)} or {0}
        if len(sums) > 1:
            self._world.report_violation(
                f"the slots and the days of the ledger differ for {provider}: {sums}"
            )
        return from_units(max(sums))

    def close(self) -> None:
        """Close it."""
        self._store.close()
