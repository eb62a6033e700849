"""What a solve waits for, and what not: turns, places, openings, pauses, and answers that came elsewhere."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import pytest

from captchahub import (
    AllProvidersFailed,
    AmbiguousCreate,
    AuthenticationError,
    Hub,
    JobTimeout,
    NotAsked,
    Overtaken,
    ProviderState,
    RateLimited,
    Result,
    ServiceUnavailable,
    TextSolution,
)
from captchahub._engine.engine import Engine
from captchahub.testing import Hang, Mishap, Sandbox, VirtualClockLoop, json_reply
from tests.custom_providers import (
    CustomPlugin,
    LocalEngine,
    ScriptedProvider,
    fail,
    failures,
    raising,
    run_with_providers,
)
from tests.quick_omo import QuickOmo
from tests.virtual_services import NOT_SENT, TASK, Service, broken, in_turn, run_with_services, unreachable

BAD_TOKEN = Mishap(json_reply({"error": True, "message": "Invalid api token."}))
CLOSED = Mishap(json_reply({"error": True, "message": "This service is closed."}))
LOST = Mishap(ServiceUnavailable("the connection broke"))

UNTIRING = {"health": {"failures": "never", "error_rate": "never"}}

# A service whose jobs are never done.
HOLE = 1e6


def always(mishap: Mishap) -> Service:
    return Service(mishap=lambda call: mishap if call == "createJob" else None)


async def at_once(engine: Engine, number: int) -> list[Result[TextSolution]]:
    return await asyncio.gather(*(engine.solve(TASK, None) for _ in range(number)))


class TestAProviderThatCloses:
    def test_those_who_wait_for_a_turn_there_go_on_at_once(self) -> None:
        services = {"first": always(BAD_TOKEN), "second": Service()}
        services["first"].settings = {"rate": "1/minute"}

        async def main(engine: Engine) -> None:
            results = await asyncio.gather(*(engine.solve(TASK, 300) for _ in range(5)))
            assert [(one.provider, one.elapsed) for one in results] == [("second", 4.0)] * 5
            assert [failures(one) for one in results] == [[("first", AuthenticationError)], [], [], [], []]

        run_with_services(services, main)

    def test_so_do_those_who_wait_for_a_place(self) -> None:
        services = {
            "first": Service(
                mishap=broken(Mishap(Hang()), Mishap(Hang())),
                settings={"max_in_flight": 1, "health": {"failures": 1}, "create_timeout": "10s"},
            ),
            "second": Service(),
        }

        async def main(engine: Engine) -> None:
            results = await at_once(engine, 4)
            assert [(one.provider, one.elapsed) for one in results] == [("second", 14.0)] * 4

        run_with_services(services, main)
        assert services["first"].orders == [0.0]

    def test_they_come_back_where_there_is_no_other(self) -> None:
        pause = Mishap(json_reply({}, 429, retry_after="20"))
        services = {"only": Service(mishap=broken(pause), settings={"max_in_flight": 1})}

        async def main(engine: Engine) -> None:
            assert [one.provider for one in await at_once(engine, 4)] == ["only"] * 4

        run_with_services(services, main)
        assert len(services["only"].orders) == 5


class TestTurns:
    def test_one_that_is_known_not_to_come_is_not_waited_for(self) -> None:
        services = {"first": Service(settings={"rate": "1/hour"}), "second": Service()}

        async def main(engine: Engine) -> None:
            assert (await engine.solve(TASK, None)).provider == "first"
            result = await engine.solve(TASK, None)
            assert (result.provider, result.elapsed) == ("second", 4.0)
            assert failures(result) == [("first", NotAsked)]

        run_with_services(services, main)

    @pytest.mark.parametrize("names", [["first"], ["first", "second"]], ids=len)
    def test_where_none_comes_the_solve_ends_at_once(self, names: Sequence[str]) -> None:
        services = {name: Service(settings={"rate": "1/hour"}) for name in names}

        async def main(engine: Engine) -> None:
            for _ in names:
                await engine.solve(TASK, None)
            before = asyncio.get_running_loop().time()
            ended = await fail(engine, 300)
            assert asyncio.get_running_loop().time() == before
            assert type(ended) is AllProvidersFailed
            assert failures(ended) == [(name, NotAsked) for name in names]
            assert "no job was allowed in time: the rate is 1/hour" in str(ended)

        run_with_services(services, main)

    def test_one_that_leaves_no_time_for_a_question_is_not_taken(self) -> None:
        services = {"only": Service(settings={"rate": "1/minute"})}

        async def main(engine: Engine) -> None:
            await engine.solve(TASK, None)
            assert failures(await fail(engine, 56.5)) == [("only", NotAsked)]
            assert asyncio.get_running_loop().time() == 4
            # So it is there for whoever has more time.
            assert (await engine.solve(TASK, 120)).provider == "only"

        run_with_services(services, main)
        assert services["only"].orders == [0.0, 60.0]

    def test_one_that_comes_after_the_share_of_its_provider_is_waited_for_in_the_end(self) -> None:
        services = {"first": Service(settings={"rate": "1/minute"}), "bad": Service(answer=None)}

        async def main(engine: Engine) -> None:
            await engine.solve(TASK, None)
            assert (await engine.solve(TASK, 80)).provider == "first"

        run_with_services(services, main)
        assert services["first"].orders == [0.0, 60.0]


class TestAPlaceThatComesTooLate:
    @pytest.mark.parametrize("keys", [{}, {"rate": "9/second"}], ids=["", "beside a rate"])
    def test_for_an_order_is_told_with_the_limit_that_was_waited_for(
        self, keys: Mapping[str, object]
    ) -> None:
        services = {"only": Service(settings={"max_in_flight": 1, **keys})}

        async def main(engine: Engine) -> str:
            first = asyncio.ensure_future(engine.solve(TASK, None))
            await asyncio.sleep(1)
            ended = await fail(engine, 3.5)
            assert failures(ended) == [("only", NotAsked)]
            await first
            return str(ended)

        told = run_with_services(services, main)
        assert "waiting left no time for a job: max_in_flight is 1; raise that limit" in told

    def test_for_its_share_but_in_time_for_the_solve_is_taken(self) -> None:
        """It comes after 3.5 seconds of 4, of which the solve has 8; the rate does not matter then."""
        services = {
            "first": Service(seconds=in_turn(3.0, 0.5), settings={"max_in_flight": 1, "rate": "9/second"}),
            "second": Service(),
        }

        async def main(engine: Engine) -> None:
            first = asyncio.ensure_future(engine.solve(TASK, None))
            await asyncio.sleep(0.5)
            assert (await engine.solve(TASK, 8)).provider == "first"
            await first

        run_with_services(services, main)
        assert services["first"].orders == [0.0, 4.0]


class TestTheSecondTryOfAnOrder:
    def test_it_is_not_sent_where_its_turn_comes_too_late_for_a_question(self) -> None:
        services = {"only": Service(mishap=broken(NOT_SENT), settings={"rate": "1/minute"})}

        async def main(engine: Engine) -> None:
            assert failures(await fail(engine, 60.2)) == [("only", ServiceUnavailable)]

        run_with_services(services, main)
        assert services["only"].orders == [0.0]

    def test_it_is_sent_where_its_turn_comes_in_time(self) -> None:
        services = {"only": Service(mishap=broken(NOT_SENT), settings={"rate": "1/minute"})}

        async def main(engine: Engine) -> None:
            assert failures(await engine.solve(TASK, 90)) == []

        run_with_services(services, main)
        assert services["only"].orders == [0.0, 60.0]

    def test_it_is_not_sent_where_the_provider_cools_by_then(self) -> None:
        services = {"dead": Service(mishap=unreachable), "second": Service()}

        async def main(engine: Engine) -> float | None:
            await at_once(engine, 50)
            assert (await engine.health())["dead"].state is ProviderState.COOLING
            return engine._accounts["dead"].admission.health.since  # pyright: ignore[reportPrivateUsage]

        since = run_with_services(services, main, chance=random.Random(1).random)
        assert since is not None
        assert len(services["dead"].orders) > 50
        assert all(at <= since for at in services["dead"].orders)

    def test_it_is_not_sent_once_the_answer_came_from_another(self) -> None:
        full = Mishap(ServiceUnavailable("full", nothing_created=True, retry_after=10))
        services = {"slow": Service(seconds=lambda: 19.0), "hedge": Service(mishap=broken(full))}

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, None)
            assert result.provider == "slow"
            assert [attempt.provider for attempt in result.attempts] == ["slow"]
            await asyncio.sleep(100)

        run_with_services(services, main, hedge_after="15s", hedge_limit="100%")
        assert (services["hedge"].orders, services["hedge"].jobs) == ([15.0], 0)


class TestHedges:
    def test_one_that_is_due_while_the_second_cools_is_made_when_that_opens(self) -> None:
        services = {
            "slow": Service(seconds=lambda: 100.0, mishap=broken(LOST)),
            "second": Service(mishap=broken(Mishap(json_reply({}, 429, retry_after="20")))),
        }

        async def main(engine: Engine) -> None:
            assert failures(await fail(engine, 5)) == [("slow", AmbiguousCreate), ("second", RateLimited)]
            result = await engine.solve(TASK, None)
            assert (result.provider, failures(result)) == ("second", [("slow", Overtaken)])

        run_with_services(services, main, hedge_after="15s", hedge_limit="100%")
        assert services["second"].orders == [0.0, 20.0]


class TestAServiceWhoseJobsAreNeverDone:
    def test_it_is_left_alone_even_where_solves_have_little_time(self) -> None:
        services = {"hole": Service(seconds=lambda: HOLE), "second": Service()}

        async def main(engine: Engine) -> None:
            for _ in range(60):
                assert (await engine.solve(TASK, 50)).provider == "second"

        run_with_services(services, main)
        orders = services["hole"].orders
        assert len(orders) < 15
        assert all(later - earlier > 30 for earlier, later in pairwise(orders[5:]))

    def test_short_solves_probe_it_once_a_cooldown(self) -> None:
        health = {"health": {"failures": 1, "cooldown": "10m"}}
        services = {"hole": Service(seconds=lambda: HOLE, settings=health), "second": Service()}

        async def main(engine: Engine) -> None:
            await engine.solve(TASK, 120)
            assert (await engine.health())["hole"].state is ProviderState.COOLING
            await asyncio.sleep(600)
            while asyncio.get_running_loop().time() < 4000:
                assert (await engine.solve(TASK, 20)).provider == "second"

        run_with_services(services, main)
        assert 5 <= len(services["hole"].orders) <= 7
        assert all(later - earlier >= 600 for earlier, later in pairwise(services["hole"].orders))


class TestFastest:
    def test_who_refuses_every_order_is_not_asked_first_for_ever(self) -> None:
        services = {"never": always(CLOSED), "good": Service()}

        async def main(engine: Engine) -> None:
            asked = [(await engine.solve(TASK, None)).attempts[0].provider for _ in range(20)]
            assert asked == ["never", *["good"] * 19]

        run_with_services(services, main, strategy="fastest")

    def test_nor_is_an_engine_that_always_fails(self, sandbox: Sandbox, quick: QuickOmo) -> None:
        reader = LocalEngine(raising(lambda: KeyError("broken")))
        mapping = {
            "providers": {
                "own": {"plugin": "odd", "who": "own"},
                "omo": {"plugin": "omocaptcha", **sandbox.settings()},
            },
            "routes": {"image-to-text": {"providers": ["own", "omo"], "strategy": "fastest"}},
        }
        picture = sandbox.draw_text("x7kp2")
        with Hub.from_mapping(mapping, plugins=[quick, CustomPlugin({"own": reader})]) as hub:
            assert [hub.solve(picture.task()).provider for _ in range(5)] == ["omo"] * 5
        assert reader.calls == 1


class TestALoneProvider:
    def test_that_can_t_be_reached_is_tried_until_close_to_the_deadline(self) -> None:
        services = {"only": Service(mishap=unreachable, settings=UNTIRING)}

        async def main(engine: Engine) -> None:
            await fail(engine, 120)

        run_with_services(services, main, chance=random.Random(3).random)
        assert 118 <= services["only"].orders[-1] < 119
        assert all(later - earlier <= 15 for earlier, later in pairwise(services["only"].orders))

    @pytest.mark.parametrize("late", [0.0, 0.003, 0.05])
    def test_has_its_last_try_though_timers_are_late_as_on_a_real_clock(self, late: float) -> None:
        class LateClock(VirtualClockLoop):
            def advance(self, seconds: float | None) -> None:
                super().advance(seconds + late if seconds else seconds)

        services = {"only": ScriptedProvider(step=lambda _: NOT_SENT.step, settings=UNTIRING)}

        async def main(engine: Engine) -> None:
            await fail(engine, 60)

        run_with_providers(services, main, clock=LateClock)
        assert 58 <= services["only"].orders[-1] <= 59


class TestAnEngineThatStillWorks:
    @pytest.fixture
    def go_on(self) -> Iterator[threading.Event]:
        event = threading.Event()
        yield event
        event.set()

    def test_waiting_for_its_thread_is_no_failure_of_it(self, go_on: threading.Event) -> None:
        def read() -> TextSolution:
            go_on.wait(60)
            return TextSolution("x7kp2")

        reader = LocalEngine(read)
        own = {
            "plugin": "odd",
            "who": "own",
            "max_in_flight": 1,
            "timeout": "200ms",
            "health": {"failures": 2},
        }
        with Hub.from_mapping({"providers": {"own": own}}, plugins=[CustomPlugin({"own": reader})]) as hub:
            for error in (JobTimeout, NotAsked, NotAsked, NotAsked):
                with pytest.raises(AllProvidersFailed) as caught:
                    hub.solve(TASK, timeout=0.3)
                assert failures(caught.value) == [("own", error)]
            assert hub.health()["own"].state is ProviderState.HEALTHY
            assert reader.calls == 1
            go_on.set()
            assert hub.solve(TASK, timeout=60).solution.text == "x7kp2"
