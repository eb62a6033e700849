"""What is not the client: services with their queues and bad days, the network, the disk, the clock.

The services keep books of their own. What they know is the truth; the journal is compared with it.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import sqlite3
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlsplit

import attrs
from captchahub_omocaptcha.emulation import OmoEmulation

from captchahub import Image, ImageToText, TextSolution
from captchahub._journal_money import spent
from captchahub._journal_store import Store
from captchahub.errors import JournalError, ProviderError
from captchahub.provider import Reply, Request
from captchahub.tasks import Solution
from captchahub.testing import World
from captchahub.testing.emulation import Account, Call, JobRecord, picture_hash
from tests.simulation.fates import OUTAGES, Fate, any_fate
from tests.simulation.loop import NOBODY

__all__ = ["MORNING", "PRICE", "Book", "Limit", "Service", "Town", "picture_of", "task_of", "text_of"]

T = TypeVar("T")

MORNING = 1_800_000_000.0
"""What the clock on the wall shows when the virtual one begins, in seconds since 1970."""
PRICE = OmoEmulation.prices["image-to-text"]

_PERIODS = {"hour": 3600, "day": 86_400, "total": 1 << 40}


def picture_of(number: int) -> bytes:
    """The picture of that number; to the engine it is any bytes."""
    return b"picture %d" % number


def text_of(picture: bytes) -> str:
    """What is to be read in a picture: each has its own."""
    return picture_hash(picture)[:5]


def task_of(number: int) -> ImageToText:
    """The task for a picture. Some know how long the answer is, and so can tell that one is wrong."""
    image = Image(picture_of(number), "gif", 1, 1)
    return ImageToText(image, length=5 if number % 3 == 0 else None)


@attrs.frozen
class Limit:
    """A budget as the simulation reckons it: whose it is (None for the hub's), how much, and for how long."""

    provider: str | None
    amount: Decimal
    per: str

    @property
    def seconds(self) -> int:
        """How long a period is; here all are in UTC."""
        return _PERIODS[self.per]


class Town:
    """What all services and processes of a run have in common."""

    def __init__(self, seed: int, loop: asyncio.AbstractEventLoop) -> None:
        self.seed = seed
        self.loop = loop
        self.is_calm = False
        """Whether nothing goes wrong any more."""
        self.wall_offset = 0.0
        self.has_reliable_leases = True
        """False once a clock jumped or a process stalled: then two may well work on one job for a while."""
        self.faults: Counter[str] = Counter()
        """What was done to the client, and how often."""
        self.wrong: list[str] = []
        """What must not have happened."""
        self.trace = 0
        """The same for two runs that went the same way."""
        self.solves: Counter[str] = Counter()
        """How often a solve was begun, by the hash of its picture."""
        self.numbers: dict[str, int] = {}
        """The numbers of those pictures."""

    def chance(self, of: str) -> random.Random:
        """Chance of its own for a part of the run, so that one more draw there changes nothing elsewhere."""
        return random.Random(f"{self.seed} {of}")

    def begin_solve(self, number: int) -> None:
        """Note that somebody wants to know what is in a picture."""
        picture = picture_hash(picture_of(number))
        self.solves[picture] += 1
        self.numbers[picture] = number

    def wall(self) -> float:
        """The clock on the wall."""
        return MORNING + self.loop.time() + self.wall_offset

    def jump(self, seconds: float) -> None:
        """Set the clock on the wall."""
        self.inject("clock jump")
        self.wall_offset += seconds
        self.has_reliable_leases = False

    def inject(self, fault: str) -> None:
        """Count something that is done to the client."""
        self.faults[fault] += 1

    def note(self, event: str) -> None:
        """Write something into the trace."""
        self.trace = zlib.crc32(f"{self.loop.time():.6f} {event}".encode(), self.trace)

    def blame(self, problem: str) -> None:
        """Something happened that must not."""
        self.wrong.append(f"at {self.loop.time():.3f} s: {problem}")


class Book:
    """The journal's file, which outlives the processes; and the disk that it is on."""

    def __init__(self, town: Town, limits: Sequence[Limit], *, failing: float, slow: float) -> None:
        self._town = town
        self._store = Store(None)
        # Looks at it are no part of what is tried, and need no transaction of their own.
        self._connection = self._store.transact([lambda connection: connection])[0]
        self._chance = town.chance("disk")
        self._limits = limits
        self._seen = 0
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
        for limit in self._limits:
            self._check(limit)
        self._check_shared()
        return outcomes

    def _check(self, limit: Limit) -> None:
        """See that a budget is kept, now and in every period so far."""
        sql = """
            SELECT max(total) FROM (SELECT sum(charge) AS total FROM jobs
            WHERE ?1 IS NULL OR provider = ?1 GROUP BY cast(ordered_at AS INTEGER) / ?2)
            """
        ((most,),) = self.read(sql, limit.provider, limit.seconds)
        if most is not None and Decimal(most) / 10**9 > limit.amount:
            self._town.blame(f"the budget {limit} is passed by what is reserved: {Decimal(most) / 10**9}")

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
        ((newest,),) = self.read("SELECT max(id) FROM jobs")
        self._seen = newest or 0

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


class _Books(World):
    """One service's books. It drops a job ``kept`` seconds after its end, and then knows nothing of it."""

    def __init__(self, service: Service, kept: float, failing: float, seconds: Callable[[], float]) -> None:
        town = service.town
        super().__init__(
            now=town.loop.time,
            read_picture=service.read,
            job_seconds=seconds,
            failure_rate=failing,
            seed=town.chance(f"{service.name} failures").randrange(1 << 30),
        )
        self._service = service
        self._kept = kept

    def create_job(self, account: Account, kind: str, picture: bytes, price: Decimal) -> JobRecord | None:
        taken = super().create_job(account, kind, picture, price)
        if taken is not None:
            self._service.check_taken(taken)
        return taken

    def find_job(self, account: Account, job_id: int) -> JobRecord | None:
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

    def __init__(self, name: str, town: Town, book: Book) -> None:
        self.name = name
        self.town = town
        self.token = f"token-{name}"
        self.told_gone: set[int] = set()
        """The jobs of which it has said that it does not know them."""
        self.pollers: dict[int, list[str]] = defaultdict(list)
        """Which processes have asked for a job, one after the other."""
        self._book = book
        self._chance = chance = town.chance(f"service {name}")
        self._trouble = chance.choice((0.0, 0.02, 0.05, 0.1, 0.3))
        self._outages = sorted(_outages(chance))
        self._wrong = chance.choice((0.0, 0.0, 0.1))
        self._work = chance.choice(((1.0, 6.0), (1.0, 6.0), (5.0, 20.0), (10.0, 60.0)))
        workers = chance.choice((1, 4, 100, 100))
        self._free_at = [0.0] * workers
        self._last: dict[bytes, Reply] = {}
        failing = chance.choice((0.0, 0.0, 0.05, 0.3))
        self.books = _Books(self, chance.choice((90.0, 900.0, 1e9)), failing, self._job_seconds)
        self.books.add_account(self.token, chance.choice(("1000", "1000", "1000", "0.002")))
        self._emulation = OmoEmulation(
            flags=chance.choice(("error", "success", "both")), job_ids=chance.choice(("number", "text"))
        )

    def read(self, _kind: str, picture: bytes) -> Solution:
        """What its people read in a picture: mostly what is there."""
        text = text_of(picture)
        if self._chance.random() < self._wrong:
            text = self._chance.choice((text[:-1], text[::-1]))
        return TextSolution(text)

    def _job_seconds(self) -> float:
        """Until when a new job waits for somebody, and is worked on."""
        now = self.town.loop.time()
        begin = max(now, heapq.heappop(self._free_at))
        work = self._chance.uniform(*self._work) * (10 if self._chance.random() < 0.05 else 1)
        heapq.heappush(self._free_at, begin + work)
        return begin + work - now

    @property
    def jobs(self) -> Mapping[int, JobRecord]:
        """All that it ever took."""
        return self.books.jobs

    @property
    def billed(self) -> Decimal:
        """What it has charged."""
        return sum((job.price for job in self.jobs.values()), Decimal(0))

    def has_dropped(self, job: JobRecord) -> bool:
        """Whether nobody gets the answer of a job any more."""
        return self.books.has_dropped(job)

    def check_taken(self, job: JobRecord) -> None:
        """Compare the books in the moment in which it takes a job."""
        ledger = self._book.charged(self.name)
        if ledger < self.billed:
            self.town.blame(f"{self.name} has charged {self.billed}, and the ledger says {ledger}")
        same = sum(other.picture == job.picture for other in self.jobs.values())
        if same > self.town.solves[job.picture]:
            self.town.blame(f"{self.name} took one submission for the second time, as job {job.id}")

    def receive(
        self, request: Request, client: str, done: Callable[[], None]
    ) -> asyncio.Future[Reply | ProviderError]:
        """The reply to come, or never; ``done`` is called where the service has done what it was asked."""
        loop, town = self.town.loop, self.town
        call = Call(request.method, urlsplit(request.url).path, request.headers, request.body, loop.time())
        name = self._emulation.name_of(call)
        fate = self._fate(name, call)
        if name == OmoEmulation.poll_call:
            # By when it was sent: one that is late does not come from a process that still works on it.
            self._note_poller(int(str(call.json()["job_id"])), client)
        coming: asyncio.Future[Reply | ProviderError] = loop.create_future()
        town.note(f"{client} {self.name} {name} {fate.name}")

        def deliver(reply: Reply | ProviderError) -> None:
            if not coming.done():
                coming.set_result(reply)

        def arrive() -> None:
            reply = fate.instead
            if fate.is_handled:
                answered = self._answer(call)
                reply = answered if reply is None else reply
                done()
            if reply is not None and fate.back is not None:
                loop.call_later(fate.back, deliver, reply, context=NOBODY)

        for there in fate.there:
            loop.call_later(there, arrive, context=NOBODY)
        return coming

    def _note_poller(self, job_id: int, client: str) -> None:
        if self.pollers[job_id][-1:] != [client]:
            self.pollers[job_id].append(client)

    def _answer(self, call: Call) -> Reply:
        answer = self._emulation.answer(call, self.books)
        self._last[call.body] = reply = Reply(answer.status, answer.body, answer.headers)
        return reply

    def _fate(self, name: str, call: Call) -> Fate:
        now, chance = call.received, self._chance
        fate = Fate("fine", (chance.uniform(0.01, 0.3),), chance.uniform(0.01, 0.3))
        if self.town.is_calm:
            return fate
        bad = next((kind for begin, end, kind in self._outages if begin <= now < end), None)
        if bad is not None:
            fate = OUTAGES[bad](chance)
        elif chance.random() < self._trouble:
            is_poll = name == OmoEmulation.poll_call
            fate = any_fate(chance, last=self._last.get(call.body) if is_poll else None, is_poll=is_poll)
        else:
            return fate
        self.town.inject(fate.name)
        return fate


def _outages(chance: random.Random) -> Iterable[tuple[float, float, str]]:
    for _ in range(chance.choice((0, 0, 1, 2))):
        begin = chance.uniform(0, 200)
        yield begin, begin + chance.uniform(3, 90), chance.choice(sorted(OUTAGES))
