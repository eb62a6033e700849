"""Equal tasks share one job: in one hub, across the processes of one journal, and while it is cached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC
from decimal import Decimal
from typing import Any

import pytest

from captchahub import (
    AllProvidersFailed,
    Attempt,
    ConfigError,
    HubClosed,
    ImageToText,
    NotAsked,
    NotOffered,
    Result,
    SolveTimeout,
    TaskRefused,
    TextSolution,
)
from captchahub._engine.engine import Engine
from captchahub._engine.sharing import Sharing
from captchahub._journal.database import Connection
from captchahub._journal.liveness import heartbeat
from captchahub._journal.rows import JobFilter, NewJob
from captchahub.config import load_mapping
from captchahub.testing import Mishap, json_reply, run_virtual
from captchahub.tickets import Progress
from tests.journal.ledger import reserve
from tests.journal.test_journal import Shared
from tests.virtual_services import (
    MORNING,
    PICTURE,
    TASK,
    Service,
    T,
    account_at,
    in_turn,
    run_with_services,
    unreachable,
    unreachable_until,
)

PRICE = {"prices": {"image-to-text": 0.001}}
BAD_PICTURE = Mishap(json_reply({"error": True, "message": "Image is invalid."}))


async def solve(
    engine: Engine, task: ImageToText = TASK, timeout: float | None = None
) -> Result[TextSolution]:
    return await engine.solve(task, timeout, share=True)


class TestInOneHub:
    def test_equal_tasks_in_flight_are_one_job(self) -> None:
        services = {"omo": Service(settings=PRICE)}

        async def main(engine: Engine) -> None:
            results = await asyncio.gather(*(solve(engine) for _ in range(20)))
            assert {one.solution.text for one in results} == {"x7kp2"}
            assert sum(one.cost or Decimal(0) for one in results) == Decimal("0.001")
            assert [one.is_shared for one in results].count(False) == 1
            assert {(one.provider, one.job_id) for one in results} == {("omo", results[0].job_id)}

        run_with_services(services, main)
        assert services["omo"].jobs == 1

    def test_other_options_or_another_time_are_another_job(self) -> None:
        services = {"omo": Service()}

        async def main(engine: Engine) -> None:
            await asyncio.gather(solve(engine), solve(engine, ImageToText(PICTURE, length=5)))
            await asyncio.sleep(1)
            await solve(engine)

        run_with_services(services, main)
        assert services["omo"].jobs == 3

    def test_nothing_is_shared_that_is_not_to_be(self) -> None:
        services = {"omo": Service()}

        async def main(engine: Engine) -> None:
            await asyncio.gather(*(engine.solve(TASK, None, share=False) for _ in range(3)))

        run_with_services(services, main)
        assert services["omo"].jobs == 3

    def test_where_several_must_agree_each_looks_for_itself(self) -> None:
        services = {"a": Service(), "b": Service()}

        async def main(engine: Engine) -> None:
            await asyncio.gather(solve(engine), solve(engine))

        run_with_services(services, main, agree=2)
        assert services["a"].jobs + services["b"].jobs == 4

    def test_cancelling_one_leaves_it_to_the_others(self) -> None:
        services = {"omo": Service(seconds=lambda: 10.0)}

        async def main(engine: Engine) -> None:
            first, second = (asyncio.ensure_future(solve(engine)) for _ in range(2))
            await asyncio.sleep(5)
            first.cancel()
            assert (await second).solution.text == "x7kp2"
            assert first.cancelled()

        run_with_services(services, main)
        assert services["omo"].jobs == 1

    def test_cancelling_all_ends_it(self) -> None:
        services = {"omo": Service(seconds=lambda: 10.0)}

        async def main(engine: Engine) -> None:
            solves = [asyncio.ensure_future(solve(engine)) for _ in range(3)]
            await asyncio.sleep(5)
            for one in solves:
                one.cancel()
            await asyncio.wait(solves)
            assert all(one.cancelled() for one in solves)
            # The next one does not wait for the solve, but for the job that is paid for.
            assert (await solve(engine)).is_shared

        run_with_services(services, main)
        assert services["omo"].jobs == 1

    def test_where_the_first_one_fails_the_next_tries_itself(self) -> None:
        services = {"omo": Service(mishap=unreachable_until(2.0))}

        async def main(engine: Engine) -> None:
            short = asyncio.ensure_future(solve(engine, timeout=1))
            await asyncio.sleep(0.5)
            assert (await solve(engine, timeout=60)).solution.text == "x7kp2"
            with pytest.raises(AllProvidersFailed):
                await short

        run_with_services(services, main)
        assert services["omo"].jobs == 1

    def test_each_keeps_to_its_own_deadline(self) -> None:
        services = {"omo": Service(seconds=lambda: 50.0)}

        async def main(engine: Engine) -> None:
            long = asyncio.ensure_future(solve(engine, timeout=100))
            await asyncio.sleep(1)
            with pytest.raises(SolveTimeout) as caught:
                await solve(engine, timeout=10)
            assert asyncio.get_running_loop().time() == 11.0
            assert isinstance(caught.value.exceptions[0], NotAsked)
            assert (await long).solution.text == "x7kp2"

        run_with_services(services, main)
        assert services["omo"].jobs == 1

    def test_a_mistake_of_the_caller_is_the_same_for_all(self) -> None:
        services = {"omo": Service(mishap=lambda call: BAD_PICTURE if call == "createJob" else None)}

        async def main(engine: Engine) -> None:
            outcomes = await asyncio.gather(*(solve(engine) for _ in range(5)), return_exceptions=True)
            assert all(isinstance(one, TaskRefused) for one in outcomes)

        run_with_services(services, main)
        assert len(services["omo"].orders) == 1

    def test_each_has_the_token_of_the_job_they_share(self) -> None:
        services = {"omo": Service(seconds=lambda: 30.0)}

        async def main(engine: Engine) -> None:
            trails = Progress(), Progress()
            solves = [asyncio.ensure_future(engine.solve(TASK, 10, trail, share=True)) for trail in trails]
            await asyncio.sleep(5)
            assert trails[0].token == trails[1].token is not None
            await asyncio.wait(solves)

        run_with_services(services, main)

    def test_one_that_comes_in_the_moment_in_which_it_fails_tries_itself(self) -> None:
        sharing, late = Sharing(), list[asyncio.Task[Result[TextSolution] | float]]()

        async def fails() -> Result[TextSolution]:
            # It starts once this solve has failed, and before the callers of this solve are woken.
            late.append(asyncio.ensure_future(sharing.follow("equal", 60.0, Progress())))
            raise AllProvidersFailed("no provider solved it", [Attempt("omo", 1.0, error=NotAsked("out"))])

        async def main() -> None:
            with pytest.raises(AllProvidersFailed):
                await sharing.lead("equal", asyncio.ensure_future(fails()), Progress())
            assert await late[0] == 60.0

        run_virtual(main())


def two_hubs(
    services: Service | Mapping[str, Service],
    main: Callable[[Engine, Engine], Coroutine[Any, Any, T]],
    book: Shared | None = None,
    top: Mapping[str, object] | None = None,
    **route: object,
) -> T:
    """What a coroutine makes of two hubs, as two processes have them, with one journal between them."""
    journal = book or Shared()
    known = {"omo": services} if isinstance(services, Service) else services
    mapping = {
        "providers": {name: {**account_at(name), **PRICE, **one.account} for name, one in known.items()},
        "routes": {"image-to-text": {"providers": list(known), **route}},
        **(top or {}),
    }

    def hub() -> Engine:
        return Engine(
            load_mapping(mapping),
            connect=lambda settings: known[settings.name].connect(),
            chance=lambda: 1.0,
            wall_clock=lambda: MORNING + asyncio.get_running_loop().time(),
            journal=journal,
        )

    async def run() -> T:
        one, other = hub(), hub()
        try:
            return await main(one, other)
        finally:
            await one.aclose()
            await other.aclose()

    return run_virtual(run())


def left(engine: Engine, *, seconds: float = 5.0, share: bool = True) -> Coroutine[Any, Any, None]:
    """Begin a solve and give it up, so that its job is still open."""

    async def give_up() -> None:
        with pytest.raises(SolveTimeout):
            await engine.solve(TASK, seconds, share=share)

    return give_up()


async def cancelled(engine: Engine) -> None:
    """Begin a solve and cancel it after two seconds."""
    solving = asyncio.ensure_future(solve(engine))
    await asyncio.sleep(2)
    solving.cancel()
    await asyncio.wait([solving])


class TestAJobWhoseSolveIsOver:
    """As the service still works on it, its answer is likely to come."""

    def test_answers_an_equal_task_and_costs_nothing_more(self) -> None:
        services = {"omo": Service(seconds=lambda: 20.0, settings=PRICE)}

        async def main(engine: Engine) -> None:
            await left(engine)
            result = await solve(engine)
            assert (result.solution, result.provider) == (TextSolution("x7kp2"), "omo")
            assert (result.is_shared, result.cost) == (True, Decimal(0))
            assert result.job_id in services["omo"].world.jobs
            (line,) = await engine.spend(UTC, None)
            assert (line.jobs, line.amount) == (1, Decimal("0.001"))
            # It is delivered.
            assert [one async for one in engine.resume(4)] == []

        run_with_services(services, main)
        assert services["omo"].jobs == 1

    def test_answers_when_it_is_done_and_not_after_a_pause(self) -> None:
        services = {"omo": Service(seconds=lambda: 20.0)}

        async def main(engine: Engine) -> None:
            await left(engine)
            await solve(engine, timeout=1e4)
            last = services["omo"].transport.calls_to("getJobResult")[-1]
            assert asyncio.get_running_loop().time() == last.at

        # Its pauses would last for hours.
        run_with_services(services, main, chance=lambda: 1e5)
        assert services["omo"].jobs == 1

    @pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
    def test_is_not_waited_for_by_what_shares_nothing(self, first: bool, second: bool) -> None:
        services = {"omo": Service(seconds=in_turn(20.0, 3.0))}

        async def main(engine: Engine) -> None:
            await left(engine, share=first)
            assert not (await engine.solve(TASK, None, share=second)).is_shared

        run_with_services(services, main)
        assert services["omo"].jobs == 2

    def test_that_fails_is_ordered_again(self) -> None:
        services = {"omo": Service(seconds=lambda: 20.0, answer=None)}

        async def main(engine: Engine) -> None:
            await left(engine)
            solving = asyncio.ensure_future(solve(engine))
            await asyncio.sleep(10)
            services["omo"].answer = "x7kp2"
            assert not (await solving).is_shared

        run_with_services(services, main)
        assert services["omo"].jobs == 2

    def test_that_is_given_up_is_not_waited_for(self) -> None:
        services = {"omo": Service(seconds=in_turn(1e9, 3.0))}

        async def main(engine: Engine) -> None:
            await left(engine)
            await asyncio.sleep(500)
            solving = asyncio.ensure_future(solve(engine, timeout=300))
            assert not (await solving).is_shared
            assert asyncio.get_running_loop().time() < 620

        run_with_services(services, main)
        assert services["omo"].jobs == 2

    def test_is_waited_for_until_the_deadline(self) -> None:
        services = {"omo": Service(seconds=lambda: 50.0)}

        async def main(engine: Engine) -> None:
            await left(engine)
            with pytest.raises(SolveTimeout) as caught:
                await solve(engine, timeout=10)
            assert 14.8 < asyncio.get_running_loop().time() <= 15.0
            (attempt,) = caught.value.attempts
            assert (attempt.provider, attempt.cost) == ("omo", Decimal(0))
            assert "a job for an equal task is under way" in str(attempt.error)

        run_with_services(services, main)
        assert services["omo"].jobs == 1

    def test_answers_in_the_last_moment(self) -> None:
        services = {"omo": Service(seconds=lambda: 12.0, settings=PRICE)}

        async def main(engine: Engine) -> None:
            await left(engine)
            # It is polled every two seconds.
            assert (await solve(engine, timeout=9.2)).is_shared

        run_with_services(services, main)

    def test_is_followed_by_each_and_by_none_twice(self) -> None:
        services = {"omo": Service(seconds=lambda: 30.0)}

        async def main(engine: Engine) -> None:
            for _ in range(3):
                await left(engine)
            results = await asyncio.gather(*(solve(engine) for _ in range(3)))
            assert all(one.is_shared for one in results)

        run_with_services(services, main)
        assert services["omo"].jobs == 1


@pytest.mark.parametrize("is_same_hub", [True, False])
class TestAnEqualTaskThatIsSlow:
    """It is waited for as long as a job of one's own."""

    @staticmethod
    def solved(
        services: Mapping[str, Service], is_same_hub: bool, **route: object
    ) -> Result[Any] | SolveTimeout:
        async def main(one: Engine, other: Engine) -> Result[Any] | SolveTimeout:
            await cancelled(one)
            try:
                return await solve(one if is_same_hub else other, timeout=60)
            except SolveTimeout as error:
                return error

        return two_hubs(services, main, None, None, **route)

    @pytest.mark.parametrize(("timeout", "begun"), [({}, 32.0), ({"timeout": "10s"}, 12.0)])
    def test_leaves_time_for_the_next_provider(
        self, is_same_hub: bool, timeout: Mapping[str, object], begun: float
    ) -> None:
        services = {"slow": Service(seconds=lambda: 1e9, settings=timeout), "good": Service()}
        result = self.solved(services, is_same_hub)
        assert isinstance(result, Result)
        assert (result.provider, result.is_shared) == ("good", False)
        assert [attempt.provider for attempt in result.attempts] == ["good"]
        assert [job.created_at for job in services["good"].world.jobs.values()] == [begun]
        assert services["slow"].jobs == 1

    def test_is_the_only_one_where_the_route_says_so(self, is_same_hub: bool) -> None:
        services = {"slow": Service(seconds=lambda: 1e9, settings={"timeout": "10s"}), "good": Service()}
        error = self.solved(services, is_same_hub, on_timeout="fail")
        assert isinstance(error, SolveTimeout)
        assert (services["slow"].jobs, services["good"].jobs) == (1, 0)

    def test_may_answer_when_the_next_provider_has_failed(self, is_same_hub: bool) -> None:
        services = {
            "slow": Service(seconds=lambda: 40.0, settings={"timeout": "10s"}),
            "bad": Service(answer=None),
        }
        result = self.solved(services, is_same_hub)
        assert isinstance(result, Result)
        assert (result.provider, result.is_shared) == ("slow", True)
        assert (services["slow"].jobs, services["bad"].jobs) == (1, 1)


def test_a_job_that_was_taken_over_and_takes_too_long_is_waited_for_once() -> None:
    services, book = (
        {"slow": Service(seconds=lambda: 1e9, settings={"timeout": "10s"}), "good": Service()},
        Shared(),
    )

    async def main(one: Engine, other: Engine) -> None:
        await cancelled(one)
        await one.aclose()
        assert (await solve(other, timeout=60)).provider == "good"

    two_hubs(services, main, book)
    assert services["slow"].jobs == 1
    assert [job.created_at for job in services["good"].world.jobs.values()] == [11.5]


class TestWaitingForAnEqualTask:
    def test_takes_no_turn_of_the_rate(self) -> None:
        service = Service(seconds=in_turn(30.0, 1.0), settings={"rate": "2/minute"})

        async def main(one: Engine, other: Engine) -> None:
            solving = [asyncio.ensure_future(solve(one))]
            await asyncio.sleep(1)
            solving.append(asyncio.ensure_future(solve(other)))
            await asyncio.sleep(15)
            # The other turn of this minute is left, for each of them.
            await solve(other, ImageToText(PICTURE, length=5), timeout=10)
            await asyncio.gather(*solving)
            assert service.jobs == 2
            # The answer needs none either.
            assert asyncio.get_running_loop().time() < 60

        two_hubs({"omo": service}, main)

    def test_takes_no_slot(self) -> None:
        service = Service(seconds=in_turn(10.0, 30.0), settings={"max_in_flight": 2})

        async def main(one: Engine, other: Engine) -> None:
            first = asyncio.ensure_future(solve(one))
            await asyncio.sleep(1)
            second = asyncio.ensure_future(solve(other))
            await asyncio.sleep(3)
            more = [asyncio.ensure_future(solve(other, ImageToText(PICTURE, length=n))) for n in (4, 5)]
            await asyncio.gather(first, second)
            assert not any(one.done() for one in more)

        two_hubs({"omo": service}, main)

    def test_is_not_an_attempt_each_time_it_looks(self) -> None:
        service = Service(seconds=lambda: 20.0)

        async def main(one: Engine, other: Engine) -> None:
            first, second = await asyncio.gather(solve(one), solve(other))
            shared = second if second.is_shared else first
            assert [(attempt.provider, attempt.error) for attempt in shared.attempts] == [("omo", None)]

        two_hubs({"omo": service}, main)

    def test_a_known_answer_takes_no_turn_of_the_rate(self) -> None:
        services = {"omo": Service(settings={"rate": "1/minute"})}

        async def main(engine: Engine) -> None:
            await solve(engine)
            assert (await solve(engine, timeout=5)).is_shared

        run_with_services(services, main, top={"cache": "1h"})


class TestAcrossProcesses:
    def test_an_equal_task_of_another_hub_is_waited_for(self) -> None:
        service = Service(seconds=lambda: 20.0)

        async def main(one: Engine, other: Engine) -> None:
            first, second = await asyncio.gather(solve(one), solve(other))
            assert first.solution == second.solution == TextSolution("x7kp2")
            assert [first.is_shared, second.is_shared].count(True) == 1
            assert (first.cost or 0) + (second.cost or 0) == Decimal("0.001")
            assert first.job_id == second.job_id

        two_hubs(service, main)
        assert service.jobs == 1

    def test_where_that_one_fails_the_other_orders_itself(self) -> None:
        service = Service(answer=None, seconds=lambda: 5.0)

        async def main(one: Engine, other: Engine) -> None:
            first = asyncio.ensure_future(solve(one))
            await asyncio.sleep(1)
            second = asyncio.ensure_future(solve(other))
            await asyncio.wait([first])
            assert isinstance(first.exception(), AllProvidersFailed)
            service.answer = "x7kp2"
            assert (await second).solution.text == "x7kp2"

        two_hubs(service, main)
        assert service.jobs == 2

    def test_where_that_one_dies_the_other_goes_on_when_its_lease_is_over(self) -> None:
        service, book = Service(seconds=lambda: 5.0), Shared()

        def of_the_dead(connection: Connection) -> None:
            order = NewJob("s1", "omo", TASK.kind, TASK.fingerprint, {}, None, None, None, is_shared=True)
            heartbeat(connection, "dead", MORNING + 60)
            reserve(connection, order, [], owner="dead", now=MORNING)

        async def main(one: Engine, _other: Engine) -> None:
            await book.write(of_the_dead)
            assert (await solve(one, timeout=200)).solution.text == "x7kp2"
            (job,) = service.world.jobs.values()
            assert 60 <= job.created_at <= 75

        two_hubs(service, main, book)

    @pytest.mark.parametrize("is_handed_over", [False, True])
    def test_a_job_that_one_has_left_behind_is_taken_over_and_not_paid_again(
        self, is_handed_over: bool
    ) -> None:
        service, book = Service(seconds=lambda: 100.0), Shared()

        async def main(one: Engine, other: Engine) -> None:
            solving = asyncio.ensure_future(solve(one))
            await asyncio.sleep(5)
            solving.cancel()
            await asyncio.wait([solving])
            await one.aclose()
            if not is_handed_over:
                await book.write(lambda connection: heartbeat(connection, "dead", MORNING + 60))
                await book.write(lambda connection: connection.execute("UPDATE jobs SET owner = 'dead'"))
                await asyncio.sleep(60)
            result = await solve(other)
            assert (result.solution, result.cost) == (TextSolution("x7kp2"), Decimal("0.001"))
            assert len(await other.jobs(JobFilter(limit=10))) == 1
            (line,) = await other.spend(UTC, None)
            assert (line.jobs, line.amount) == (1, Decimal("0.001"))

        two_hubs(service, main, book)
        assert service.jobs == 1
        assert book.states() == ["solved"]

    def test_one_that_seems_never_to_end_is_not_waited_for(self) -> None:
        service, book = Service(seconds=in_turn(1e9, 3.0)), Shared()

        async def main(one: Engine, other: Engine) -> None:
            with pytest.raises(AllProvidersFailed):
                await solve(one)
            await asyncio.sleep(1000)
            assert (await solve(other)).solution.text == "x7kp2"

        two_hubs(service, main, book)
        assert service.jobs == 2

    def test_one_whose_taking_over_is_cancelled_is_left_to_the_next(self) -> None:
        service, book = Service(seconds=lambda: 100.0), Shared()

        async def main(one: Engine, other: Engine) -> None:
            for engine in (one, other):
                solving = asyncio.ensure_future(solve(engine))
                await asyncio.sleep(5)
                solving.cancel()
                await asyncio.wait([solving])
                await engine.aclose()

        two_hubs(service, main, book)
        assert (service.jobs, book.states()) == (1, ["created"])


class TestAnAnswerThatNobodyHasChecked:
    """As a harvest writes it down: it may be wrong, and no provider is to blame but its own."""

    def test_keeps_nobody_from_being_asked(self) -> None:
        services = {
            "slow": Service(seconds=lambda: 20.0, answer="abc", settings={"timeout": "9s"}),
            "good": Service(),
        }
        task = ImageToText(PICTURE, length=5)

        async def main(engine: Engine) -> None:
            solving = asyncio.ensure_future(solve(engine, task))
            await asyncio.sleep(5)
            solving.cancel()
            await asyncio.sleep(30)
            services["slow"].mishap = unreachable
            result = await solve(engine, task)
            assert (result.provider, result.is_shared) == ("good", False)
            # The good one, the one that was not sent, and the wrong one, which nobody is given again.
            assert [entry.is_shared for entry in await engine.jobs(JobFilter(limit=10))] == [
                True,
                True,
                False,
            ]

        run_with_services(services, main, top={"cache": "1h"})


class TestTheCache:
    def test_an_answer_is_given_again_for_its_time(self) -> None:
        service = Service()

        async def main(one: Engine, other: Engine) -> None:
            await solve(one)
            again = await solve(one)
            assert (again.is_shared, again.cost, again.provider) == (True, Decimal(0), "omo")
            assert (await solve(other)).is_shared
            await asyncio.sleep(3601)
            assert not (await solve(one)).is_shared

        two_hubs(service, main, top={"cache": "1h"})
        assert service.jobs == 2

    def test_there_is_none_unless_it_is_wanted(self) -> None:
        service = Service()

        async def main(one: Engine, other: Engine) -> None:
            await solve(one)
            await asyncio.sleep(1)
            assert not (await solve(other)).is_shared

        two_hubs(service, main)
        assert service.jobs == 2

    def test_may_be_of_more_than_an_hour_also_in_memory(self) -> None:
        services = {"omo": Service()}

        async def main(engine: Engine) -> None:
            await solve(engine)
            await asyncio.sleep(5400)
            assert (await solve(engine)).is_shared

        run_with_services(services, main, top={"cache": "2h"})

    def test_an_answer_of_a_provider_that_only_others_have_is_theirs(self) -> None:
        services, book = {"omo": Service(), "other": Service(answer="right")}, Shared()
        results: list[Result[Any]] = []

        async def elsewhere(engine: Engine) -> None:
            results.append(await solve(engine))

        async def main(engine: Engine) -> None:
            assert (await solve(engine)).provider == "other"
            with pytest.raises(ConfigError, match="there is no provider 'omo'"):
                await engine.report(results[0], correct=False)

        run_with_services({"omo": services["omo"]}, elsewhere, journal=book)
        run_with_services({"other": services["other"]}, main, journal=book, top={"cache": "1h"})
        run_with_services({"omo": services["omo"]}, elsewhere, journal=book, top={"cache": "1h"})
        assert [result.is_shared for result in results] == [False, True]

    def test_an_answer_that_is_reported_wrong_is_given_to_nobody(self) -> None:
        service = Service()

        async def main(one: Engine, other: Engine) -> None:
            result = await solve(one)
            with pytest.raises(NotOffered):
                await one.report(result, correct=False)
            assert not (await solve(other)).is_shared

        two_hubs(service, main, top={"cache": "1h"})


def test_closing_ends_every_caller_of_equal_tasks_alike() -> None:
    async def main(engine: Engine) -> None:
        solving = [asyncio.ensure_future(engine.solve(TASK, 60.0, share=True)) for _ in range(2)]
        await asyncio.sleep(1)
        await engine.aclose()
        for one in solving:
            with pytest.raises(HubClosed, match="the hub was closed while it worked on this"):
                await one

    run_with_services({"omo": Service(seconds=lambda: 30.0)}, main)
