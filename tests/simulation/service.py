"""The services with their queues and outages, and the network before them.

They keep records of their own, with which the journal is compared.
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
from tests.simulation.journal import SimulatedJournal
from tests.simulation.loop import NO_OWNER
from tests.simulation.pictures import misread, seen_in
from tests.simulation.service_types import ServiceType, number_of
from tests.simulation.world import SimulatedWorld

__all__ = ["Coming", "Service"]

# The difference between the numbers of jobs elsewhere and at the first service.
_APART = 500_000


@attrs.frozen
class Coming:
    """The reply to a call, the name of its outcome, and whether it has the answer of a job."""

    reply: Reply | ProviderError
    call_outcome: str
    has_answer: bool


class _Records(World):
    """The records of one service. It drops a job ``kept`` seconds after its end."""

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
            # Numbers of its own, so that a job cannot be confused with one of the first service.
            self.jobs[taken.id + _APART] = self.jobs.pop(taken.id)
            taken.id += _APART
        service.taken_from[taken.id] = service.served
        service.check_taken(taken)
        return taken

    def find_job(self, account: emulation.Account, job_id: int) -> JobRecord | None:
        found = super().find_job(account, job_id)
        if found is None or not self.has_dropped(found):
            return found
        self._service.reported_unknown.add(found.id)
        return None

    def has_dropped(self, job: JobRecord) -> bool:
        return self.now() > job.ready_at + self._kept


class Service:
    """One service, and the network before it.

    A share of its calls fails, and in its outages every call does.
    """

    def __init__(
        self,
        name: str,
        service_type: ServiceType,
        world: SimulatedWorld,
        journal: SimulatedJournal,
        accounts: Sequence[Account] = (),
    ) -> None:
        self.name = name
        self.service_type = service_type
        self.world = world
        self.family = [self]
        """All services of the same name, one at each address."""
        self.reported_unknown: set[int] = set()
        """The jobs that it has reported as unknown."""
        self.refused: set[str] = set()
        """The processes whose account it has refused."""
        self.taken_from: dict[int, str] = {}
        """The process that created each job."""
        self.troubled: set[int] = set()
        """The jobs with a poll that failed."""
        self.attached: set[int] = set()
        """The jobs that a hub attached to."""
        self.served = ""
        """The process whose call it handles."""
        self.pollers: dict[int, list[str]] = defaultdict(list)
        """The processes that polled each job, in their order."""
        self._journal_file = journal
        self.is_elsewhere = accounts[0].is_elsewhere
        self._chance = chance = world.chance(f"service {self}")
        self._trouble = chance.choice((0.0, 0.02, 0.05, 0.1, 0.3))
        self._outages = sorted(_outages(chance))
        self._wrong = chance.choice((0.0, 0.0, 0.1))
        # A service that states the cost of a job may charge another price than its list, even a higher one.
        factors = ("1", "0.5", "2") if service_type.tells_cost and chance.random() < 0.5 else ("1",)
        self._factors = [Decimal(factor) for factor in factors]
        self._work = chance.choice(((1.0, 6.0), (1.0, 6.0), (5.0, 20.0), (10.0, 60.0)))
        workers = chance.choice((1, 4, 100, 100))
        self._free_at = [0.0] * workers
        self._last: dict[bytes, Reply] = {}
        failing = chance.choice((0.0, 0.0, 0.05, 0.3))
        self.records = _Records(self, chance.choice((90.0, 900.0, 1e9)), failing, self._job_seconds)
        for account in accounts:
            self.records.add_account(account.token, chance.choice(("1000", "1000", "1000", "0.002")))
        self._emulation = service_type.begin(chance)

    def __str__(self) -> str:
        return f"{self.name} elsewhere" if self.is_elsewhere else self.name

    def account_of(self, number: int) -> Account:
        """Return the account that paid for a job."""
        return Account(self.name, self.is_elsewhere, self.jobs[number].account.token)

    def read(self, kind: str, picture: bytes) -> Solution:
        """Return what its workers answer, which is mostly right."""
        seen = seen_in(kind, picture)
        return misread(seen, self._chance) if self._chance.random() < self._wrong else seen

    def _job_seconds(self) -> float:
        """Return how long a new job waits for a worker and is worked on, in seconds."""
        now = self.world.loop.time()
        begin = max(now, heapq.heappop(self._free_at))
        work = self._chance.uniform(*self._work) * (10 if self._chance.random() < 0.05 else 1)
        heapq.heappush(self._free_at, begin + work)
        return begin + work - now

    @property
    def jobs(self) -> Mapping[int, JobRecord]:
        """All its jobs."""
        return self.records.jobs

    def charge_of(self, price: Decimal) -> Decimal:
        """Return what the next job costs if this is its list price."""
        return price * self._chance.choice(self._factors)

    def agreed(self, job: JobRecord) -> Decimal:
        """Return the cost of a job as far as a client can know it before the answer."""
        return min(job.price, self.service_type.prices[job.kind])

    @property
    def owed(self) -> Decimal:
        """What it has charged, as far as its clients could know it beforehand."""
        return sum((self.agreed(job) for job in self.jobs.values()), Decimal(0))

    def has_dropped(self, job: JobRecord) -> bool:
        """Return whether a job is dropped."""
        return self.records.has_dropped(job)

    def check_taken(self, job: JobRecord) -> None:
        """Compare the records with the journal when a job is created."""
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

    def account_calling(self, call: Call) -> Account:
        """Return the account that a call is made for."""
        return Account(self.name, self.is_elsewhere, self._emulation.token_of(call) or "")

    def asked_for(self, call: Call) -> int | None:
        """The number of the job that it asks for, None where it is another kind of call."""
        if self._emulation.name_of(call) != self._emulation.poll_call:
            return None
        return number_of(str(call.json()[self.service_type.id_field]))

    def receive(self, call: Call, client: str, done: Callable[[], None]) -> asyncio.Future[Coming]:
        """Return the coming reply, which may never come; ``done`` is called once the call is handled."""
        loop, world = self.world.loop, self.world
        name, job_id = self._emulation.name_of(call), self.asked_for(call)
        call_outcome = self._call_outcome(name, call)
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
                self._note_refusal(client, call_outcome)

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

    def _note_refusal(self, client: str, call_outcome: CallOutcome) -> None:
        if call_outcome.name == DENIED:
            self.refused.add(client)

    def _note_poller(self, job_id: int, client: str, call: Call, call_outcome: CallOutcome) -> None:
        if call_outcome.name != FINE:
            self.troubled.add(job_id)
        taken_by = next((one for one in self.family if job_id in one.jobs), None)
        asking = self.account_calling(call)
        if taken_by is not None and taken_by.account_of(job_id) != asking:
            self.world.report_violation(
                f"{client} polled {self} for job {job_id}, which is of another account"
            )
        if self.pollers[job_id][-1:] != [client]:
            self.pollers[job_id].append(client)

    def _answer(self, call: Call, client: str) -> Reply:
        self.served = client
        answer = self._emulation.answer(call, self.records)
        self._last[call.body] = reply = Reply(answer.status, answer.body, answer.headers)
        return reply

    def _call_outcome(self, name: str, call: Call) -> CallOutcome:
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
        # A network with short interruptions, or a rush.
        kind = chance.choice((REFUSED, BUSY))
        for _ in range(6):
            begin = chance.uniform(0, 200)
            yield begin, begin + chance.uniform(2, 30), kind
