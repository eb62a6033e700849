"""The engine broken on purpose, so that answers get lost or bills wrong.

See :mod:`tests.simulation.sabotage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import pytest

from captchahub._engine import poller as _asking
from captchahub._engine import resume as _resume
from captchahub._engine.late_answers import JobOutcome, collect
from captchahub._engine.poller import Poller
from captchahub._engine.remote_attempt import RemoteAttempt
from captchahub._journal import claims as _claims
from captchahub._journal import jobs_table as _jobs_table
from captchahub._journal import reservations as _reservations
from captchahub._journal.accounts_table import OwnAccounts
from captchahub._journal.database import Connection
from captchahub._journal.journal import JobRow, Journal
from captchahub._journal.reservations import Reserver
from captchahub._journal.rows import NewJob
from captchahub._policy.error_table import Row, row_for
from captchahub._providers.account import RemoteAccount
from captchahub.errors import AmbiguousCreate, ProviderError
from captchahub.frames import Frame
from captchahub.jobs import JobEntry as Entry
from captchahub.provider import Created, Job, Provider, Request, Solved
from captchahub.tasks import Solution, Task

__all__ = ["SABOTAGES"]

# pyright: reportPrivateUsage=false
# What is broken here is the inside of the engine.


def journal_after_the_send(patch: pytest.MonkeyPatch) -> None:
    """A job is written down after it is created, which saves a commit before each create."""
    work, create = RemoteAttempt._work, RemoteAttempt._create

    async def send_first(self: RemoteAttempt) -> Solved:
        provider = self.account.provider
        request = self.account.call_plugin(Request, provider.create_job, self._task)
        created = await create(self, request, self._task)

        async def already(_request: Request, _task: Task[Solution]) -> Created:
            return created

        setattr(self, "_create", already)  # noqa: B010 - mypy lets no method be replaced
        return await work(self)

    patch.setattr(RemoteAttempt, "_work", send_first)


def retry_of_an_ambiguous_create(patch: pytest.MonkeyPatch) -> None:
    """A create without a reply is sent again."""
    create = RemoteAttempt._create

    async def create_again(self: RemoteAttempt, request: Request, task: Task[Solution]) -> Created:
        try:
            return await create(self, request, task)
        except AmbiguousCreate:
            return await create(self, request, task)

    patch.setattr(RemoteAttempt, "_create", create_again)


def reservation_outside_the_transaction(patch: pytest.MonkeyPatch) -> None:
    """The budget is checked in one transaction, and the price reserved in the next."""
    check, reserve = _reservations.check_budgets, Journal.reserve

    def nothing(*_values: object, **_named: object) -> None:
        pass

    async def check_first(self: Journal, order: NewJob, begun: float, *rest: Any) -> JobRow | Entry | None:
        def look(connection: Connection, own: OwnAccounts) -> None:
            check(connection, order, self._reserver.scopes, self._clock(), own, spent={})

        await self._accounts.write(look, self._accounts.including(order.provider, rest[-1]))
        return await reserve(self, order, begun, *rest)

    patch.setattr(_reservations, "check_budgets", nothing)
    patch.setattr(Journal, "reserve", check_first)


def lost_lease(patch: pytest.MonkeyPatch) -> None:
    """Created jobs are taken over from any hub, dead or alive."""
    claim = _claims.claim

    def claim_all(
        connection: Connection, owner: str, now: float, limit: int, own: OwnAccounts
    ) -> list[Entry]:
        return claim(connection, owner, now + 1e9, limit, own)

    patch.setattr(_claims, "claim", claim_all)


def fall_back_on_a_poll_error(patch: pytest.MonkeyPatch) -> None:
    """A failed poll ends the attempt, and the next provider is paid as well."""

    def ends_the_poll(error: Exception) -> Row:
        return attrs.evolve(row_for(error), poll_goes_on=False)

    patch.setattr(_asking, "row_for", ends_the_poll)


def answer_of_another_job(patch: pytest.MonkeyPatch) -> None:
    """Every poll at a provider has the id of the last job there."""
    newest: WeakKeyDictionary[Provider, Job] = WeakKeyDictionary()
    init, poll = Poller.__init__, Poller._poll

    def note(self: Poller, account: RemoteAccount, job: Job, *rest: Any, **named: Any) -> None:
        newest[account.provider] = job
        init(self, account, job, *rest, **named)

    async def poll_newest(self: Poller, deadline: float) -> tuple[Solved | None, ProviderError | None]:
        self.job = newest[self.account.provider]
        return await poll(self, deadline)

    patch.setattr(Poller, "__init__", note)
    patch.setattr(Poller, "_poll", poll_newest)


def stated_cost_ignored(patch: pytest.MonkeyPatch) -> None:
    """A job that is done is charged with its reserved price, whatever cost the service states."""
    settle = _jobs_table.settle

    def settle_as_reserved(*values: Any, cost: Decimal | None = None, **named: Any) -> bool:
        return settle(*values, **named)

    patch.setattr(_jobs_table, "settle", settle_as_reserved)


def open_jobs_pruned(patch: pytest.MonkeyPatch) -> None:
    """Old jobs are deleted, whether or not they have ended."""

    def prune_all(connection: Connection, older_than: float, **_rest: object) -> int:
        return connection.execute("DELETE FROM jobs WHERE updated_at < :time", {"time": older_than}).rowcount

    patch.setattr(_jobs_table, "prune", prune_all)


def stale_answers(patch: pytest.MonkeyPatch) -> None:
    """Answers are shared with equal tasks without a limit of time."""
    find = _jobs_table.find_equal

    def find_any(
        connection: Connection, fingerprint: str, *, fresh_since: float, **named: Any
    ) -> Entry | None:
        return find(connection, fingerprint, fresh_since=min(fresh_since, 0.0), **named)

    patch.setattr(_jobs_table, "find_equal", find_any)


def unused_cache(patch: pytest.MonkeyPatch) -> None:
    """Every solve creates a job, even if there is a fresh answer."""

    def find_none(*_values: object) -> None:
        return None

    patch.setattr(Reserver, "find_equal", find_none)


def attached_and_not_written(patch: pytest.MonkeyPatch) -> None:
    """A hub that attaches to a job returns its answer, and does not write it down."""

    async def collect_unwritten(poller: Poller, frame: Frame, _row: JobRow, **named: Any) -> JobOutcome:
        return await collect(poller, frame, None, **named)

    patch.setattr(_resume, "collect", collect_unwritten)


def last_word_to_the_latest(patch: pytest.MonkeyPatch) -> None:
    """A job that has ended can end again in another way."""
    again = dict.fromkeys(_jobs_table.ENDED, _jobs_table.ENDED)
    patch.setattr(_jobs_table, "_NEXT", _jobs_table._NEXT | again)
    patch.setattr(_jobs_table, "settle_at_price", _jobs_table.settle)


SABOTAGES: Mapping[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "journal after the send": (journal_after_the_send, "the ledger says"),
    "retry of an ambiguous create": (retry_of_an_ambiguous_create, "for the second time"),
    "reservation outside the transaction": (reservation_outside_the_transaction, "budget"),
    "lost lease": (lost_lease, "by turns"),
    "fall back on a poll error": (fall_back_on_a_poll_error, "was given up after"),
    "answer of another job": (answer_of_another_job, "is not that of job"),
    "stated cost ignored": (stated_cost_ignored, "is charged"),
    "open jobs pruned": (open_jobs_pruned, "was pruned when it was"),
    "stale answers": (stale_answers, "for fresh"),
    "unused cache": (unused_cache, "is a fresh answer"),
    "attached and not written": (attached_and_not_written, "is not written down"),
    "last word to the latest": (last_word_to_the_latest, "a person said"),
}
"""Each with a part of the violation that the simulation must report."""
