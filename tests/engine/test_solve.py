"""Several providers for one task, on a virtual clock: who is asked, when, as well, or not any more."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import pytest
from captchahub_omocaptcha.dialect import SERVICES, TYPE_IDS

from captchahub import (
    AllProvidersFailed,
    AmbiguousCreate,
    AuthenticationError,
    ImageToText,
    InsufficientBalance,
    JobFailed,
    JobTimeout,
    MalformedReply,
    NotAsked,
    Outvoted,
    Overtaken,
    ProviderState,
    RateLimited,
    Result,
    ServiceUnavailable,
    SolveTimeout,
    TaskRefused,
    TextSolution,
    WrongSolution,
)
from captchahub._engine.engine import Engine
from captchahub.hookspecs import hookimpl
from captchahub.tasks import Solution, Task
from captchahub.testing import Hang, Mishap, Slow, json_reply
from tests.journal.test_journal import Shared
from tests.virtual_services import (
    PICTURE,
    TASK,
    Service,
    broken,
    heavy_tail,
    in_turn,
    run_with_services,
    unreachable,
    unreachable_until,
)

LOST = Mishap(ServiceUnavailable("the connection broke"), handled=True)
NEVER_CAME = Mishap(ServiceUnavailable("the connection broke"))
BUSY = Mishap(json_reply({}, 429))
BAD_GATEWAY = Mishap(json_reply({}, 502))
BAD_TOKEN = Mishap(json_reply({"error": True, "message": "Invalid api token."}))
NO_MONEY = Mishap(json_reply({"error": True, "message": "Your balance is not enough."}))
BAD_PICTURE = Mishap(json_reply({"error": True, "message": "Image is invalid."}))
CLOSED = Mishap(json_reply({"error": True, "message": "This service is closed."}))

# Jobs are polled at times that do not depend on earlier ones.
EVERY_TWO_SECONDS = {"poll": {"first": "2s", "every": "2s"}}


def failures(solved: Result[TextSolution] | BaseException) -> list[tuple[str, type[BaseException]]]:
    """Who failed with what, in order."""
    attempts = solved.attempts if isinstance(solved, (Result, AllProvidersFailed)) else ()
    return [(one.provider, type(one.error)) for one in attempts if one.error is not None]


async def solve(engine: Engine) -> Result[TextSolution]:
    return await engine.solve(TASK, None)


async def fail(engine: Engine) -> Exception:
    try:
        result = await engine.solve(TASK, None)
    except Exception as error:  # noqa: BLE001 - what it was is what the tests look at
        return error
    raise AssertionError(f"it was solved: {result}")


def always(mishap: Mishap, *, on: str) -> Service:
    return Service(mishap=lambda call: mishap if call == on else None)


WAYS_TO_BREAK = {
    "not reachable": Mishap(ServiceUnavailable("nobody listens", nothing_created=True)),
    "lost before": NEVER_CAME,
    "lost after": LOST,
    "hanging": Mishap(Hang()),
    "hanging after": Mishap(Hang(), handled=True),
    "too late": Mishap(Slow(300, json_reply({})), handled=True),
    "502": BAD_GATEWAY,
    "503 with a pause": Mishap(json_reply({}, 503, retry_after="5")),
    "429": BUSY,
    "429 with a pause": Mishap(json_reply({}, 429, retry_after="600")),
    "401": Mishap(json_reply({}, 401)),
    "404": Mishap(json_reply({}, 404)),
    "no JSON object": Mishap(json_reply([])),
    "no id": Mishap(json_reply({"error": False}), handled=True),
    "too large": Mishap(MalformedReply("more than a million bytes"), handled=True),
    "refused token": BAD_TOKEN,
    "no money": NO_MONEY,
    "closed": CLOSED,
    "odd words": Mishap(json_reply({"error": True, "message": "The moon is in the wrong house."})),
}


def service_with_slow_prices(seconds: float, *, rate: str) -> Service:
    """A service whose price list takes a time, while attempts have their turn of the rate already."""
    line = {"id": int(TYPE_IDS["image-to-text"]), "price": "0.001", "is_active": 1}
    prices = Mishap(Slow(seconds, json_reply({"error": False, "service": [line]})))
    settings = {"rate": rate, "budget": {"limit": "1", "per": "total"}}
    return Service(settings=settings, mishap=broken(prices, on=SERVICES))


def pairs_of_ways(seed: str) -> Sequence[tuple[str, str]]:
    """Some of all pairs, others for each seed; CAPTCHAHUB_FAULT_PAIRS=16 gives them all."""
    every = [(one, other) for one in WAYS_TO_BREAK for other in WAYS_TO_BREAK]
    few = 25 * int(os.environ.get("CAPTCHAHUB_FAULT_PAIRS", "2"))
    return random.Random(seed).sample(every, min(few, len(every)))


class TestThreeProviders:
    @pytest.mark.parametrize("call", ["createJob", "getJobResult", "both"])
    @pytest.mark.parametrize("whole", ["first", "second", "third"])
    def test_any_one_that_works_is_enough(self, whole: str, call: str) -> None:
        for ways in pairs_of_ways(f"{whole}, {call}"):
            mishaps = iter(WAYS_TO_BREAK[way] for way in ways)
            services = {
                name: Service() if name == whole else _broken_service(next(mishaps), call)
                for name in ("first", "second", "third")
            }
            result = run_with_services(services, solve)
            assert (result.provider, result.solution.text) == (whole, "x7kp2"), ways
            told = [attempt.provider for attempt in result.attempts]
            assert told[-1] == whole
            assert all(attempt.error is not None for attempt in result.attempts[:-1])
            before = ["first", "second", "third"][: ["first", "second", "third"].index(whole)]
            assert set(before) <= set(told), ways
            for name, service in services.items():
                # Orders that may have arrived are never sent again.
                assert service.jobs <= 1, (ways, name)

    def test_the_callers_own_mistake_is_shown_to_one_provider_only(self) -> None:
        services = {"first": always(BAD_PICTURE, on="createJob"), "second": Service(), "third": Service()}
        assert isinstance(run_with_services(services, fail), TaskRefused)
        assert (services["second"].orders, services["third"].orders) == ([], [])

    def test_what_happened_is_told_in_a_line_for_each(self) -> None:
        services = {
            "first": always(BAD_TOKEN, on="createJob"),
            "second": Service(answer=None),
            "third": always(BAD_GATEWAY, on="createJob"),
        }
        error = run_with_services(services, fail)
        assert isinstance(error, AllProvidersFailed)
        summary, *lines = str(error).splitlines()
        assert summary == "no provider solved this image-to-text task"
        assert [line.split(",")[0].split(" (")[0].strip(" -") for line in lines] == [*services]
        assert "second (job 100000), 4.0 s: JobFailed" in lines[1]
        assert [type(one) for one in error.exceptions] == [AuthenticationError, JobFailed, AmbiguousCreate]


def _broken_service(mishap: Mishap, call: str) -> Service:
    return Service(mishap=lambda name: mishap if call in (name, "both") else None)


class TestTime:
    def test_a_share_is_kept_for_those_still_to_come(self) -> None:
        services = {"first": always(Mishap(Hang()), on="createJob"), "second": Service(), "third": Service()}

        async def main(engine: Engine) -> Result[TextSolution]:
            return await engine.solve(TASK, 20)

        result = run_with_services(services, main)
        assert failures(result) == [("first", AmbiguousCreate)]
        assert result.attempts[0].elapsed == 10.0

    def test_the_limit_of_a_provider_goes_before_its_share(self) -> None:
        services = {
            "first": Service(seconds=lambda: 500.0, settings={"timeout": "70s"}),
            "second": Service(seconds=lambda: 30.0),
        }
        result = run_with_services(services, solve)
        assert failures(result) == [("first", JobTimeout)]
        assert 69 <= result.attempts[0].elapsed <= 70

    def test_the_last_one_has_all_that_is_left(self) -> None:
        services = {"first": always(BAD_TOKEN, on="createJob"), "second": Service(seconds=lambda: 110.0)}
        assert run_with_services(services, solve).provider == "second"


class TestRules:
    """What a route allows: it only ever narrows the table of the design."""

    def test_an_error_that_is_not_named_ends_the_solve(self) -> None:
        services = {"first": Service(answer=None), "second": Service()}
        error = run_with_services(services, fail, fallback_on=["ServiceUnavailable", "AmbiguousCreate"])
        assert failures(error) == [("first", JobFailed), ("second", NotAsked)]
        assert str(error).splitlines()[0] == (
            "no provider solved this image-to-text task, and after JobFailed no other provider is called"
        )
        assert services["second"].orders == []

    def test_a_provider_that_may_not_be_left_is_tried_again(self) -> None:
        services = {"first": Service(mishap=broken(BUSY)), "second": Service()}
        result = run_with_services(services, solve, fallback_on=["JobFailed"])
        assert (result.provider, services["second"].orders) == ("first", [])

    def test_an_order_that_may_have_arrived_can_end_it(self) -> None:
        services = {"first": always(LOST, on="createJob"), "second": Service()}
        error = run_with_services(services, fail, on_ambiguous="fail")
        assert failures(error) == [("first", AmbiguousCreate), ("second", NotAsked)]

    def test_a_job_that_takes_too_long_can_end_it(self) -> None:
        services = {"first": Service(seconds=lambda: 500.0, settings={"timeout": "20s"}), "second": Service()}
        error = run_with_services(services, fail, on_timeout="fail")
        assert failures(error) == [("first", JobTimeout), ("second", NotAsked)]

    def test_there_can_be_a_most_of_attempts(self) -> None:
        services = {name: Service(answer=None) for name in ("first", "second", "third")}
        error = run_with_services(services, fail, max_attempts=2)
        assert failures(error) == [("first", JobFailed), ("second", JobFailed), ("third", NotAsked)]
        assert str(error).splitlines()[0] == "no provider solved this image-to-text task in 2 attempts"

    def test_one_attempt_is_not_told_as_several(self) -> None:
        error = run_with_services({"first": Service(answer=None), "second": Service()}, fail, max_attempts=1)
        assert str(error).splitlines()[0] == "no provider solved this image-to-text task in 1 attempt"


def forget_the_limits(**settings: object) -> dict[str, object]:
    return {"health": {"failures": 3, "cooldown": "30s", **settings}}


class TestHealth:
    def test_a_dead_provider_costs_one_probe_a_cooldown_at_50_solves_at_once(self) -> None:
        services = {
            "dead": Service(mishap=unreachable, settings=forget_the_limits()),
            "alive": Service(seconds=lambda: 6.0, settings=EVERY_TWO_SECONDS),
        }

        async def main(engine: Engine) -> None:
            for _ in range(3):
                await engine.solve(TASK, None)
            assert (await engine.health())["dead"].state is ProviderState.COOLING
            begun = len(services["dead"].orders)

            async def keep_solving() -> None:
                while asyncio.get_running_loop().time() < 180:
                    assert (await engine.solve(TASK, None)).provider == "alive"

            await asyncio.gather(*(keep_solving() for _ in range(50)))
            probes = services["dead"].orders[begun:]
            assert 5 <= len(probes) <= 6
            assert all(later - earlier >= 30 for earlier, later in pairwise(probes))

        run_with_services(services, main)

    def test_it_comes_back_with_the_first_probe_that_works(self) -> None:
        services = {"first": Service(mishap=unreachable, settings=forget_the_limits()), "second": Service()}

        async def main(engine: Engine) -> None:
            for _ in range(3):
                await engine.solve(TASK, None)
            services["first"].mishap = lambda _: None
            assert (await engine.solve(TASK, None)).provider == "second"
            await asyncio.sleep(30)
            assert (await engine.health())["first"].state is ProviderState.HALF_OPEN
            assert (await engine.solve(TASK, None)).provider == "first"
            assert (await engine.health())["first"].state is ProviderState.HEALTHY

        run_with_services(services, main)

    def test_where_all_are_cooling_the_soonest_is_waited_for(self) -> None:
        services = {
            "slow": Service(mishap=broken(Mishap(json_reply({}, 429, retry_after="90")))),
            "soon": Service(mishap=broken(Mishap(json_reply({}, 429, retry_after="30")))),
        }
        result = run_with_services(services, solve)
        assert result.provider == "soon"
        assert services["soon"].orders[-1] >= 30

    def test_where_none_cools_in_time_it_says_so_at_once(self) -> None:
        services = {"only": always(Mishap(json_reply({}, 429, retry_after="600")), on="createJob")}

        async def main(engine: Engine) -> None:
            await fail(engine)
            before = asyncio.get_running_loop().time()
            error = await fail(engine)
            assert asyncio.get_running_loop().time() == before
            assert failures(error) == [("only", NotAsked)]
            assert "it cools down for another" in str(error)
            assert "RateLimited: HTTP 429" in str(error)

        run_with_services(services, main)

    def test_solves_that_wait_for_a_probe_go_on_when_it_works(self) -> None:
        settings = forget_the_limits(failures=1, cooldown="20s")
        services = {"only": Service(mishap=unreachable_until(10), settings=settings)}

        async def main(engine: Engine) -> None:
            results = await asyncio.gather(*(solve(engine) for _ in range(10)))
            assert [one.provider for one in results] == ["only"] * 10

        run_with_services(services, main)
        later = [at for at in services["only"].orders if at > 10]
        assert len(later) == 10
        assert later[1] == later[0]  # the probe was first, and the others followed once it had its job

    def test_where_jobs_failed_they_wait_for_its_answer(self) -> None:
        settings = {"timeout": "5s", **forget_the_limits(failures=1)}
        services = {"only": Service(seconds=in_turn(1e6, *[3.0] * 10), settings=settings)}

        async def main(engine: Engine) -> None:
            assert failures(await fail(engine)) == [("only", JobTimeout)]
            results = await asyncio.gather(*(solve(engine) for _ in range(10)))
            assert [one.provider for one in results] == ["only"] * 10

        run_with_services(services, main)
        _, probe, *others = services["only"].orders
        # Of five seconds, the last half is kept for the reply to the last question.
        assert others == [probe + 4.5] * 9

    def test_who_is_busy_cools_for_as_long_as_it_says(self) -> None:
        pause = Mishap(json_reply({}, 429, retry_after="40"))
        services = {"busy": Service(mishap=broken(pause)), "other": Service()}

        async def main(engine: Engine) -> None:
            assert (await engine.solve(TASK, None)).provider == "other"
            await asyncio.sleep(30)
            assert (await engine.health())["busy"].state is ProviderState.COOLING
            assert (await engine.solve(TASK, None)).provider == "other"
            await asyncio.sleep(10)
            assert (await engine.solve(TASK, None)).provider == "busy"

        run_with_services(services, main)
        assert len(services["busy"].orders) == 2

    def test_one_that_was_only_busy_is_open_for_all_once_it_takes_a_job(self) -> None:
        services = {"busy": Service(seconds=lambda: 60.0, mishap=broken(BUSY))}

        async def main(engine: Engine) -> None:
            await asyncio.gather(*(solve(engine) for _ in range(5)))

        run_with_services(services, main)
        assert max(services["busy"].orders) < 10

    @pytest.mark.parametrize(
        ("mishap", "error"), [(BAD_TOKEN, AuthenticationError), (NO_MONEY, InsufficientBalance)]
    )
    def test_who_refuses_the_account_is_out_until_revived(
        self, mishap: Mishap, error: type[Exception]
    ) -> None:
        services = {"first": always(mishap, on="createJob"), "second": Service()}

        async def main(engine: Engine) -> None:
            assert failures(await engine.solve(TASK, None)) == [("first", error)]
            await asyncio.sleep(100_000)
            assert failures(await engine.solve(TASK, None)) == []
            health = (await engine.health())["first"]
            assert (health.state, health.until) == (ProviderState.OUT, None)
            assert error.__name__ in (health.reason or "")
            services["first"].mishap = lambda _: None
            await engine.revive("first")
            assert (await engine.solve(TASK, None)).provider == "first"

        run_with_services(services, main)

    def test_a_look_at_the_balance_brings_a_topped_up_account_back(self) -> None:
        services = {"only": Service(balance="0")}

        async def main(engine: Engine) -> None:
            assert failures(await fail(engine)) == [("only", InsufficientBalance)]
            await engine.balances()
            error = await fail(engine)
            assert failures(error) == [("only", NotAsked)]
            assert "hub.revive('only')" in str(error)
            next(iter(services["only"].world.accounts.values())).balance = Decimal(5)
            await engine.balances()
            assert (await engine.solve(TASK, None)).provider == "only"

        run_with_services(services, main)

    def test_http_402_is_no_money_and_told_in_the_services_words(self) -> None:
        broke = Mishap(json_reply({"error": "Top up, please"}, 402))
        services = {"first": always(broke, on="createJob"), "second": Service()}

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, None)
            assert failures(result) == [("first", InsufficientBalance)]
            assert "it says 'Top up, please'; top up the account" in str(result.attempts[0])
            assert (await engine.health())["first"].state is ProviderState.OUT

        run_with_services(services, main)

    def test_the_callers_own_mistakes_never_count(self) -> None:
        services = {"first": always(BAD_PICTURE, on="createJob")}

        async def main(engine: Engine) -> None:
            for _ in range(50):
                assert isinstance(await fail(engine), TaskRefused)
            assert (await engine.health())["first"].state is ProviderState.HEALTHY

        run_with_services(services, main)

    def test_too_little_time_for_a_job_is_no_fault_of_the_provider(self) -> None:
        services = {"first": Service(seconds=lambda: 20.0)}

        async def main(engine: Engine) -> None:
            for _ in range(10):
                with pytest.raises(SolveTimeout):
                    await engine.solve(TASK, 5)
            assert (await engine.health())["first"].state is ProviderState.HEALTHY

        run_with_services(services, main)

    def test_a_probe_that_is_cancelled_lets_the_next_one_through(self) -> None:
        settings = {"timeout": "5s", **forget_the_limits(failures=1)}
        services = {"only": Service(seconds=in_turn(1e6, 3.0, 3.0), settings=settings)}

        async def main(engine: Engine) -> None:
            assert failures(await fail(engine)) == [("only", JobTimeout)]
            await asyncio.sleep(30)
            probing = asyncio.ensure_future(engine.solve(TASK, None))
            await asyncio.sleep(1)
            waiting = asyncio.ensure_future(engine.solve(TASK, None))
            await asyncio.sleep(1)
            assert services["only"].jobs == 2
            probing.cancel()
            assert (await waiting).provider == "only"

        run_with_services(services, main)


class TestLimits:
    def test_no_more_jobs_are_open_than_allowed_and_all_are_done_in_turn(self) -> None:
        services = {"only": Service(settings={"max_in_flight": 3})}

        async def main(engine: Engine) -> None:
            order: list[int] = []

            async def one(number: int) -> None:
                await engine.solve(TASK, None)
                order.append(number)

            await asyncio.gather(*(one(number) for number in range(12)))
            assert [number // 3 for number in order] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]

        run_with_services(services, main)
        orders = services["only"].orders
        assert all(later - earlier >= 3 for earlier, later in zip(orders, orders[3:], strict=False))

    def test_a_rate_is_kept_exactly_and_in_turn(self) -> None:
        services = {"only": Service(settings={"rate": "4/minute"})}

        async def main(engine: Engine) -> None:
            await asyncio.gather(*(engine.solve(TASK, 600) for _ in range(14)))

        run_with_services(services, main)
        orders = services["only"].orders
        assert len(orders) == 14
        assert all(later - earlier >= 60 for earlier, later in zip(orders, orders[4:], strict=False))
        assert orders[-1] == 180.0

    def test_a_job_that_is_sent_later_than_its_turn_takes_another_turn(self) -> None:
        services = {"only": service_with_slow_prices(5.0, rate="1/second")}

        async def main(engine: Engine) -> None:
            await asyncio.gather(*(engine.solve(TASK, 60, share=False) for _ in range(3)))

        run_with_services(services, main)
        orders = services["only"].orders
        assert len(orders) == 3
        assert all(later - earlier >= 1 for earlier, later in pairwise(orders))

    @pytest.mark.parametrize("is_shared", [False, True])
    def test_a_turn_that_came_too_early_is_given_back(self, is_shared: bool) -> None:
        services = {"only": service_with_slow_prices(5.0, rate="3/minute")}

        async def main(engine: Engine) -> None:
            await asyncio.gather(*(engine.solve(TASK, 50, share=False) for _ in range(3)))

        run_with_services(services, main, journal=Shared() if is_shared else None)
        assert len(services["only"].orders) == 3
        assert services["only"].orders[-1] < 10

    def test_waiting_for_a_place_is_no_timeout_of_the_service(self) -> None:
        services = {"full": Service(seconds=lambda: 100.0, settings={"max_in_flight": 1}), "other": Service()}

        async def main(engine: Engine) -> None:
            first = asyncio.ensure_future(engine.solve(TASK, 300))
            await asyncio.sleep(1)
            second = await engine.solve(TASK, 40)
            assert failures(second) == [("full", NotAsked)]
            assert "max_in_flight is 1" in str(second.attempts[0])
            assert second.provider == "other"
            assert (await first).provider == "full"
            assert (await engine.health())["full"].state is ProviderState.HEALTHY

        run_with_services(services, main)

    def test_who_waits_can_leave_and_takes_nobodys_turn_along(self) -> None:
        services = {"only": Service(settings={"max_in_flight": 1, "rate": "1/second"})}

        async def main(engine: Engine) -> None:
            solves = [asyncio.ensure_future(solve(engine)) for _ in range(4)]
            await asyncio.sleep(0.5)
            for waiting in solves[1:3]:
                waiting.cancel()
            await asyncio.wait(solves)
            assert [one.cancelled() for one in solves] == [False, True, True, False]

        run_with_services(services, main)
        assert len(services["only"].orders) == 2

    def test_no_slot_at_the_service_is_waited_for(self) -> None:
        no_slot = Mishap(json_reply({"error": True, "message": "No slot available, try later."}))
        services = {"only": Service(mishap=broken(no_slot, no_slot, no_slot))}
        assert run_with_services(services, solve).provider == "only"
        assert len(services["only"].orders) == 4


class TestStrategies:
    def test_weights_share_the_solves(self) -> None:
        services = {"omo": Service(), "spare": Service(), "backup": Service()}
        chance = random.Random(7).random

        async def main(engine: Engine) -> None:
            await asyncio.gather(*(solve(engine) for _ in range(400)))

        run_with_services(services, main, chance=chance, providers=[{"omo": 3, "spare": 1}, "backup"])
        assert services["omo"].jobs + services["spare"].jobs == 400
        assert 260 <= services["omo"].jobs <= 340
        assert services["backup"].jobs == 0

    def test_the_cheapest_is_asked_first(self) -> None:
        services = {
            "dear": Service(settings={"prices": {"image-to-text": 0.002}}),
            "listed": Service(),  # 0.00055, by its own list
            "cheap": Service(settings={"prices": {"image-to-text": 0.0001}}),
        }

        async def main(engine: Engine) -> None:
            assert (await engine.solve(TASK, None)).provider == "cheap"
            services["cheap"].answer = None
            assert [one.provider for one in (await engine.solve(TASK, None)).attempts] == ["cheap", "listed"]

        run_with_services(services, main, strategy="cheapest")
        assert len(services["listed"].transport.calls_to("getService")) == 1

    def test_a_list_that_does_not_come_is_not_waited_for(self) -> None:
        services = {
            "silent": always(Mishap(Hang()), on="getService"),
            "priced": Service(settings=EVERY_TWO_SECONDS),
        }
        result = run_with_services(services, solve, strategy="cheapest")
        assert (result.provider, result.elapsed) == ("priced", 6.0)

    def test_the_fastest_is_asked_first_once_it_is_known(self) -> None:
        services = {"slow": Service(seconds=lambda: 20.0), "quick": Service(seconds=lambda: 4.0)}

        async def main(engine: Engine) -> None:
            assert [(await engine.solve(TASK, None)).provider for _ in range(4)] == ["slow", *["quick"] * 3]

        run_with_services(services, main, strategy="fastest")

    def test_a_balanced_route_spreads_what_has_no_weights_evenly(self) -> None:
        services = {name: Service() for name in ("a", "b", "c")}

        async def main(engine: Engine) -> None:
            await asyncio.gather(*(solve(engine) for _ in range(300)))

        run_with_services(services, main, chance=random.Random(3).random, strategy="balanced")
        assert all(70 <= service.jobs <= 130 for service in services.values())


class TestHedging:
    def test_a_second_provider_is_asked_while_the_first_still_works(self) -> None:
        services = {"slow": Service(seconds=lambda: 50.0), "quick": Service()}
        result = run_with_services(services, solve, hedge_after="15s", hedge_limit="100%")
        assert (result.provider, result.elapsed) == ("quick", 19.0)
        assert failures(result) == [("slow", Overtaken)]
        assert services["quick"].orders == [15.0]

    def test_who_is_overtaken_is_harvested_and_its_cost_is_counted(self) -> None:
        price = {"prices": {"image-to-text": 0.001}}
        services = {"slow": Service(seconds=lambda: 50.0, settings=price), "quick": Service(settings=price)}

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, None)
            assert (result.cost, result.total_cost) == (Decimal("0.001"), Decimal("0.002"))
            await asyncio.sleep(60)
            (job,) = services["slow"].world.jobs.values()
            assert job.delivered == 1

        run_with_services(services, main, hedge_after="15s", hedge_limit="100%")

    def test_the_first_answer_wins_whoever_gives_it(self) -> None:
        services = {"slow": Service(seconds=lambda: 16.0), "quick": Service(seconds=lambda: 30.0)}
        result = run_with_services(services, solve, hedge_after="15s", hedge_limit="100%")
        assert result.provider == "slow"
        assert failures(result) == [("quick", Overtaken)]

    def test_where_one_of_the_two_fails_the_other_is_waited_for(self) -> None:
        services = {"slow": Service(seconds=lambda: 30.0), "bad": Service(answer=None), "third": Service()}
        result = run_with_services(services, solve, hedge_after="15s", hedge_limit="100%")
        assert (result.provider, failures(result)) == ("slow", [("bad", JobFailed)])
        assert services["third"].orders == []

    def test_who_waits_for_a_place_is_not_overtaken(self) -> None:
        full = Service(seconds=lambda: 10.0, settings={"max_in_flight": 1, **EVERY_TWO_SECONDS})
        services = {"full": full, "other": Service()}

        async def main(engine: Engine) -> None:
            results = await asyncio.gather(solve(engine), solve(engine))
            assert [one.provider for one in results] == ["full", "full"]

        run_with_services(services, main, hedge_after="11s", hedge_limit="100%")
        assert services["other"].orders == []

    def test_only_a_share_of_solves_is_hedged(self) -> None:
        services = {"slow": Service(seconds=lambda: 30.0), "quick": Service()}

        async def main(engine: Engine) -> None:
            for _ in range(60):
                await engine.solve(TASK, None)

        run_with_services(services, main, hedge_after="10s")
        assert services["quick"].jobs == 3

    def test_a_limit_of_zero_is_none_at_all(self) -> None:
        services = {"slow": Service(seconds=lambda: 30.0), "quick": Service()}
        assert run_with_services(services, solve, hedge_after="0s", hedge_limit=0).provider == "slow"
        assert services["quick"].orders == []

    def test_a_percentile_is_learned_from_finished_jobs(self) -> None:
        services = {
            "first": Service(seconds=in_turn(*[4.0] * 30, 90.0)),
            "second": Service(seconds=lambda: 4.0),
        }

        async def main(engine: Engine) -> None:
            for _ in range(30):
                assert (await engine.solve(TASK, None)).provider == "first"
            late = await engine.solve(TASK, None)
            assert late.provider == "second"
            assert late.elapsed < 15

        run_with_services(services, main, hedge_after="p95", hedge_limit="10%")

    def test_the_95th_percentile_falls_by_half_for_at_most_the_configured_extra_jobs(self) -> None:
        """A service that forgets seven jobs in a hundred for a minute or two."""

        def times(hedge_limit: float) -> tuple[list[float], int]:
            services = {
                "omo": Service(seconds=heavy_tail(11, usual=6.0, slow=60.0, share=0.07)),
                "backup": Service(seconds=heavy_tail(12, usual=6.0, slow=60.0, share=0.07)),
            }

            async def main(engine: Engine) -> list[float]:
                return sorted([(await engine.solve(TASK, 300)).elapsed for _ in range(400)])

            elapsed = run_with_services(services, main, hedge_after="15s", hedge_limit=hedge_limit)
            return elapsed, sum(service.jobs for service in services.values())

        alone, jobs = times(0)
        hedged, more_jobs = times(0.05)
        assert jobs == 400
        assert hedged[380] <= alone[380] / 2
        assert more_jobs <= 420


class TestAgreement:
    def test_two_that_agree_are_enough(self) -> None:
        services = {"a": Service(answer="X7kp2"), "b": Service(answer=" x7KP2"), "c": Service()}
        result = run_with_services(services, solve, agree=2)
        assert result.solution.text == "X7kp2"
        assert [(vote.provider, vote.agrees) for vote in result.votes] == [("a", True), ("b", True)]
        assert services["c"].orders == []
        assert result.elapsed == 4.0

    def test_where_they_differ_another_is_asked(self) -> None:
        services = {"a": Service(answer="wrong"), "b": Service(), "c": Service()}
        result = run_with_services(services, solve, agree=2)
        assert result.solution.text == "x7kp2"
        assert [(vote.provider, vote.agrees) for vote in result.votes] == [
            ("a", False),
            ("b", True),
            ("c", True),
        ]
        assert failures(result) == [("a", Outvoted)]
        assert "answered 'wrong', and 2 others agreed on 'x7kp2'; report the answer with hub.report" in str(
            result.attempts[0]
        )
        assert result.provider == "b"

    def test_case_counts_where_the_task_says_so(self) -> None:
        services = {"a": Service(answer="x7KP2"), "b": Service(answer="x7kp2"), "c": Service(answer="x7kp2")}

        async def main(engine: Engine) -> Result[TextSolution]:
            return await engine.solve(ImageToText(PICTURE, case_sensitive=True), None)

        assert [vote.agrees for vote in run_with_services(services, main, agree=2).votes] == [
            False,
            True,
            True,
        ]

    def test_one_that_fails_is_replaced(self) -> None:
        services = {"a": always(BAD_TOKEN, on="createJob"), "b": Service(), "c": Service()}
        result = run_with_services(services, solve, agree=2)
        assert [vote.provider for vote in result.votes] == ["b", "c"]

    def test_where_nobody_agrees_every_answer_is_told(self) -> None:
        services = {name: Service(answer=f"text{name}") for name in ("a", "b", "c")}
        error = run_with_services(services, fail, agree=2)
        assert failures(error) == [("a", Outvoted), ("b", Outvoted), ("c", Outvoted)]
        assert str(error).startswith("no 2 providers gave the same answer to this image-to-text task")
        assert "a (job 100000), 4.0 s: Outvoted: answered 'texta', and no other provider did, but 2 " in str(
            error
        )

    def test_where_too_few_agree_it_says_how_many_did(self) -> None:
        services = {
            name: Service(answer=text) for name, text in zip("abcd", ["x", "y", "x", "z"], strict=True)
        }
        error = run_with_services(services, fail, agree=3)
        assert isinstance(error, AllProvidersFailed)
        assert [str(attempt.error) for attempt in error.attempts] == [
            "answered 'x', and 1 more did, but 3 must agree",
            "answered 'y', and no other provider did, but 3 must agree",
            "answered 'x', and 1 more did, but 3 must agree",
            "answered 'z', and no other provider did, but 3 must agree",
        ]

    def test_where_only_one_answer_came_it_says_so(self) -> None:
        error = run_with_services({"a": Service(answer="y" * 99), "b": Service(answer=None)}, fail, agree=2)
        assert failures(error) == [("a", Outvoted), ("b", JobFailed)]
        shown = "y" * 59 + "…"
        said = f"answered '{shown}', which is the only answer that came, and 2 must agree; see why the others"
        assert said in str(error)


class TestWrongAnswers:
    class NoQ:
        """A plugin that knows that no picture of this site shows a q."""

        def __init__(self) -> None:
            self.seen: list[tuple[str, str]] = []

        @hookimpl
        def captchahub_check_solution(self, task: Task[Solution], solution: Solution) -> str | None:
            assert isinstance(solution, TextSolution)
            self.seen.append((task.kind, solution.text))
            return "no picture here shows a q" if "q" in solution.text else None

    class Faulty:
        """A plugin whose check is broken."""

        @hookimpl
        def captchahub_check_solution(self, solution: Solution) -> str | None:
            raise KeyError("broken")

    def test_a_plugin_can_refuse_an_answer(self) -> None:
        services = {"first": Service(answer="q7kp2"), "second": Service()}
        check = self.NoQ()
        result = run_with_services(services, solve, plugins=(check,))
        assert failures(result) == [("first", WrongSolution)]
        assert "no picture here shows a q" in str(result.attempts[0])
        assert check.seen == [("image-to-text", "q7kp2"), ("image-to-text", "x7kp2")]

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_a_broken_check_loses_no_answer_and_silences_no_other(
        self, order: Sequence[int], caplog: pytest.LogCaptureFixture
    ) -> None:
        checks: tuple[object, ...] = (self.Faulty(), self.NoQ())
        services = {"first": Service(answer="q7kp2"), "second": Service()}
        result = run_with_services(services, solve, plugins=tuple(checks[place] for place in order))
        assert result.provider == "second"
        assert "captchahub_check_solution of Faulty failed: ignored" in caplog.text
        assert "broken" in caplog.text


class TestCosts:
    PRICE = {"prices": {"image-to-text": 0.001}}

    def test_every_attempt_tells_what_it_cost(self) -> None:
        services = {
            "refused": Service(mishap=always(BAD_TOKEN, on="createJob").mishap, settings=self.PRICE),
            "lost": Service(mishap=always(LOST, on="createJob").mishap, settings=self.PRICE),
            "failed": Service(answer=None, settings=self.PRICE),
            "good": Service(settings=self.PRICE),
        }
        result = run_with_services(services, solve)
        dear = Decimal("0.001")
        assert [attempt.cost for attempt in result.attempts] == [0, dear, dear, dear]
        assert result.total_cost == 3 * dear

    def test_an_unknown_price_is_not_taken_for_nothing(self) -> None:
        result = run_with_services({"only": Service()}, solve)
        assert (result.cost, result.total_cost) == (None, None)


class TestBusyServices:
    def test_a_burst_at_a_service_with_few_places_is_solved_in_the_end(self) -> None:
        """A service that takes four jobs at once and refuses the fifth."""
        services = {"small": Service(settings={"max_in_flight": 4})}
        open_jobs = 0

        def crowded(call: str) -> Mishap | None:
            nonlocal open_jobs
            world = services["small"].world
            open_jobs = sum(job.state(world.now()) == "working" for job in world.jobs.values())
            return BUSY if call == "createJob" and open_jobs >= 4 else None

        services["small"].mishap = crowded

        async def main(engine: Engine) -> list[Result[TextSolution]]:
            return await asyncio.gather(*(engine.solve(TASK, 300) for _ in range(40)))

        results = run_with_services(services, main)
        assert len(results) == 40
        assert all((one.provider, RateLimited) not in failures(one) for one in results)
