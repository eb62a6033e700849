"""The services, with their queues and bad days, and the network before them.

They keep books of their own. What they know is the truth; the journal is compared with it.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from urllib.parse import urlsplit

import attrs

from captchahub.errors import ProviderError
from captchahub.provider import Reply, Request
from captchahub.tasks import Solution
from captchahub.testing import World, emulation
from captchahub.testing.emulation import Call, JobRecord
from tests.simulation.accounts import Account
from tests.simulation.call_outcomes import BUSY, DENIED, FINE, OUTAGES, REFUSED, CallOutcome, any_call_outcome
from tests.simulation.journal_file import JournalFile
from tests.simulation.loop import NO_OWNER
from tests.simulation.pictures import misread, seen_in
from tests.simulation.service_types import ServiceType, number_of
from tests.simulation.world import SimulatedWorld

__all__ = ["Coming", "Service"]

# How far the numbers of jobs elsewhere are from those of the first service.
_APART = 500_000


@attrs.frozen
class Coming:
    """What comes back for a call, by which fate, and whether it is the answer of a job."""

    reply: Reply | ProviderError
    call_outcome: str
    has_answer: bool


class _Books(World):
    """One service's books. It drops a job ``kept`` seconds after its end, and then knows nothing of it."""

    def __init__(self, service: Service, kept: float, failing: float, seconds: Callable[[], float]) -> None:
        world = service.world
        super().__init__(
            now=world.loop.time,
            read_picture=service.read,
            job_seconds=seconds,
            failure_rate=failing,
            seed=world.chance(f"{service.name} failures").randrange(1 << 30),
        )
        self._service = service
        self._kept = kept

    def create_job(
        self, account: emulation.Account, kind: str, picture: bytes, price: Decimal
    ) -> JobRecord | None:
        service = self._service
        taken = super().create_job(account, kind, picture, service.charge_of(price))
        if taken is None:
            service.refused.add(service.served)
            return None
        if service.is_elsewhere:
            # Numbers of its own, so that it can be seen whose job somebody means.
            self.jobs[taken.id + _APART] = self.jobs.pop(taken.id)
            taken.id += _APART
        service.taken_from[taken.id] = service.served
        service.check_taken(taken)
        return taken

    def find_job(self, account: emulation.Account, job_id: int) -> JobRecord | None:
        found = super().find_job(account, job_id)
        if found is None or not self.has_dropped(found):
            return found
        self._service.told_gone.add(found.id)
        return None

    def has_dropped(self, job: JobRecord) -> bool:
        return self.now() > job.ready_at + self._kept


class Service:
    """One service, and the network before it.

    ``trouble`` is the share of calls that something becomes of; ``outages`` are its worst times, each with
    begin, end and what becomes of every call then.
    """

    def __init__(
        self,
        name: str,
        service_type: ServiceType,
        world: SimulatedWorld,
        journal_file: JournalFile,
        accounts: Sequence[Account] = (),
    ) -> None:
        self.name = name
        self.service_type = service_type
        self.world = world
        self.family = [self]
        """All services of the same name, one at each address."""
        self.told_gone: set[int] = set()
        """The jobs of which it has said that it does not know them."""
        self.refused: set[str] = set()
        """The processes that were told, in its own words, that it does not serve their account."""
        self.taken_from: dict[int, str] = {}
        """Which process has ordered a job."""
        self.troubled: set[int] = set()
        """The jobs of which a question, or its reply, did not come through as it should."""
        self.attached: set[int] = set()
        """The jobs that somebody attached to."""
        self.served = ""
        """The process whose call it answers."""
        self.pollers: dict[int, list[str]] = defaultdict(list)
        """Which processes have asked for a job, one after the other."""
        self._journal_file = journal_file
        self.is_elsewhere = accounts[0].is_elsewhere
        self._chance = chance = world.chance(f"service {self}")
        self._trouble = chance.choice((0.0, 0.02, 0.05, 0.1, 0.3))
        self._outages = sorted(_outages(chance))
        self._wrong = chance.choice((0.0, 0.0, 0.1))
        # Who says what a job has cost may charge another price than was agreed, a higher one too.
        factors = ("1", "0.5", "2") if service_type.tells_cost and chance.random() < 0.5 else ("1",)
        self._factors = [Decimal(factor) for factor in factors]
        self._work = chance.choice(((1.0, 6.0), (1.0, 6.0), (5.0, 20.0), (10.0, 60.0)))
        workers = chance.choice((1, 4, 100, 100))
        self._free_at = [0.0] * workers
        self._last: dict[bytes, Reply] = {}
        failing = chance.choice((0.0, 0.0, 0.05, 0.3))
        self.books = _Books(self, chance.choice((90.0, 900.0, 1e9)), failing, self._job_seconds)
        for account in accounts:
            self.books.add_account(account.token, chance.choice(("1000", "1000", "1000", "0.002")))
        self._emulation = service_type.begin(chance)

    def __str__(self) -> str:
        return f"{self.name} elsewhere" if self.is_elsewhere else self.name

    def account_of(self, number: int) -> Account:
        """The account that has paid for a job."""
        return Account(self.name, self.is_elsewhere, self.jobs[number].account.token)

    def read(self, kind: str, picture: bytes) -> Solution:
        """What its people see in a picture: mostly what is there."""
        seen = seen_in(kind, picture)
        return misread(seen, self._chance) if self._chance.random() < self._wrong else seen

    def _job_seconds(self) -> float:
        """Until when a new job waits for somebody, and is worked on."""
        now = self.world.loop.time()
        begin = max(now, heapq.heappop(self._free_at))
        work = self._chance.uniform(*self._work) * (10 if self._chance.random() < 0.05 else 1)
        heapq.heappush(self._free_at, begin + work)
        return begin + work - now

    @property
    def jobs(self) -> Mapping[int, JobRecord]:
        """All that it ever took."""
        return self.books.jobs

    def charge_of(self, price: Decimal) -> Decimal:
        """What the next job costs, where this price was agreed."""
        return price * self._chance.choice(self._factors)

    def agreed(self, job: JobRecord) -> Decimal:
        """What a client can know that a job costs, before it has an answer."""
        return min(job.price, self.service_type.prices[job.kind])

    @property
    def owed(self) -> Decimal:
        """What it has charged, as far as its clients could know that beforehand."""
        return sum((self.agreed(job) for job in self.jobs.values()), Decimal(0))

    def has_dropped(self, job: JobRecord) -> bool:
        """Whether nobody gets the answer of a job any more."""
        return self.books.has_dropped(job)

    def check_taken(self, job: JobRecord) -> None:
        """Compare the books in the moment in which it takes a job."""
        self.world.count(f"{job.kind} at {self.service_type.name}")
        if job.price != self.service_type.prices[job.kind]:
            self.world.count("job at another price than was agreed")
        ledger, owed = (
            self._journal_file.charged(self.name),
            sum((one.owed for one in self.family), Decimal(0)),
        )
        if ledger < owed:
            self.world.report_violation(f"{self.name} has charged {owed}, and the ledger says {ledger}")
        same = sum(other.picture == job.picture for other in self.jobs.values())
        if same > self.world.solves[job.picture]:
            self.world.report_violation(
                f"{self.name} took one submission for the second time, as job {job.id}"
            )

    def call_of(self, request: Request) -> Call:
        """A request as it leaves for the service."""
        path, now = urlsplit(request.url).path, self.world.loop.time()
        return Call(request.method, path, request.headers, request.body, now)

    def is_order(self, call: Call) -> bool:
        """Whether it is to create a job."""
        return self._emulation.name_of(call) == self._emulation.create_call

    def asked_for(self, call: Call) -> int | None:
        """The number of the job that it asks for, None where it is another kind of call."""
        if self._emulation.name_of(call) != self._emulation.poll_call:
            return None
        return number_of(str(call.json()[self.service_type.id_field]))

    def receive(self, call: Call, client: str, done: Callable[[], None]) -> asyncio.Future[Coming]:
        """The reply to come, or never; ``done`` is called where the service has done what it was asked."""
        loop, world = self.world.loop, self.world
        name, job_id = self._emulation.name_of(call), self.asked_for(call)
        call_outcome = self._fate(name, call)
        if job_id is not None:
            # By when it was sent: one that is late does not come from a process that still works on it.
            self._note_poller(job_id, client, call, call_outcome)
        coming: asyncio.Future[Coming] = loop.create_future()
        world.note(f"{client} {self.name} {name} {call_outcome.name}")

        def deliver(reply: Reply | ProviderError) -> None:
            if not coming.done():
                job = None if call_outcome.instead is not None or job_id is None else self.jobs.get(job_id)
                coming.set_result(
                    Coming(reply, call_outcome.name, has_answer=job is not None and job.delivered > 0)
                )
                self._note_told(client, call_outcome)

        def arrive() -> None:
            reply = call_outcome.instead
            if call_outcome.is_handled:
                answered = self._answer(call, client)
                reply = answered if reply is None else reply
                done()
            if reply is not None and call_outcome.back is not None:
                loop.call_later(call_outcome.back, deliver, reply, context=NO_OWNER)

        for there in call_outcome.there:
            loop.call_later(there, arrive, context=NO_OWNER)
        return coming

    def _note_told(self, client: str, call_outcome: CallOutcome) -> None:
        if call_outcome.name == DENIED:
            self.refused.add(client)

    def _note_poller(self, job_id: int, client: str, call: Call, call_outcome: CallOutcome) -> None:
        if call_outcome.name != FINE:
            self.troubled.add(job_id)
        taken_by = next((one for one in self.family if job_id in one.jobs), None)
        asking = Account(self.name, self.is_elsewhere, self._emulation.token_of(call) or "")
        if taken_by is not None and taken_by.account_of(job_id) != asking:
            self.world.report_violation(
                f"{client} asked {self} for job {job_id}, which is of another account"
            )
        if self.pollers[job_id][-1:] != [client]:
            self.pollers[job_id].append(client)

    def _answer(self, call: Call, client: str) -> Reply:
        self.served = client
        answer = self._emulation.answer(call, self.books)
        self._last[call.body] = reply = Reply(answer.status, answer.body, answer.headers)
        return reply

    def _fate(self, name: str, call: Call) -> CallOutcome:
        now, chance = call.received, self._chance
        call_outcome = CallOutcome(FINE, (chance.uniform(0.01, 0.3),), chance.uniform(0.01, 0.3))
        if self.world.is_calm:
            return call_outcome
        bad = next((kind for begin, end, kind in self._outages if begin <= now < end), None)
        if bad is not None:
            call_outcome = OUTAGES[bad](chance)
        elif chance.random() < self._trouble:
            is_poll = name == self._emulation.poll_call
            call_outcome = any_call_outcome(
                chance, last=self._last.get(call.body) if is_poll else None, is_poll=is_poll
            )
        else:
            return call_outcome
        self.world.inject(call_outcome.name)
        return call_outcome


def _outages(chance: random.Random) -> Iterable[tuple[float, float, str]]:
    for _ in range(chance.choice((0, 0, 1, 2))):
        begin = chance.uniform(0, 200)
        yield begin, begin + chance.uniform(3, 90), chance.choice(sorted(OUTAGES))
    if chance.random() < 0.35:
        # A network that blinks, or a rush.
        kind = chance.choice((REFUSED, BUSY))
        for _ in range(6):
            begin = chance.uniform(0, 200)
            yield begin, begin + chance.uniform(2, 30), kind
