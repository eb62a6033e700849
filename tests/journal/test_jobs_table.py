"""What is written down of a job and its money, and who wins if several hubs try."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from captchahub._journal.claims import claim
from captchahub._journal.database import Connection as Transaction
from captchahub._journal.database import Database
from captchahub._journal.jobs_table import (
    ENDED,
    ENDED_AT_PRICE,
    find_equal,
    get,
    newest_jobs,
    prune,
    settle,
    settle_at_price,
    stop_sharing,
)
from captchahub._journal.ledger_table import spend
from captchahub._journal.liveness import ProcessLock, expire_dead_owners, heartbeat, sign_off
from captchahub._journal.rows import JobFilter, NewJob
from captchahub._journal.sqlite import SqliteDatabase
from captchahub._policy.accounting import to_units
from captchahub._policy.budgets import BudgetScope
from captchahub.errors import BudgetExceeded, JournalError, PriceUnknown
from captchahub.jobs import JobEntry as Entry
from captchahub.jobs import JobState, Spend
from captchahub.settings import Budget, Period
from tests.journal.ledger import mark_created, reserve, spent
from tests.journal.stores import STORES, Place, new_store, place_of, use_store

P = ParamSpec("P")
T = TypeVar("T")

PRICE = Decimal("0.1")
NOON = 1_761_480_000.0  # 2025-10-26 12:00 in UTC
LONG = NOON + 1e6
NO_LOCK = ProcessLock(None)

processes = multiprocessing.get_context("forkserver")
# This module is loaded once for all the children, not once for each.
processes.set_forkserver_preload([__name__])


def new_job(
    provider: str = "omo",
    kind: str = "image-to-text",
    *,
    price: Decimal | None = PRICE,
    fingerprint: str = "f",
    is_shared: bool = True,
    currency: str | None = "USD",
) -> NewJob:
    return NewJob(
        "submission", provider, kind, fingerprint, {"length": 5}, price, "configured", currency, is_shared
    )


def limit(amount: str, per: Period = Period.DAY, *, provider: str | None = "omo") -> BudgetScope:
    return BudgetScope(provider or "the hub", provider, Budget(Decimal(amount), per))


class Journal:
    """A database, and works that run in a transaction each. What a work raises is raised here."""

    def __init__(self, store: Database) -> None:
        self.store = store

    def do(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **keys: P.kwargs) -> T:
        def whole(connection: Transaction) -> T:
            return work(connection, *args, **keys)

        (done,) = self.store.transact([whole])
        if isinstance(done, Exception):
            raise done
        return done

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.do(lambda connection: list(connection.execute(sql)))

    def reserved(self, what: NewJob | None = None, *, owner: str = "me", now: float = NOON) -> int:
        return self.do(reserve, what or new_job(), (), owner=owner, now=now)

    def created(self, what: NewJob | None = None, *, owner: str = "me", now: float = NOON) -> int:
        entry_id = self.reserved(what, owner=owner, now=now)
        assert self.do(mark_created, entry_id, 7, owner=owner, now=now)
        return entry_id

    def ended(
        self, state: JobState, what: NewJob | None = None, *, now: float = NOON, cost: Decimal | None = None
    ) -> int:
        entry_id = self.reserved(what, now=now)
        assert self.do(
            settle, entry_id, state, owner="me", now=now, cost=cost, answer='{"text": "x7kp2"}', error="why"
        )
        return entry_id

    def entry(self, entry_id: int) -> Entry:
        entry = self.do(get, entry_id)
        assert entry is not None
        return entry

    def state(self, entry_id: int) -> JobState:
        return self.entry(entry_id).state


@pytest.fixture
def journal(each_store: str) -> Iterator[Journal]:
    with closing(new_store()) as store:
        journal = Journal(store)
        journal.do(heartbeat, "me", LONG)
        yield journal


class TestAJob:
    def test_is_first_an_intent(self, journal: Journal) -> None:
        what = new_job()
        entry = journal.entry(journal.reserved(what))
        for field in attrs.fields(NewJob):
            assert getattr(entry, field.name) == getattr(what, field.name)
        assert (entry.state, entry.job_id, entry.charge, entry.owner) == (JobState.INTENT, None, PRICE, "me")
        assert (entry.ordered_at, entry.updated_at) == (NOON, NOON)

    @pytest.mark.parametrize("job_id", [7, "7", "", 10**30, "\ud800"])
    def test_keeps_its_id_as_the_service_gave_it(self, journal: Journal, job_id: int | str) -> None:
        entry_id = journal.reserved()
        assert journal.do(mark_created, entry_id, job_id, owner="me", now=NOON + 1)
        entry = journal.entry(entry_id)
        assert entry.state is JobState.CREATED
        assert entry.job_id == job_id
        assert type(entry.job_id) is type(job_id)

    def test_ends_with_its_answer(self, journal: Journal) -> None:
        entry_id = journal.created()
        answer = {"start": {"x": 1.5, "y": 2}, "screen": None}
        assert journal.do(
            settle, entry_id, JobState.SOLVED, owner="me", now=NOON + 9, answer=json.dumps(answer)
        )
        entry = journal.entry(entry_id)
        assert (entry.state, entry.job_id, entry.answer) == (JobState.SOLVED, 7, answer)
        assert (entry.ordered_at, entry.updated_at) == (NOON, NOON + 9)

    def test_or_with_its_error(self, journal: Journal) -> None:
        entry_id = journal.created()
        assert journal.do(
            settle, entry_id, JobState.FAILED, owner="me", now=NOON, error="JobFailed: half \ud83d"
        )
        assert journal.entry(entry_id).error == "JobFailed: half \\ud83d"

    def test_is_written_once(self, journal: Journal) -> None:
        entry_id = journal.created()
        assert not journal.do(mark_created, entry_id, 8, owner="me", now=NOON)
        assert journal.entry(entry_id).job_id == 7
        assert journal.do(settle, entry_id, JobState.SOLVED, owner="me", now=NOON)
        assert not journal.do(settle, entry_id, JobState.FAILED, owner="me", now=NOON)
        assert journal.state(entry_id) is JobState.SOLVED

    def test_belongs_to_its_owner(self, journal: Journal) -> None:
        entry_id = journal.reserved()
        assert not journal.do(mark_created, entry_id, 7, owner="another", now=NOON)
        assert not journal.do(settle, entry_id, JobState.NOT_SENT, owner="another", now=NOON)
        assert journal.state(entry_id) is JobState.INTENT

    def test_that_does_not_exist_is_not_changed(self, journal: Journal) -> None:
        assert journal.do(get, 99) is None
        assert not journal.do(mark_created, 99, 7, owner="me", now=NOON)
        assert not journal.do(settle, 99, JobState.SOLVED, owner="me", now=NOON)
        assert not journal.do(stop_sharing, 99)

    def test_has_a_number_that_is_never_given_again(self, journal: Journal) -> None:
        first = journal.ended(JobState.SOLVED)
        journal.do(prune, NOON + 1)
        assert journal.reserved() > first

    def test_is_reported_as_damaged_if_it_cannot_be_read(self, journal: Journal) -> None:
        entry_id = journal.reserved()
        journal.rows("UPDATE jobs SET options = '{'")
        with pytest.raises(JournalError, match=f"job {entry_id} of the journal is damaged"):
            journal.do(get, entry_id)

    def test_the_newest_are_listed_first(self, journal: Journal) -> None:
        one, two, three = journal.reserved(), journal.created(), journal.reserved()
        assert [job.id for job in journal.do(newest_jobs)] == [three, two, one]
        assert [job.id for job in journal.do(newest_jobs, JobFilter(JobState.INTENT))] == [three, one]
        assert [job.id for job in journal.do(newest_jobs, JobFilter(limit=1))] == [three]


PAIRS = [(before, after) for before in JobState for after in JobState]
# What may follow each state.
ALLOWED = {
    ("intent", "solved"), ("intent", "failed"), ("intent", "not_sent"), ("intent", "refused"),
    ("intent", "ambiguous"), ("created", "solved"), ("created", "failed"), ("created", "expired"),
    ("ambiguous", "solved"), ("ambiguous", "failed"), ("ambiguous", "expired"), ("ambiguous", "not_sent"),
    ("ambiguous", "refused"),
}  # fmt: skip


def brought_to(journal: Journal, state: JobState) -> int:
    if state is JobState.INTENT:
        return journal.reserved()
    if state in (JobState.CREATED, JobState.EXPIRED):
        entry_id = journal.created()
        if state is JobState.EXPIRED:
            assert journal.do(settle, entry_id, state, owner="me", now=NOON)
        return entry_id
    return journal.ended(state)


class TestStates:
    @pytest.mark.parametrize(("before", "after"), PAIRS)
    def test_follow_each_other_as_the_design_says(
        self, journal: Journal, before: JobState, after: JobState
    ) -> None:
        entry_id = brought_to(journal, before)
        won = journal.do(settle, entry_id, after, owner="me", now=NOON)
        assert won is ((before.value, after.value) in ALLOWED)
        assert journal.state(entry_id) is (after if won else before)

    @pytest.mark.parametrize(("before", "after"), PAIRS)
    def test_can_be_set_by_hand_if_a_job_is_left_behind(
        self, journal: Journal, before: JobState, after: JobState
    ) -> None:
        entry_id = brought_to(journal, before)
        won = journal.do(settle, entry_id, after, owner=None, now=NOON)
        is_sending = before is JobState.INTENT
        assert won is ((before.value, after.value) in ALLOWED and not is_sending)
        assert journal.entry(entry_id).is_by_hand is won

    @pytest.mark.parametrize(("before", "after"), [pair for pair in PAIRS if pair[1] in ENDED_AT_PRICE])
    def test_that_keep_the_price_are_the_same_in_one_statement(
        self, journal: Journal, before: JobState, after: JobState
    ) -> None:
        one, other, of_another = (brought_to(journal, before) for _ in range(3))
        end: Any = {"answer": '{"text": "x7kp2"}', "error": "why", "is_given": False, "now": NOON + 1}

        def write(connection: Transaction) -> None:
            settle(connection, one, after, owner="me", **end)
            settle_at_price(connection, other, after, owner="me", **end)
            settle_at_price(connection, of_another, after, owner="another", **end)

        journal.do(write)
        assert attrs.evolve(journal.entry(other), id=one) == journal.entry(one)
        assert journal.state(of_another) is before

    def test_a_late_reply_still_counts(self, journal: Journal) -> None:
        entry_id = journal.ended(JobState.AMBIGUOUS)
        assert journal.do(mark_created, entry_id, 7, owner="me", now=NOON)
        assert (journal.state(entry_id), journal.entry(entry_id).error) == (JobState.CREATED, None)

    def test_a_late_reply_of_another_hub_does_not(self, journal: Journal) -> None:
        entry_id = journal.ended(JobState.AMBIGUOUS)
        assert not journal.do(mark_created, entry_id, 7, owner="another", now=NOON)


class TestTheLedger:
    def charge(self, journal: Journal) -> Decimal:
        return journal.do(spent, "omo", 0)

    @pytest.mark.parametrize(
        ("state", "cost", "charged", "jobs"),
        [
            (JobState.SOLVED, None, "0.1", 1),
            (JobState.SOLVED, "0.03", "0.03", 1),
            (JobState.SOLVED, "0.2", "0.2", 1),
            (JobState.SOLVED, "0", "0", 1),
            (JobState.FAILED, None, "0.1", 1),
            (JobState.FAILED, "0", "0", 1),
            (JobState.AMBIGUOUS, None, "0.1", 1),
            (JobState.NOT_SENT, None, "0", 0),
            (JobState.REFUSED, None, "0", 0),
            (JobState.REFUSED, "0.02", "0.02", 0),
        ],
    )
    def test_counts_the_price_until_more_is_known(
        self, journal: Journal, state: JobState, cost: str | None, charged: str, jobs: int
    ) -> None:
        known = None if cost is None else Decimal(cost)
        entry = journal.entry(journal.ended(state, cost=known))
        assert entry.charge == self.charge(journal) == Decimal(charged)
        assert entry.price == PRICE
        (line,) = journal.do(spend)
        assert (line.amount, line.jobs) == (Decimal(charged), jobs)

    def test_counts_a_later_outcome_at_the_time_of_the_reservation(self, journal: Journal) -> None:
        entry_id = journal.ended(JobState.AMBIGUOUS)
        a_week = 7 * 86_400
        assert journal.do(settle, entry_id, JobState.NOT_SENT, owner=None, now=NOON + a_week)
        assert self.charge(journal) == 0
        (line,) = journal.do(spend)
        assert line == Spend(date(2025, 10, 26), "omo", "image-to-text", "USD", Decimal(0), 0)

    def test_stays_when_jobs_are_forgotten(self, journal: Journal) -> None:
        journal.ended(JobState.SOLVED)
        assert journal.do(prune, NOON + 1) == 1
        assert self.charge(journal) == PRICE

    def test_is_listed_by_day_provider_and_kind(self, journal: Journal) -> None:
        for what, now in (
            (new_job(), NOON),
            (new_job(), NOON + 60),
            (new_job(kind="phone-slide"), NOON),
            (new_job("backup", currency=None), NOON + 3600 * 11.5),
            (new_job("backup", currency="EUR"), NOON),
        ):
            journal.reserved(what, now=now)
        day, text = date(2025, 10, 26), "image-to-text"
        assert journal.do(spend) == [
            Spend(day, "backup", text, None, PRICE, 1),
            Spend(day, "backup", text, "EUR", PRICE, 1),
            Spend(day, "omo", text, "USD", 2 * PRICE, 2),
            Spend(day, "omo", "phone-slide", "USD", PRICE, 1),
        ]
        tomorrow = journal.do(spend, zone=ZoneInfo("Europe/Berlin"), since=NOON + 3600)
        assert tomorrow == [Spend(date(2025, 10, 27), "backup", text, None, PRICE, 1)]

    def test_is_summed_from_a_time_on(self, journal: Journal) -> None:
        for now in (NOON - 86_400, NOON - 900, NOON, NOON + 86_400, NOON + 10 * 86_400):
            journal.reserved(now=now)
        journal.reserved(new_job("backup"), now=NOON)
        assert journal.do(spent, "omo", NOON) == 3 * PRICE
        assert journal.do(spent, "omo", NOON - 1) == 4 * PRICE
        assert journal.do(spent, None, NOON) == 4 * PRICE
        assert journal.do(spent, "nobody", 0) == 0

    def test_a_job_without_a_known_price_costs_what_the_reply_says(self, journal: Journal) -> None:
        entry_id = journal.created(new_job(price=None))
        assert journal.entry(entry_id).price is None
        assert self.charge(journal) == 0
        journal.do(settle, entry_id, JobState.SOLVED, owner="me", now=NOON, cost=Decimal("0.2"))
        assert self.charge(journal) == Decimal("0.2")

    def test_a_job_without_a_known_price_counts_no_more_if_it_was_not_sent(self, journal: Journal) -> None:
        journal.ended(JobState.NOT_SENT, new_job(price=None))
        (line,) = journal.do(spend)
        assert line.jobs == 0

    def test_takes_any_cost_that_a_service_can_send(self, journal: Journal) -> None:
        for _ in range(20):
            journal.ended(JobState.SOLVED, cost=Decimal("1E+5000"))
        assert self.charge(journal) > 10**9


class TestBudgets:
    def test_a_job_that_fits_is_reserved(self, journal: Journal) -> None:
        for _ in range(10):
            journal.do(reserve, new_job(), [limit("1")], owner="me", now=NOON)
        with pytest.raises(BudgetExceeded, match="the budget of omo, 1 per day, has no room"):
            journal.do(reserve, new_job(), [limit("1")], owner="me", now=NOON)
        assert len(journal.do(newest_jobs)) == 10

    def test_begin_anew_with_each_period(self, journal: Journal) -> None:
        for now in (NOON, NOON + 12 * 3600):
            journal.do(reserve, new_job(), [limit("0.1")], owner="me", now=now)
        hourly = [limit("0.1", Period.HOUR)]
        journal.do(reserve, new_job(), hourly, owner="me", now=NOON + 13 * 3600)

    def test_of_the_total_never_begin_anew(self, journal: Journal) -> None:
        journal.reserved(now=NOON - 1e8)
        with pytest.raises(BudgetExceeded):
            journal.do(reserve, new_job(), [limit("0.1", Period.TOTAL)], owner="me", now=NOON)

    def test_the_hub_counts_all_providers_and_a_provider_its_own(self, journal: Journal) -> None:
        journal.reserved(new_job("backup"))
        both = [limit("0.1"), limit("0.2", provider=None), limit("0", provider="backup")]
        journal.do(reserve, new_job(), both, owner="me", now=NOON)
        with pytest.raises(BudgetExceeded, match="the budget of the hub"):
            journal.do(reserve, new_job("third"), both, owner="me", now=NOON)

    def test_what_was_released_can_be_spent_again(self, journal: Journal) -> None:
        for _ in range(3):
            entry_id = journal.do(reserve, new_job(), [limit("0.1")], owner="me", now=NOON)
            journal.do(settle, entry_id, JobState.NOT_SENT, owner="me", now=NOON)

    def test_without_a_price_none_can_be_kept(self, journal: Journal) -> None:
        with pytest.raises(PriceUnknown, match="the price of image-to-text at omo is unknown"):
            journal.do(reserve, new_job(price=None), [limit("1", provider=None)], owner="me", now=NOON)
        journal.do(reserve, new_job(price=None), [limit("1", provider="backup")], owner="me", now=NOON)

    def test_what_is_free_always_fits(self, journal: Journal) -> None:
        journal.ended(JobState.SOLVED, cost=Decimal(3))
        journal.do(reserve, new_job(price=Decimal(0)), [limit("1")], owner="me", now=NOON)

    def test_one_that_is_refused_spoils_no_other_of_its_group(self, journal: Journal) -> None:
        def work(connection: Transaction) -> int:
            return reserve(connection, new_job(), [limit("0.2")], owner="me", now=NOON)

        assert [type(done) for done in journal.store.transact([work] * 4)] == [int, int] + [
            BudgetExceeded
        ] * 2

    def test_a_clock_that_is_set_back_frees_nothing(self, journal: Journal) -> None:
        journal.reserved(now=NOON + 40 * 86_400)
        with pytest.raises(BudgetExceeded):
            journal.do(reserve, new_job(), [limit("0.1")], owner="me", now=NOON)


class TestOwners:
    def test_the_intent_of_a_dead_hub_is_ambiguous(self, journal: Journal) -> None:
        journal.do(heartbeat, "dead", NOON + 30)
        lost, mine = journal.reserved(owner="dead"), journal.reserved()
        journal.do(expire_dead_owners, NO_LOCK, NOON + 29)
        assert journal.state(lost) is JobState.INTENT
        journal.do(expire_dead_owners, NO_LOCK, NOON + 30)
        expired = journal.entry(lost)
        assert (expired.state, expired.charge) == (JobState.AMBIGUOUS, PRICE)
        assert expired.error == "the process that sent it, or was about to send it, ended before the reply"
        assert expired.updated_at == NOON + 30
        assert journal.state(mine) is JobState.INTENT
        journal.do(expire_dead_owners, NO_LOCK, NOON + 31)
        assert journal.entry(lost) == expired

    def test_the_intent_of_a_hub_that_signed_off_is_ambiguous(self, journal: Journal) -> None:
        lost = journal.reserved()
        journal.do(sign_off, "me")
        journal.do(expire_dead_owners, NO_LOCK, NOON)
        assert journal.state(lost) is JobState.AMBIGUOUS

    def test_a_heartbeat_keeps_a_hub_alive(self, journal: Journal) -> None:
        for beats in range(5):
            journal.do(heartbeat, "another", NOON + 30 * (beats + 1))
            journal.created(owner="another", now=NOON + 30 * beats)
            assert journal.do(claim, "me", NOON + 30 * beats + 29, 10) == []
        assert len(journal.do(claim, "me", NOON + 150, 10)) == 5

    def test_the_jobs_of_a_dead_hub_are_claimed_the_oldest_first(self, journal: Journal) -> None:
        jobs = [journal.created(owner="dead") for _ in range(3)]
        journal.reserved(owner="dead")
        assert [job.id for job in journal.do(claim, "me", NOON, 2)] == jobs[:2]
        (last,) = journal.do(claim, "me", NOON, 2)
        assert (last.id, last.owner, last.job_id) == (jobs[2], "me", 7)
        assert journal.do(claim, "me", NOON, 2) == []

    def test_what_was_claimed_is_not_the_former_owners_any_more(self, journal: Journal) -> None:
        job = journal.created(owner="asleep")
        journal.do(claim, "me", NOON, 10)
        assert not journal.do(settle, job, JobState.SOLVED, owner="asleep", now=NOON)
        assert journal.do(settle, job, JobState.SOLVED, owner="me", now=NOON)

    def test_no_hub_claims_its_own_jobs(self, journal: Journal) -> None:
        journal.created()
        journal.do(sign_off, "me")
        assert journal.do(claim, "me", NOON, 10) == []


class TestEqualTasks:
    def equal(self, journal: Journal, now: float = NOON, since: float | None = None) -> int | None:
        found = journal.do(find_equal, "f", now=now, fresh_since=since)
        return None if found is None else found.id

    @pytest.mark.parametrize("state", [JobState.INTENT, JobState.CREATED])
    def test_share_a_job_in_flight(self, journal: Journal, state: JobState) -> None:
        assert self.equal(journal) is None
        assert self.equal(journal) is None
        job = brought_to(journal, state)
        assert self.equal(journal) == job

    @pytest.mark.parametrize("state", sorted(ENDED | {JobState.AMBIGUOUS}, key=str))
    def test_share_no_job_that_has_ended(self, journal: Journal, state: JobState) -> None:
        brought_to(journal, state)
        assert self.equal(journal) is None

    def test_share_no_job_of_a_dead_hub(self, journal: Journal) -> None:
        journal.created()
        assert self.equal(journal, now=LONG) is None

    def test_share_no_job_that_is_not_shared(self, journal: Journal) -> None:
        journal.created(new_job(is_shared=False))
        journal.created(new_job(fingerprint="another"))
        assert self.equal(journal, since=0) is None

    def test_prefer_a_recent_answer(self, journal: Journal) -> None:
        solved = journal.ended(JobState.SOLVED)
        flying = journal.created()
        assert self.equal(journal, since=NOON) == solved
        assert self.equal(journal, since=NOON + 1) == flying
        assert self.equal(journal) == flying

    def test_share_no_answer_that_was_found_to_be_wrong(self, journal: Journal) -> None:
        solved = journal.ended(JobState.SOLVED)
        assert journal.do(stop_sharing, solved)
        assert self.equal(journal, since=0) is None

    def test_share_no_job_that_a_person_settled(self, journal: Journal) -> None:
        job = journal.created()
        journal.do(settle, job, JobState.SOLVED, owner=None, now=NOON)
        assert self.equal(journal, since=0) is None


class TestPruning:
    def test_forgets_what_ended_long_ago(self, journal: Journal) -> None:
        jobs = {state: brought_to(journal, state) for state in JobState}
        assert journal.do(prune, NOON) == 0
        assert journal.do(prune, NOON + 1) == len(ENDED)
        open_still = {job.state for job in journal.do(newest_jobs)}
        assert open_still == {JobState.INTENT, JobState.CREATED, JobState.AMBIGUOUS}
        # An ambiguous one goes once somebody has looked for it.
        journal.do(settle, jobs[JobState.AMBIGUOUS], JobState.NOT_SENT, owner=None, now=NOON)
        assert journal.do(prune, NOON + 1) == 1

    def test_takes_a_few_at_once_the_oldest_first(self, journal: Journal) -> None:
        jobs = [journal.ended(JobState.FAILED, now=NOON + number) for number in range(5)]
        assert journal.do(prune, LONG, limit=3) == 3
        assert [job.id for job in journal.do(newest_jobs)] == jobs[:2:-1]


ASKED_OFTEN: list[tuple[Callable[[sqlite3.Connection], object], str]] = [
    (lambda connection: find_equal(connection, "f", now=NOON), "jobs_shared (fingerprint=?)"),
    (lambda connection: expire_dead_owners(connection, NO_LOCK, NOON), "jobs_open (state=?)"),
    (lambda connection: claim(connection, "me", NOON, 10), "jobs_open (state=?)"),
    (lambda connection: prune(connection, NOON), "jobs_ended (updated_at<?)"),
    (lambda connection: spent(connection, None, NOON), "PRIMARY KEY (span=? AND slot>?"),
]


class TestSpeed:
    """Nothing reads more and more as the journal grows."""

    @pytest.mark.parametrize(("work", "index"), ASKED_OFTEN)
    def test_what_is_asked_often_has_an_index_in_a_file(
        self, tmp_path: Path, work: Callable[[sqlite3.Connection], object], index: str
    ) -> None:
        asked = list[str]()

        def traced(connection: sqlite3.Connection) -> list[str]:
            connection.set_trace_callback(asked.append)
            work(connection)
            connection.set_trace_callback(None)
            explained = [connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall() for sql in asked]
            return [row[3] for rows in explained for row in rows]

        with closing(SqliteDatabase(tmp_path / "jobs.db")) as store:
            (plan,) = store.transact([traced])
        assert isinstance(plan, list)
        assert any(index in step for step in plan)
        assert not [step for step in plan if step.startswith(("SCAN jobs", "SCAN ledger"))]


def take_what_fits(place: Place, parent: Connection, start: threading.Barrier, owner: str) -> None:
    with closing(place.opened()) as store:
        journal = Journal(store)
        journal.do(heartbeat, owner, LONG)
        start.wait()
        for _ in range(50):
            try:
                parent.send(journal.do(reserve, new_job(), [limit("5")], owner=owner, now=NOON))
            except BudgetExceeded:
                parent.send(None)


def claim_all(place: Place, parent: Connection, start: threading.Barrier, owner: str) -> None:
    with closing(place.opened()) as store:
        journal = Journal(store)
        journal.do(heartbeat, owner, LONG)
        start.wait()
        while claimed := journal.do(claim, owner, NOON, 7):
            for job in claimed:
                parent.send(job.id)


def sent_by(
    many: int, work: Callable[[Place, Connection, threading.Barrier, str], None], place: Place
) -> list[int | None]:
    """Return what several processes send that begin at the same time."""
    start = processes.Barrier(many)
    pipes = [processes.Pipe(duplex=False) for _ in range(many)]
    children = [
        processes.Process(target=work, args=(place, sender, start, f"owner {number}"))
        for number, (_, sender) in enumerate(pipes)
    ]
    for child in children:
        child.start()
    every = list[int | None]()
    for receiver, sender in pipes:
        sender.close()
        with receiver:
            every += received(receiver)
    for child in children:
        child.join()
        assert child.exitcode == 0
    return every


def received(receiver: Connection) -> Iterator[int | None]:
    while True:
        try:
            yield receiver.recv()
        except EOFError:
            return


class TestSeveralProcesses:
    @pytest.fixture(params=STORES)
    def place(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
        with place_of(request.param, tmp_path) as place:
            yield place

    def test_400_reservations_against_a_budget_for_50_are_50_jobs(self, place: Place) -> None:
        done = sent_by(8, take_what_fits, place)
        assert len(done) == 400
        assert len({entry_id for entry_id in done if entry_id is not None}) == 50
        with closing(place.opened()) as store:
            journal = Journal(store)
            assert journal.do(spent, "omo", 0) == 5
            assert len(journal.do(newest_jobs, JobFilter(limit=400))) == 50

    def test_no_two_claim_the_same_job(self, place: Place) -> None:
        with closing(place.opened()) as store:
            jobs = [Journal(store).created(owner="dead") for _ in range(100)]
        claimed = sent_by(4, claim_all, place)
        assert Counter(claimed) == Counter(jobs)


@attrs.define
class Row:
    """What the model knows of a job."""

    provider: str
    ordered_at: int
    updated_at: int
    price: Decimal
    owner: str | None
    is_shared: bool
    state: JobState = JobState.INTENT
    charge: Decimal = Decimal(0)
    job_id: int | None = None
    is_answered: bool = False
    is_pruned: bool = False

    @property
    def may_be_there(self) -> bool:
        return self.state not in (JobState.NOT_SENT, JobState.REFUSED)


OWNERS = ("one", "two", "three")
owners = st.sampled_from(OWNERS)
# Who settles a job: mostly its owner, sometimes a person or another hub.
settlers = st.sampled_from(["its owner", "its owner", "its owner", "a person", *OWNERS])
costs = st.none() | st.sampled_from(["0", "0.05", "0.1", "0.25"]).map(Decimal)


class AgainstAModel(RuleBasedStateMachine):
    """Any calls in any order, with clocks that jump, do the same to the journal as to a plain dictionary."""

    jobs: Bundle[int] = Bundle("jobs")

    store_kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        use_store(self.store_kind)
        self.store = new_store()
        self.journal = Journal(self.store)
        self.rows = dict[int, Row]()
        self.alive = dict[str, int]()
        self.now = int(NOON)

    def teardown(self) -> None:
        self.store.close()
        use_store("sqlite")

    def there(self, job: int) -> Row | None:
        row = self.rows[job]
        return None if row.is_pruned else row

    def called(self, settler: str, job: int) -> str | None:
        return {"its owner": self.rows[job].owner, "a person": None}.get(settler, settler)

    def is_alive(self, owner: str | None) -> bool:
        return owner is not None and self.alive.get(owner, 0) > self.now

    def open_rows(self, state: JobState) -> list[tuple[int, Row]]:
        return [(job, row) for job, row in self.rows.items() if row.state is state]

    @rule(seconds=st.integers(-4000, 8000))
    def passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(owner=owners, seconds=st.integers(1, 10_000))
    def beats(self, owner: str, seconds: int) -> None:
        self.journal.do(heartbeat, owner, self.now + seconds)
        self.alive[owner] = self.now + seconds

    @rule(owner=owners)
    def leaves(self, owner: str) -> None:
        self.journal.do(sign_off, owner)
        self.alive.pop(owner, None)

    @rule(
        target=jobs,
        owner=owners,
        provider=st.sampled_from(["omo", "backup"]),
        price=st.sampled_from(["0", "0.1", "0.2"]).map(Decimal),
        limited=st.none() | st.sampled_from(["omo", "the hub"]),
        is_shared=st.booleans(),
    )
    def orders(self, owner: str, provider: str, price: Decimal, limited: str | None, is_shared: bool) -> Any:
        whose = None if limited == "the hub" else limited
        limits = [] if limited is None else [limit("0.5", Period.HOUR, provider=whose)]
        hour = self.now // 3600 * 3600
        counted = [
            row for row in self.rows.values() if whose in (None, row.provider) and row.ordered_at >= hour
        ]
        fits = sum(row.charge for row in counted) + price <= Decimal("0.5")
        concerns = limited is not None and whose in (None, provider) and price > 0
        what = new_job(provider, price=price, is_shared=is_shared)
        try:
            job = self.journal.do(reserve, what, limits, owner=owner, now=self.now)
        except BudgetExceeded:
            assert concerns
            assert not fits
            return multiple(*list[int]())
        assert fits or not concerns
        assert job not in self.rows
        self.rows[job] = Row(provider, self.now, self.now, price, owner, is_shared, charge=price)
        return job

    @rule(job=jobs, other=st.none() | owners)
    def notes(self, job: int, other: str | None) -> None:
        row, owner = self.there(job), other or self.rows[job].owner
        assert owner is not None
        is_open = row is not None and row.state in (JobState.AMBIGUOUS, JobState.INTENT)
        wins = is_open and row is not None and row.owner == owner
        assert self.journal.do(mark_created, job, job, owner=owner, now=self.now) is wins
        if wins and row is not None:
            row.state, row.job_id, row.updated_at = JobState.CREATED, job, self.now

    @rule(job=jobs, settler=settlers, state=st.sampled_from(JobState), cost=costs, is_answered=st.booleans())
    def settles(
        self, job: int, settler: str, state: JobState, cost: Decimal | None, is_answered: bool
    ) -> None:
        row, owner = self.there(job), self.called(settler, job)
        wins = row is not None and (row.state.value, state.value) in ALLOWED
        if row is not None:
            wins = wins and (row.state is not JobState.INTENT if owner is None else row.owner == owner)
        answer = '{"text": "x"}' if is_answered else None
        done = self.journal.do(settle, job, state, owner=owner, now=self.now, cost=cost, answer=answer)
        assert done is wins
        if wins and row is not None:
            row.state, row.updated_at, row.is_answered = state, self.now, is_answered
            released = row.charge if row.may_be_there else Decimal(0)
            row.charge = released if cost is None else cost

    @rule()
    def buries(self) -> None:
        lost = [job for job, row in self.open_rows(JobState.INTENT) if not self.is_alive(row.owner)]
        self.journal.do(expire_dead_owners, NO_LOCK, self.now)
        for job in lost:
            self.rows[job].state, self.rows[job].updated_at = JobState.AMBIGUOUS, self.now
        # A lease that was found to be over is over, also where the clock is set back.
        self.alive = {owner: until for owner, until in self.alive.items() if until > self.now}

    @rule(owner=owners, most=st.integers(1, 3))
    def claims(self, owner: str, most: int) -> None:
        orphans = [
            job
            for job, row in self.open_rows(JobState.CREATED)
            if row.owner != owner and not self.is_alive(row.owner)
        ]
        assert [job.id for job in self.journal.do(claim, owner, self.now, most)] == orphans[:most]
        for job in orphans[:most]:
            self.rows[job].owner = owner

    @rule(age=st.none() | st.integers(0, 8000))
    def looks_for_an_equal_one(self, age: int | None) -> None:
        since = None if age is None else self.now - age
        shared = [(job, row) for job, row in self.rows.items() if row.is_shared and not row.is_pruned]
        solved = [
            job
            for job, row in shared
            if row.state is JobState.SOLVED
            and row.is_answered
            and since is not None
            and row.updated_at >= since
        ]
        flying = [
            job
            for job, row in shared
            if row.state in (JobState.INTENT, JobState.CREATED) and self.is_alive(row.owner)
        ]
        found = self.journal.do(find_equal, "f", now=self.now, fresh_since=since)
        assert (None if found is None else found.id) == max(solved or flying, default=None)

    @rule(job=jobs)
    def stops_sharing(self, job: int) -> None:
        row = self.there(job)
        assert self.journal.do(stop_sharing, job) is (row is not None and row.is_shared)
        self.rows[job].is_shared = False

    @rule(age=st.integers(0, 8000))
    def prunes(self, age: int) -> None:
        old = [
            row
            for row in self.rows.values()
            if row.state in ENDED and not row.is_pruned and row.updated_at < self.now - age
        ]
        assert self.journal.do(prune, self.now - age) == len(old)
        for row in old:
            row.is_pruned = True

    @invariant()
    def the_jobs_are_the_same(self) -> None:
        there = {job.id: job for job in self.journal.do(newest_jobs, JobFilter(limit=1000))}
        assert there.keys() == {job for job, row in self.rows.items() if not row.is_pruned}
        for job, entry in there.items():
            for field in (
                "state",
                "owner",
                "charge",
                "price",
                "job_id",
                "ordered_at",
                "updated_at",
                "is_shared",
            ):
                assert getattr(entry, field) == getattr(self.rows[job], field), field

    @invariant()
    def the_ledger_is_the_sum_of_all_charges(self) -> None:
        expected = dict[tuple[int, int, str], tuple[int, int]]()
        for row in self.rows.values():
            for span in (900, 86_400):
                key = span, row.ordered_at // span * span, row.provider
                charge, jobs = expected.get(key, (0, 0))
                expected[key] = charge + to_units(row.charge), jobs + row.may_be_there
        lines = self.journal.rows("SELECT span, slot, provider, charge, jobs FROM ledger")
        assert {(span, slot, provider): tuple(rest) for span, slot, provider, *rest in lines} == expected
        assert all(line[3] >= 0 and line[4] >= 0 for line in lines)


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(stateful_step_count=40)


class AgainstAModelInPostgres(AgainstAModel):
    store_kind = "postgres"


if "postgres" in STORES:
    TestAgainstAModelInPostgres = AgainstAModelInPostgres.TestCase
    # Each step is some round trips, and what is new to this store are its statements.
    TestAgainstAModelInPostgres.settings = settings(stateful_step_count=30, max_examples=5)
