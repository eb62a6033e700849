"""What a hub records of its jobs and what it may spend, with the whole engine on a virtual clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import UTC
from decimal import Decimal
from typing import Any

import attrs
import pytest

from captchahub import (
    AllProvidersFailed,
    BudgetExceeded,
    Collected,
    ConfigError,
    Hub,
    HubClosed,
    JobState,
    JobTimeout,
    JournalError,
    PriceUnknown,
    ProviderError,
    ProviderState,
    ServiceUnavailable,
    SolveTimeout,
    TaskRefused,
    TextSolution,
)
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._engine.resume import ResumeIterator
from captchahub._journal.database import Connection, OutcomeUnknown, Work
from captchahub._journal.jobs_table import newest_jobs, settle
from captchahub._journal.liveness import LEASE, heartbeat
from captchahub._journal.rows import JobFilter, NewJob
from captchahub._journal.writer import DatabaseWriter
from captchahub._plugins.manager import Plugins
from captchahub._policy.job_token import Token
from captchahub.errors import JobUnknown
from captchahub.hookspecs import hookimpl
from captchahub.jobs import JobEntry
from captchahub.provider import Created, Job, Provider, ProviderKind, Reply, Request, Solved
from captchahub.tasks import Solution, Task
from captchahub.testing import Hang, Mishap, ScriptedTransport, Slow, json_reply, run_virtual
from captchahub.tickets import Progress
from tests.journal.ledger import reserve
from tests.journal.stores import new_store
from tests.virtual_services import (
    MORNING,
    NOT_SENT,
    TASK,
    TOKEN,
    Service,
    T,
    broken,
    in_turn,
    run_with_services,
    unreachable,
)

pytestmark = pytest.mark.usefixtures("each_store")

PRICE = {"prices": {"image-to-text": 0.001}}
LOST = Mishap(Hang(), handled=True)
REFUSED = Mishap(json_reply({"error": True, "message": "Invalid api token."}))
TOO_LATE = Mishap(Slow(100, json_reply({})))


async def jobs(engine: Engine) -> Sequence[JobEntry]:
    """Return all jobs of the journal, the oldest one first."""
    return list(reversed(await engine.jobs(JobFilter(limit=1000))))


async def states(engine: Engine) -> list[tuple[str, JobState]]:
    return [(entry.provider, entry.state) for entry in await jobs(engine)]


async def spent(engine: Engine) -> Decimal:
    return sum((one.amount for one in await engine.spend(UTC, None)), Decimal(0))


class Shared(DatabaseWriter):
    """A journal that outlives its hubs, as a file does."""

    def __init__(self) -> None:
        self._store = new_store()
        super().__init__(self._store, thread=False)
        self.fault: Exception | None = None

    async def write(self, work: Work[T]) -> T:
        if self.fault is not None:
            raise self.fault
        return await super().write(work)

    async def read(self, work: Work[T]) -> T:
        if self.fault is not None:
            raise self.fault
        return await super().read(work)

    async def aclose(self) -> None:
        """Stay open."""

    def states(self) -> list[str]:
        """Return the states of all jobs, the oldest job first."""
        (entries,) = self._store.transact([lambda connection: newest_jobs(connection, JobFilter(limit=1000))])
        assert isinstance(entries, list)
        return [entry.state.value for entry in reversed(entries)]


class Unwritable(Shared):
    """A journal whose fault prevents writing only."""

    async def read(self, work: Work[T]) -> T:
        return await DatabaseWriter.read(self, work)


class WithoutReply(Shared):
    """A journal whose replies to commits get lost while ``is_lost`` is set."""

    is_lost = False

    async def write(self, work: Work[T]) -> T:
        done = await super().write(work)
        if self.is_lost:
            self.fault = JournalError("the server can't be reached")
            raise OutcomeUnknown("the server can't be reached", done)
        return done


class SlowJournal(Shared):
    """A journal whose commits take some time."""

    seconds = 0.5

    async def write(self, work: Work[T]) -> T:
        writing = asyncio.ensure_future(self._write(work))
        return await asyncio.shield(writing)

    async def _write(self, work: Work[T]) -> T:
        await asyncio.sleep(self.seconds)
        return await super().write(work)


async def cancelled(engine: Engine, *, after: float, progress: Progress | None = None) -> None:
    """Begin a solve and cancel it after some seconds."""
    solving = asyncio.ensure_future(engine.solve(TASK, None, progress))
    await asyncio.sleep(after)
    solving.cancel()
    await asyncio.wait([solving])


async def resumed(engine: Engine) -> list[Collected]:
    return [one async for one in engine.resume(8)]


def left_behind(
    services: Mapping[str, Service], book: Shared, number: int = 1, *, progress: Progress | None = None
) -> None:
    """Create jobs in a hub that is closed before their answers come."""

    async def begin(engine: Engine) -> None:
        await asyncio.gather(*(cancelled(engine, after=5, progress=progress) for _ in range(number)))

    run_with_services(services, begin, journal=book)


def raising(error: Exception) -> Callable[[str], Mishap | None]:
    """Return a fault that raises this error at each poll."""

    def fail(call: str) -> Mishap | None:
        if call == "getJobResult":
            raise error
        return None

    return fail


def full_once_created(book: Shared) -> Callable[[str], Mishap | None]:
    """Return a fault that lets each call through, and fills the disk of the journal at a create."""

    def fill(call: str) -> Mishap | None:
        if call == "createJob":
            book.fault = JournalError("journal jobs.db: the disk is full")
        return None

    return fill


class TestAJob:
    def test_that_went_well_is_written_down_with_all_but_the_picture_and_the_token(self) -> None:
        services = {"omo": Service(settings=PRICE)}

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, None)
            (entry,) = await jobs(engine)
            assert (entry.provider, entry.kind, entry.state) == ("omo", "image-to-text", JobState.SOLVED)
            assert (entry.job_id, entry.fingerprint) == (result.job_id, TASK.fingerprint)
            assert (entry.price, entry.price_source, entry.charge) == (
                Decimal("0.001"),
                "configuration",
                Decimal("0.001"),
            )
            assert entry.answer == {"text": "x7kp2"}
            assert entry.ordered_at == MORNING
            assert TOKEN not in repr(entry)
            assert TASK.image.base64 not in repr(entry)

        run_with_services(services, main)

    def test_each_way_to_fail_has_its_state_and_its_charge(self) -> None:
        services = {
            "dead": Service(mishap=unreachable, settings=PRICE),
            "refused": Service(mishap=broken(REFUSED), settings=PRICE),
            "lost": Service(mishap=broken(LOST), settings={**PRICE, "create_timeout": "5s"}),
            "failed": Service(answer=None, settings=PRICE),
            "slow": Service(seconds=lambda: 900.0, settings={**PRICE, "timeout": "10s"}),
            "good": Service(settings=PRICE),
        }

        async def main(engine: Engine) -> None:
            assert (await engine.solve(TASK, None)).provider == "good"
            assert await states(engine) == [
                ("dead", JobState.NOT_SENT),
                ("refused", JobState.REFUSED),
                ("lost", JobState.AMBIGUOUS),
                ("failed", JobState.FAILED),
                ("slow", JobState.CREATED),
                ("good", JobState.SOLVED),
            ]
            assert [entry.charge for entry in await jobs(engine)] == [0, 0, *[Decimal("0.001")] * 4]
            assert await spent(engine) == Decimal("0.004")

        run_with_services(services, main)

    def test_the_intent_is_written_before_the_create_is_sent(self) -> None:
        book = Shared()
        seen: list[str] = []

        def look(call: str) -> Mishap | None:
            if call == "createJob":
                seen.extend(book.states())
            return None

        services = {"omo": Service(mishap=look)}

        async def main(engine: Engine) -> None:
            await engine.solve(TASK, None)

        run_with_services(services, main, journal=book)
        assert (seen, book.states()) == (["intent"], ["solved"])

    def test_one_that_took_too_long_is_collected_while_the_hub_lives(self) -> None:
        services = {"slow": Service(seconds=lambda: 60.0, settings={"timeout": "10s"}), "good": Service()}

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, None)
            assert isinstance(result.attempts[0].error, JobTimeout)
            await asyncio.sleep(90)
            assert await states(engine) == [("slow", JobState.SOLVED), ("good", JobState.SOLVED)]
            assert (await jobs(engine))[0].answer == {"text": "x7kp2"}

        run_with_services(services, main)

    def test_one_that_is_cancelled_while_it_is_created_is_ambiguous(self) -> None:
        services = {"omo": Service(mishap=broken(TOO_LATE), settings=PRICE)}

        async def main(engine: Engine) -> None:
            solving = asyncio.ensure_future(engine.solve(TASK, None))
            await asyncio.sleep(1)
            solving.cancel()
            await asyncio.sleep(1)
            assert await states(engine) == [("omo", JobState.AMBIGUOUS)]
            assert await spent(engine) == Decimal("0.001")

        run_with_services(services, main)

    def test_one_that_is_cancelled_later_is_collected_too(self) -> None:
        services = {"omo": Service(seconds=lambda: 30.0)}

        async def main(engine: Engine) -> None:
            await cancelled(engine, after=5)
            assert await states(engine) == [("omo", JobState.CREATED)]
            await asyncio.sleep(60)
            assert await states(engine) == [("omo", JobState.SOLVED)]

        run_with_services(services, main)

    def test_one_that_a_hub_leaves_behind_is_collected_by_the_next(self) -> None:
        book = Shared()
        services = {"omo": Service(seconds=lambda: 30.0)}

        async def begin(engine: Engine) -> None:
            await cancelled(engine, after=5)
            # It is this hub's own as long as the hub lives.
            assert await resumed(engine) == []

        async def go_on(engine: Engine) -> None:
            (collected,) = await resumed(engine)
            assert collected.solution == TextSolution("x7kp2")
            assert (collected.entry.state, collected.error) == (JobState.CREATED, None)
            assert collected.entry.fingerprint == TASK.fingerprint
            assert await resumed(engine) == []

        run_with_services(services, begin, journal=book)
        assert book.states() == ["created"]
        run_with_services(services, go_on, journal=book)
        assert book.states() == ["solved"]

    def test_one_that_takes_longer_than_it_is_collected_is_free_for_the_next_resume(self) -> None:
        services = {"omo": Service(seconds=lambda: 700.0)}

        async def main(engine: Engine) -> None:
            await cancelled(engine, after=5)
            await asyncio.sleep(650)
            (collected,) = await resumed(engine)
            assert collected.solution == TextSolution("x7kp2")

        run_with_services(services, main)

    @pytest.mark.parametrize("error", [ConfigError("REQUESTS_CA_BUNDLE"), TaskRefused("the picture is odd")])
    def test_one_whose_collection_stops_for_another_reason_is_free_as_well(self, error: Exception) -> None:
        services = {"omo": Service(seconds=lambda: 30.0)}

        async def main(engine: Engine) -> None:
            await cancelled(engine, after=0.5)
            services["omo"].mishap = raising(error)
            await asyncio.sleep(60)
            services["omo"].mishap = lambda _: None
            assert len(await resumed(engine)) == 1

        run_with_services(services, main)


class TestResuming:
    def test_that_is_left_half_way_leaves_the_rest_to_the_next(self) -> None:
        services, book = {"omo": Service(seconds=in_turn(10.0, 60.0))}, Shared()
        left_behind(services, book, 2)

        async def main(engine: Engine) -> None:
            async with aclosing(engine.resume(8)) as collecting:
                first = await anext(collecting)
            assert book.states() == ["solved", "created"]
            (second,) = await resumed(engine)
            assert first.entry.job_id != second.entry.job_id
            assert second.solution == TextSolution("x7kp2")

        run_with_services(services, main, journal=book)

    def test_that_is_left_half_way_keeps_answers_that_were_not_taken(self) -> None:
        services, book = {"omo": Service(seconds=lambda: 10.0)}, Shared()
        left_behind(services, book, 5)

        async def main(engine: Engine) -> None:
            async with aclosing(engine.resume(8)) as collecting:
                first = await anext(collecting)
            # The services may forget them, the journal does not.
            services["omo"].world.jobs.clear()
            assert book.states() == ["solved"] * 5
            rest = await resumed(engine)
            assert len({one.entry.job_id for one in [first, *rest]}) == 5
            assert {one.solution for one in rest} == {TextSolution("x7kp2")}
            assert await resumed(engine) == []

        run_with_services(services, main, journal=book)

    def test_yields_an_answer_again_that_did_not_arrive(self) -> None:
        """Such as when Ctrl-C ends the wait of a thread just as the answer arrives."""
        services, book = {"omo": Service(seconds=lambda: 10.0)}, Shared()
        left_behind(services, book)

        async def main(engine: Engine) -> None:
            collecting = ResumeIterator(engine.resume(8))
            assert await collecting.next() is not None
            await collecting.end(is_taken=False)
            (again,) = await resumed(engine)
            assert again.solution == TextSolution("x7kp2")
            assert await resumed(engine) == []

        run_with_services(services, main, journal=book)

    def test_can_be_ended_while_it_waits(self) -> None:
        services, book = {"omo": Service(seconds=lambda: 60.0)}, Shared()
        left_behind(services, book, 2)

        async def main(engine: Engine) -> None:
            collecting = ResumeIterator(engine.resume(8))
            waiting = asyncio.ensure_future(collecting.next())
            await asyncio.sleep(10)
            waiting.cancel()
            await collecting.end(is_taken=False)
            asked = len(services["omo"].transport.sent)
            await asyncio.sleep(100)
            assert len(services["omo"].transport.sent) == asked
            assert len(await resumed(engine)) == 2

        run_with_services(services, main, journal=book)

    @pytest.mark.parametrize("error", [ConfigError("REQUESTS_CA_BUNDLE"), TaskRefused("the picture is odd")])
    def test_yields_errors_that_no_provider_makes_and_leaves_such_a_job(self, error: Exception) -> None:
        services, book = {"omo": Service(seconds=lambda: 10.0)}, Shared()
        left_behind(services, book)

        async def main(engine: Engine) -> None:
            services["omo"].mishap = raising(error)
            (failed,) = await resumed(engine)
            assert str(error) in str(failed.error)
            services["omo"].mishap = lambda _: None
            (collected,) = await resumed(engine)
            assert collected.solution == TextSolution("x7kp2")

        run_with_services(services, main, journal=book)

    def test_ends_if_the_hub_is_closed_while_it_claims(self) -> None:
        services, book = {"omo": Service(seconds=lambda: 10.0)}, SlowJournal()
        left_behind(services, book)

        async def main(engine: Engine) -> None:
            resuming = asyncio.ensure_future(resumed(engine))
            await asyncio.sleep(book.seconds / 2)
            await engine.aclose()
            with pytest.raises(HubClosed):
                await resuming
            assert services["omo"].transport.sent == []

        run_with_services(services, main, journal=book)
        assert book.states() == ["created"]

    def test_that_is_cancelled_while_it_claims_leaves_all_to_the_next(self) -> None:
        services, book = {"omo": Service(seconds=lambda: 10.0)}, SlowJournal()
        left_behind(services, book, 2)

        async def main(engine: Engine) -> None:
            resuming = asyncio.ensure_future(resumed(engine))
            await asyncio.sleep(book.seconds / 2)
            resuming.cancel()
            await asyncio.sleep(5 * book.seconds)
            assert len(await resumed(engine)) == 2

        run_with_services(services, main, journal=book)

    def test_leaves_the_jobs_of_unknown_providers_to_hubs_that_know_them(self) -> None:
        services, book = {"omo": Service(seconds=lambda: 10.0)}, Shared()
        left_behind(services, book)

        async def knows_it(engine: Engine) -> None:
            (collected,) = await resumed(engine)
            assert collected.solution == TextSolution("x7kp2")

        async def does_not(engine: Engine) -> None:
            assert await resumed(engine) == []
            (entry,) = await jobs(engine)
            assert (entry.provider, entry.configured_as, entry.is_of_other_account) == ("omo", None, True)

        run_with_services({"other": Service()}, does_not, journal=book)
        run_with_services(services, knows_it, journal=book)

    def test_yields_a_job_that_takes_too_long_once_and_leaves_it_to_the_next(self) -> None:
        services, book = {"omo": Service(seconds=lambda: 1000.0)}, Shared()
        left_behind(services, book)

        async def main(engine: Engine) -> None:
            (late,) = await resumed(engine)
            assert isinstance(late.error, JobTimeout)
            (collected,) = await resumed(engine)
            assert collected.solution == TextSolution("x7kp2")

        run_with_services(services, main, journal=book)

    def test_ends_if_the_hub_is_closed_and_nothing_goes_on(self) -> None:
        services, book = {"omo": Service(seconds=lambda: 60.0)}, Shared()
        left_behind(services, book, 2)

        async def main(engine: Engine) -> None:
            resuming = asyncio.ensure_future(resumed(engine))
            await asyncio.sleep(10)
            await engine.aclose()
            asked = len(services["omo"].transport.sent)
            await asyncio.sleep(100)
            assert len(services["omo"].transport.sent) == asked
            with pytest.raises(HubClosed):
                await resuming

        run_with_services(services, main, journal=book)
        assert book.states() == ["created", "created"]


class TestAnUndeliveredAnswer:
    """It is paid for, so resume yields it, once."""

    def test_is_that_of_a_solve_that_was_cancelled(self) -> None:
        services = {"omo": Service(seconds=lambda: 30.0)}

        async def main(engine: Engine) -> None:
            await cancelled(engine, after=5)
            await asyncio.sleep(60)
            assert [entry.is_given for entry in await jobs(engine)] == [False]
            (collected,) = await resumed(engine)
            assert (collected.solution, collected.entry.state) == (TextSolution("x7kp2"), JobState.SOLVED)
            assert await resumed(engine) == []
            assert [entry.is_given for entry in await jobs(engine)] == [True]

        run_with_services(services, main)

    def test_is_that_of_a_solve_that_ran_out_of_time(self) -> None:
        services = {"omo": Service(seconds=lambda: 30.0)}

        async def main(engine: Engine) -> None:
            with pytest.raises(AllProvidersFailed):
                await engine.solve(TASK, 10)
            await asyncio.sleep(60)
            assert len(await resumed(engine)) == 1

        run_with_services(services, main)

    @pytest.mark.parametrize(
        ("second", "winner"), [(5.0, "good"), (40.0, "slow")], ids=["before it came", "after it came"]
    )
    def test_is_not_that_of_a_solve_that_has_one(self, second: float, winner: str) -> None:
        services = {
            "slow": Service(seconds=lambda: 30.0, settings={"timeout": "10s"}),
            "good": Service(seconds=lambda: second),
        }

        async def main(engine: Engine) -> None:
            assert (await engine.solve(TASK, None)).provider == winner
            await asyncio.sleep(60)
            assert await states(engine) == [("slow", JobState.SOLVED), ("good", JobState.SOLVED)]
            assert await resumed(engine) == []

        run_with_services(services, main)

    def test_is_that_of_a_solve_which_is_cancelled_while_the_answer_is_written_down(self) -> None:
        services, book, asked = {"omo": Service(seconds=lambda: 0.0)}, SlowJournal(), asyncio.Event()

        def look(call: str) -> Mishap | None:
            if call == "getJobResult":
                asked.set()
            return None

        services["omo"].mishap = look

        async def main(engine: Engine) -> None:
            solving = asyncio.ensure_future(engine.solve(TASK, None))
            await asked.wait()
            await asyncio.sleep(book.seconds / 2)
            assert book.states() == ["created"]
            solving.cancel()
            await asyncio.wait([solving])
            await asyncio.sleep(5)
            assert solving.cancelled()
            assert book.states() == ["solved"]
            assert len(await resumed(engine)) == 1

        run_with_services(services, main, journal=book)

    def test_is_returned_by_attach_too(self) -> None:
        services, progress = {"omo": Service(seconds=lambda: 30.0)}, Progress()

        async def main(engine: Engine) -> None:
            await cancelled(engine, after=5, progress=progress)
            await asyncio.sleep(60)
            services["omo"].world.jobs.clear()
            result = await engine.attach(str(progress.token), None, Progress())
            assert result.solution == TextSolution("x7kp2")
            assert [attempt.kind for attempt in result.attempts] == ["image-to-text"]
            assert await resumed(engine) == []

        run_with_services(services, main)

    def test_waits_if_this_program_knows_no_such_task(self) -> None:
        services, book = {"omo": Service(seconds=lambda: 30.0)}, Shared()

        async def main(engine: Engine) -> None:
            await cancelled(engine, after=5)
            await asyncio.sleep(60)
            await book.write(lambda connection: connection.execute("UPDATE jobs SET kind = 'of-a-plugin'"))
            (collected,) = await resumed(engine)
            assert "nothing here knows of-a-plugin tasks" in str(collected.error)
            assert len(await resumed(engine)) == 1

        run_with_services(services, main, journal=book)


@attrs.frozen
class Marked(TextSolution):
    """A solution with values that JSON cannot hold."""

    marks: frozenset[str] = frozenset()
    scan: object = None


@attrs.frozen
class NoSettings:
    """A provider that needs none."""


class AtOnce(Provider):
    """A service that answers with the reply to the create, and does not keep the answer."""

    kinds = frozenset({"image-to-text"})
    answer = TextSolution("abc")

    def create_job(self, task: Task[Solution]) -> Request:
        return Request("https://x.example/create")

    def read_created(self, task: Task[Solution], reply: Reply) -> Created:
        return Created("1", self.answer)

    def poll_job(self, job: Job) -> Request:
        return Request("https://x.example/poll")

    def read_result(self, job: Job, reply: Reply) -> Solved:
        raise JobUnknown("it was answered at once, and is not kept")


class AtOncePlugin:
    def __init__(self, answer: Solution) -> None:
        self._answer = answer

    @hookimpl
    def captchahub_provider_kinds(self) -> Sequence[ProviderKind[NoSettings]]:
        return [ProviderKind("at-once", NoSettings, self._make)]

    def _make(self, _settings: NoSettings) -> AtOnce:
        provider = AtOnce()
        provider.answer = self._answer  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]  # any kind
        return provider


def at_once(answer: Solution, main: Callable[[Engine], Coroutine[Any, Any, T]], book: Shared) -> T:
    """Run a coroutine with an engine whose service answers a create with this solution."""

    async def run() -> T:
        plugins = Plugins([AtOncePlugin(answer)])
        engine = Engine(
            read_mapping({"providers": {"p": {"plugin": "at-once"}}}, plugins),
            plugins=plugins,
            connect=lambda _: ScriptedTransport(lambda _: json_reply({})),
            journal=book,
        )
        try:
            return await main(engine)
        finally:
            await engine.aclose()

    return run_virtual(run())


class TestAnAnswerThatCameWithTheCreate:
    def test_outlives_a_cancel_while_the_job_is_written_down(self) -> None:
        book = SlowJournal()

        async def main(engine: Engine) -> None:
            solving = asyncio.ensure_future(engine.solve(TASK, None))
            # The first commit leases a slot, the second is the intent, the third the id.
            await asyncio.sleep(2.5 * book.seconds)
            solving.cancel()
            await asyncio.wait([solving])
            await asyncio.sleep(10 * book.seconds)
            (collected,) = await resumed(engine)
            assert collected.solution == TextSolution("abc")

        at_once(TextSolution("abc"), main, book)
        assert book.states() == ["solved"]

    @pytest.mark.parametrize("marks", [frozenset({"x"}), frozenset[str]()])
    def test_is_returned_even_if_the_journal_cannot_hold_it(self, marks: frozenset[str]) -> None:
        book, answer = Shared(), Marked("abc", marks, scan=object())

        async def main(engine: Engine) -> None:
            assert (await engine.solve(TASK, None)).solution == answer

        at_once(answer, main, book)
        assert book.states() == ["solved"]


class TestClosing:
    def test_ends_a_job_that_another_has_overtaken_and_nothing_goes_on(self) -> None:
        services, book = {"slow": Service(seconds=lambda: 60.0), "quick": Service()}, Shared()

        async def main(engine: Engine) -> None:
            assert (await engine.solve(TASK, None)).provider == "quick"
            await engine.aclose()
            asked = len(services["slow"].transport.sent)
            await asyncio.sleep(100)
            assert len(services["slow"].transport.sent) == asked

        run_with_services(services, main, journal=book, hedge_after="5s", hedge_limit="100%")
        assert book.states() == ["created", "solved"]


class TestATicket:
    def test_has_a_token_that_another_hub_turns_into_the_result(self) -> None:
        book = Shared()
        services = {"omo": Service(seconds=lambda: 30.0, settings=PRICE)}
        progress = Progress()

        async def go_on(engine: Engine) -> None:
            assert progress.token is not None
            assert TOKEN not in progress.token
            result = await engine.attach(progress.token, None, Progress())
            assert (result.solution, result.provider) == (TextSolution("x7kp2"), "omo")
            assert result.cost == Decimal("0.001")

        left_behind(services, book, progress=progress)
        run_with_services(services, go_on, journal=book)
        assert book.states() == ["solved"]

    def test_is_in_the_error_of_a_job_that_took_too_long(self) -> None:
        services = {"omo": Service(seconds=lambda: 30.0)}

        async def main(engine: Engine) -> None:
            with pytest.raises(AllProvidersFailed) as caught:
                await engine.solve(TASK, 10)
            (late,) = caught.value.exceptions
            assert isinstance(late, JobTimeout)
            assert late.token is not None
            assert (await engine.attach(late.token, None, Progress())).solution == TextSolution("x7kp2")

        run_with_services(services, main)

    def test_that_times_out_leaves_the_job_to_the_next(self) -> None:
        services, book, progress = {"omo": Service(seconds=lambda: 60.0)}, Shared(), Progress()

        async def main(engine: Engine) -> None:
            with pytest.raises(JobTimeout):
                await engine.attach(str(progress.token), 10, Progress())
            (collected,) = await resumed(engine)
            assert collected.solution == TextSolution("x7kp2")

        left_behind(services, book, progress=progress)
        run_with_services(services, main, journal=book)
        assert book.states() == ["solved"]

    @pytest.mark.parametrize(("field", "value"), [("kind", "phone-slide"), ("fingerprint", "f1")])
    def test_that_was_edited_changes_no_entry(self, field: str, value: str) -> None:
        services, book, progress = {"omo": Service(seconds=lambda: 60.0)}, Shared(), Progress()

        async def main(engine: Engine) -> None:
            changed = json.dumps({**json.loads(str(progress.token)), field: value})
            with suppress(ProviderError):
                await engine.attach(changed, 100, Progress())
            assert book.states() == ["created"]
            (collected,) = await resumed(engine)
            assert collected.solution == TextSolution("x7kp2")

        left_behind(services, book, progress=progress)
        run_with_services(services, main, journal=book)

    @pytest.mark.parametrize("text", ["", "{}", "[1]", "null", '{"captchahub": 1}', '{"captchahub": 2}', "{"])
    def test_is_made_from_nothing_but_a_token(self, text: str) -> None:
        async def main(engine: Engine) -> None:
            with pytest.raises(ValueError, match="token"):
                await engine.attach(text, None, Progress())

        run_with_services({"omo": Service()}, main)

    def test_of_a_provider_that_is_not_configured_is_a_clear_error(self) -> None:
        token = str(Token("other", "image-to-text", 7, "f1"))

        async def main(engine: Engine) -> None:
            with pytest.raises(ConfigError, match="there is no provider 'other'"):
                await engine.attach(token, None, Progress())

        run_with_services({"omo": Service()}, main)


class TestByHand:
    def test_what_a_dead_hub_was_about_to_send_is_ambiguous_once_its_lease_is_over(self) -> None:
        book = Shared()

        def of_the_dead(connection: Connection) -> None:
            job = NewJob("s1", "omo", TASK.kind, TASK.fingerprint, {}, None, None, None, is_shared=True)
            heartbeat(connection, "dead", MORNING + 60)
            reserve(connection, job, owner="dead", now=MORNING)

        async def main(engine: Engine) -> None:
            await book.write(of_the_dead)
            await asyncio.sleep(59)
            assert await engine.jobs(JobFilter(JobState.AMBIGUOUS, limit=10)) == []
            await asyncio.sleep(1)
            (entry,) = await engine.jobs(JobFilter(JobState.AMBIGUOUS, limit=10))
            assert "ended before the reply" in (entry.error or "")

        run_with_services({"omo": Service()}, main, journal=book)

    async def ambiguous(self, engine: Engine) -> JobEntry:
        """Lose the reply to a create, and return its entry."""
        with pytest.raises(AllProvidersFailed):
            await engine.solve(TASK, None)
        (entry,) = await engine.jobs(JobFilter(JobState.AMBIGUOUS, limit=10))
        return entry

    def test_an_ambiguous_job_is_settled_with_what_a_person_has_found(self) -> None:
        services = {"omo": Service(mishap=broken(LOST), settings={**PRICE, "create_timeout": "5s"})}

        async def main(engine: Engine) -> None:
            found = await self.ambiguous(engine)
            await engine.resolve(found, JobState.NOT_SENT, None)
            (entry,) = await jobs(engine)
            assert (entry.state, entry.charge, entry.is_by_hand) == (JobState.NOT_SENT, Decimal(0), True)
            with pytest.raises(ValueError, match="a job that is not_sent can't be settled as solved by hand"):
                await engine.resolve(entry, JobState.SOLVED, None)
            with pytest.raises(ValueError, match=f"job {entry.id} was settled meanwhile: it is not_sent"):
                await engine.resolve(found, JobState.FAILED, None)
            with pytest.raises(ValueError, match="job 999 is not in this journal"):
                await engine.resolve(attrs.evolve(entry, id=999), JobState.FAILED, None)

        run_with_services(services, main)


class TestBudgets:
    @pytest.mark.parametrize("whose", ["provider", "hub"])
    def test_a_burst_can_not_pass_one(self, whose: str) -> None:
        budget = {"budget": {"limit": 0.05, "per": "day"}}
        own = {**PRICE, **(budget if whose == "provider" else {}), "max_in_flight": 200}
        services = {"omo": Service(settings=own)}

        async def main(engine: Engine) -> None:
            outcomes = await asyncio.gather(
                *(engine.solve(TASK, None) for _ in range(200)), return_exceptions=True
            )
            failed = [one for one in outcomes if isinstance(one, BaseException)]
            assert len(failed) == 150
            assert len(services["omo"].orders) == services["omo"].jobs == 50
            assert await spent(engine) == Decimal("0.05")
            (error, *_) = failed
            assert isinstance(error, AllProvidersFailed)
            (exceeded,) = error.exceptions
            assert isinstance(exceeded, BudgetExceeded)
            assert (exceeded.limit, exceeded.spent) == (Decimal("0.05"), Decimal("0.05"))
            assert exceeded.frees is not None
            assert exceeded.frees.isoformat() == "2027-01-16T00:00:00+00:00"

        run_with_services(services, main, top=budget if whose == "hub" else None)

    def test_what_was_not_sent_is_given_back(self) -> None:
        own = {**PRICE, "budget": {"limit": 0.001, "per": "total"}}
        services = {"omo": Service(mishap=broken(NOT_SENT, NOT_SENT), settings=own)}

        async def main(engine: Engine) -> None:
            assert (await engine.solve(TASK, None)).provider == "omo"
            with pytest.raises(AllProvidersFailed):
                await engine.solve(TASK, None)

        run_with_services(services, main)

    def test_the_next_provider_is_used_if_one_has_spent_its_own(self) -> None:
        services = {
            "first": Service(settings={**PRICE, "budget": {"limit": 0, "per": "month"}}),
            "second": Service(settings=PRICE),
        }

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, None)
            assert result.provider == "second"
            assert isinstance(result.attempts[0].error, BudgetExceeded)
            assert result.attempts[0].cost == 0

        run_with_services(services, main)
        assert services["first"].orders == []

    def test_one_has_room_again_in_its_next_period(self) -> None:
        own = {**PRICE, "budget": {"limit": 0.001, "per": "hour"}}
        services = {"omo": Service(settings=own)}

        async def main(engine: Engine) -> None:
            await engine.solve(TASK, None)
            with pytest.raises(AllProvidersFailed):
                await engine.solve(TASK, None)
            await asyncio.sleep(3600)
            await engine.solve(TASK, None)

        run_with_services(services, main)

    def test_a_price_can_come_from_the_services_own_list(self) -> None:
        services = {"omo": Service(settings={"budget": {"limit": 0.001, "per": "day"}})}

        async def main(engine: Engine) -> None:
            await engine.solve(TASK, None)
            (entry,) = await jobs(engine)
            assert (entry.price, entry.price_source) == (Decimal("0.00055"), "list")
            with pytest.raises(AllProvidersFailed):
                await engine.solve(TASK, None)

        run_with_services(services, main)

    def test_without_any_price_no_job_is_created(self) -> None:
        silent = Mishap(Hang())
        services = {
            "omo": Service(
                mishap=lambda call: silent if call == "getService" else None,
                settings={"budget": {"limit": 1, "per": "day"}},
            )
        }

        async def main(engine: Engine) -> None:
            with pytest.raises(AllProvidersFailed) as caught:
                await engine.solve(TASK, None)
            assert {type(one) for one in caught.value.exceptions} == {ServiceUnavailable}

        run_with_services(services, main)
        assert services["omo"].orders == []

    def test_no_job_is_created_for_a_kind_without_a_price(self) -> None:
        services = {"omo": Service(settings={"budget": {"limit": 1, "per": "day"}})}
        services["omo"].mishap = lambda call: (
            Mishap(json_reply({"error": False, "service": []})) if call == "getService" else None
        )

        async def main(engine: Engine) -> None:
            with pytest.raises(AllProvidersFailed) as caught:
                await engine.solve(TASK, None)
            assert [type(one) for one in caught.value.exceptions] == [PriceUnknown]
            assert (await engine.health())["omo"].state is ProviderState.HEALTHY

        run_with_services(services, main)
        assert services["omo"].orders == []


class TestAJournalThatFails:
    def test_creates_no_job(self) -> None:
        book = Shared()
        book.fault = JournalError("journal jobs.db: the disk is full")
        services = {"omo": Service(), "other": Service()}

        async def main(engine: Engine) -> None:
            with pytest.raises(JournalError, match="the disk is full"):
                await engine.solve(TASK, None)
            book.fault = None

        run_with_services(services, main, journal=book)
        assert (services["omo"].orders, services["other"].orders) == ([], [])

    def test_after_the_create_loses_no_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        book = Shared()
        services = {"omo": Service()}

        services["omo"].mishap = full_once_created(book)

        async def main(engine: Engine) -> None:
            assert (await engine.solve(TASK, None)).solution == TextSolution("x7kp2")
            book.fault = None

        run_with_services(services, main, journal=book)
        assert "could not be written to the journal, and is tried again later" in caplog.text
        # As the hub was closed.
        assert book.states() == ["solved"]

    @pytest.mark.parametrize("shared_limits", [True, False])
    def test_by_being_slow_keeps_no_solve_beyond_its_deadline(self, *, shared_limits: bool) -> None:
        services, book = {"omo": Service()}, SlowJournal()
        book.seconds = 50.0

        async def main(engine: Engine) -> None:
            with pytest.raises(SolveTimeout) as caught:
                await engine.solve(TASK, 10)
            (late,) = caught.value.exceptions
            assert "the journal did not reply in time" in str(late)
            assert asyncio.get_running_loop().time() < 11
            await asyncio.sleep(200)
            # With shared limits it waits for a slot before it is written down.
            assert await states(engine) == ([] if shared_limits else [("omo", JobState.NOT_SENT)])

        run_with_services(services, main, journal=book, top={"shared_limits": shared_limits})
        assert services["omo"].orders == []

    def test_is_written_later_what_it_did_not_take(self) -> None:
        services, book = {"omo": Service()}, Shared()

        services["omo"].mishap = full_once_created(book)

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, None)
            assert book.states() == ["intent"]
            await asyncio.sleep(60)
            book.fault = None
            await asyncio.sleep(60)
            (entry,) = await jobs(engine)
            assert (entry.state, entry.job_id) == (JobState.SOLVED, result.job_id)

        run_with_services(services, main, journal=book)

    def test_can_still_be_read(self, caplog: pytest.LogCaptureFixture) -> None:
        book = Unwritable()

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, None)
            book.fault = JournalError("journal jobs.db: the disk is full")
            (entry,) = await jobs(engine)
            assert (entry.job_id, entry.configured_as) == (result.job_id, "omo")
            assert await spent(engine) == Decimal("0.001")
            book.fault = None

        run_with_services({"omo": Service(settings=PRICE)}, main, journal=book)
        assert "is not marked as ambiguous: journal jobs.db: the disk is full" in caplog.text

    @pytest.mark.parametrize("solves_before", [0, 1])
    def test_a_reservation_whose_commit_is_unknown_is_withdrawn_once_it_can_be(
        self, solves_before: int
    ) -> None:
        book = WithoutReply()

        async def main(engine: Engine) -> None:
            for _ in range(solves_before):
                await engine.solve(TASK, None)
            book.is_lost = True
            with pytest.raises(JournalError):
                await engine.solve(TASK, None)
            book.is_lost = False
            assert len(services["omo"].world.jobs) == solves_before
            assert book.states() == ["solved"] * solves_before + ["intent"]
            await asyncio.sleep(2 * LEASE)
            assert book.states() == ["solved"] * solves_before + ["intent"]
            book.fault = None
            await asyncio.sleep(LEASE / 3)
            assert book.states() == ["solved"] * solves_before + ["not_sent"]
            assert await spent(engine) == Decimal("0.001") * solves_before

        services = {"omo": Service(settings=PRICE)}
        # So that the first thing to be written is the reservation.
        run_with_services(services, main, journal=book, top={"shared_limits": False})

    def test_jobs_whose_claim_is_unknown_are_free_for_another_hub(self) -> None:
        services, book = {"omo": Service(seconds=lambda: 10.0)}, WithoutReply()
        left_behind(services, book)

        async def main(engine: Engine) -> None:
            book.is_lost = True
            with pytest.raises(JournalError):
                await resumed(engine)
            book.is_lost, book.fault = False, None
            await asyncio.sleep(LEASE)
            assert len(await resumed(engine)) == 1

        run_with_services(services, main, journal=book)

    # Its many statements take seconds in PostgreSQL, and are tried there by other tests.
    @pytest.mark.parametrize("each_store", ["sqlite"], indirect=True)
    def test_is_pruned_in_time_if_much_is_old(self) -> None:
        book = Shared()

        def long_ago(connection: Connection) -> None:
            heartbeat(connection, "dead", MORNING - 90 * 86_400)
            for _ in range(2500):
                job = NewJob("s1", "omo", TASK.kind, "f", {}, None, None, None, is_shared=True)
                entry = reserve(connection, job, owner="dead", now=MORNING - 90 * 86_400)
                settle(connection, entry, JobState.FAILED, owner="dead", now=MORNING - 90 * 86_400)

        async def main(engine: Engine) -> None:
            await book.write(long_ago)
            for _ in range(4):
                await engine.solve(TASK, None)
            assert len(book.states()) == 4

        run_with_services({"omo": Service()}, main, journal=book)


def test_a_budget_without_any_way_to_know_a_price_is_a_wrong_configuration() -> None:
    account = {"plugin": "createtask", "dialect": "2captcha", "client_key": "k3y"}
    mapping = {"providers": {"backup": {**account, "budget": {"limit": 1, "per": "day"}}}}
    with pytest.raises(ConfigError, match=r"providers.backup.prices: .* image-to-text .* budget"):
        Hub.from_mapping(mapping)
    Hub.from_mapping({"providers": {"backup": {**mapping["providers"]["backup"], **PRICE}}}).close()
