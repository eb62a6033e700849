"""A solve with time left does not give up: busy services, outages without another to ask, firewalls, bans."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from captchahub import (
    AllProvidersFailed,
    AmbiguousCreate,
    AuthenticationError,
    JobState,
    ProviderState,
    Result,
    ServiceBusy,
    ServiceUnavailable,
    SolveTimeout,
    TemporarilyBlocked,
    TextSolution,
)
from captchahub._engine.engine import Engine
from captchahub._journal.rows import JobFilter
from captchahub.provider import Reply
from captchahub.testing import Hang, Mishap, json_reply
from tests.virtual_services import (
    NOT_SENT,
    TASK,
    Service,
    broken,
    in_turn,
    run_with_services,
    unreachable,
    unreachable_until,
)

Outcome = Result[TextSolution] | AllProvidersFailed

NO_SLOT = Mishap(json_reply({"errorId": 2, "errorCode": "ERROR_NO_SLOT_AVAILABLE"}))
NO_SLOT_IN_A_503 = Mishap(
    json_reply({"errorId": 2, "errorCode": "ERROR_NO_SLOT_AVAILABLE"}, 503, retry_after="6")
)
BUSY_WORDS = Mishap(json_reply({"error": True, "message": "Hệ thống đang bận"}))
TOO_MANY = Mishap(json_reply({}, 429))
BAD_GATEWAY = Mishap(json_reply({}, 502))
FIREWALL = Mishap(Reply(403, b"<html>Access denied</html>"))
UNTIRING = {"health": {"failures": "never", "error_rate": "never"}}


def now() -> float:
    return asyncio.get_running_loop().time()


async def solved_or_not(engine: Engine, timeout: float) -> Outcome:
    try:
        return await engine.solve(TASK, timeout)
    except AllProvidersFailed as error:
        return error


def solve_all(
    services: Mapping[str, Service], number: int, timeout: float, **route: Any
) -> tuple[list[Outcome], float]:
    """What comes of so many tasks at once, and when the last of them ended."""

    async def main(engine: Engine) -> tuple[list[Outcome], float]:
        outcomes = await asyncio.gather(*(solved_or_not(engine, timeout) for _ in range(number)))
        return outcomes, now()

    return run_with_services(services, main, **route)


def assert_all_solved(outcomes: list[Outcome]) -> None:
    assert [one for one in outcomes if not isinstance(one, Result)] == []


def broken_until(seconds: float, mishap: Mishap, on: str = "createJob") -> Callable[[str], Mishap | None]:
    return lambda call: mishap if call == on and now() < seconds else None


def busy_until(seconds: float, mishap: Mishap = BUSY_WORDS) -> Callable[[str], Mishap | None]:
    return broken_until(seconds, mishap)


class TestAServiceThatIsBusy:
    def createtask(self, *mishaps: Mishap, **settings: Any) -> Service:
        return Service(plugin="createtask", mishap=broken(*mishaps, on="createTask"), settings=settings)

    def test_ten_refusals_for_want_of_a_worker_cost_five_tasks_nothing_but_time(self) -> None:
        services = {"only": self.createtask(*[NO_SLOT] * 10)}
        outcomes, ended = solve_all(services, 5, 30)
        assert_all_solved(outcomes)
        assert ended < 20
        assert services["only"].jobs == 5

    @pytest.mark.parametrize("mishap", [NO_SLOT, NO_SLOT_IN_A_503, TOO_MANY], ids=["200", "503", "429"])
    @pytest.mark.parametrize("number", [5, 50])
    def test_however_it_is_told_and_however_many_there_are(self, mishap: Mishap, number: int) -> None:
        outcomes, _ = solve_all({"only": self.createtask(*[mishap] * 10)}, number, 30)
        assert_all_solved(outcomes)

    @pytest.mark.parametrize(("number", "refusals"), [(1, 4), (2, 9), (3, 12), (50, 150)])
    def test_each_task_comes_back_after_a_pause(self, number: int, refusals: int) -> None:
        outcomes, _ = solve_all({"only": self.createtask(*[NO_SLOT] * refusals)}, number, 30)
        assert_all_solved(outcomes)

    def test_nobody_asks_it_before_the_five_seconds_are_over_that_2captcha_asks_for(self) -> None:
        services = {"only": self.createtask(*[NO_SLOT] * 3)}

        async def main(engine: Engine) -> None:
            first = asyncio.ensure_future(engine.solve(TASK, 60))
            await asyncio.sleep(1)
            await asyncio.gather(first, *(engine.solve(TASK, 60) for _ in range(4)))

        run_with_services(services, main)
        assert services["only"].orders[:1] == [0.0]
        assert [round(at, 1) for at in services["only"].orders[1:]] == [5.0] * 5 + [10.0] * 2

    def test_it_is_asked_after_the_configured_pause_where_it_asks_for_none(self) -> None:
        services = {"only": Service(mishap=broken(BUSY_WORDS), settings={"health": {"busy_cooldown": "7s"}})}
        solve_all(services, 1, 30)
        assert services["only"].orders == [0.0, 7.0]

    def test_the_next_one_is_asked_at_once(self) -> None:
        services = {"busy": self.createtask(NO_SLOT), "other": Service()}
        outcomes, _ = solve_all(services, 1, 30)
        assert [(one.provider, one.elapsed) for one in outcomes if isinstance(one, Result)] == [
            ("other", 4.0)
        ]

    def test_it_is_returned_to_where_the_next_one_fails(self) -> None:
        services = {"busy": self.createtask(NO_SLOT, NO_SLOT), "other": Service(answer=None)}
        (outcome,), _ = solve_all(services, 1, 30)
        assert isinstance(outcome, Result)
        assert outcome.provider == "busy"
        assert [type(one.error) for one in outcome.attempts].count(ServiceBusy) == 2

    def test_it_is_returned_to_by_the_next_solve(self) -> None:
        services = {"busy": self.createtask(NO_SLOT), "other": Service()}

        async def main(engine: Engine) -> None:
            providers = [(await engine.solve(TASK, 30)).provider for _ in range(3)]
            assert providers == ["other", "other", "busy"]

        run_with_services(services, main)

    def test_it_is_never_one_of_the_failures_in_a_row(self) -> None:
        sick = [NOT_SENT, NO_SLOT, NOT_SENT, NO_SLOT]
        services = {"only": self.createtask(*sick, health={"failures": 3, "cooldown": "1h"})}

        async def main(engine: Engine) -> None:
            for _ in range(3):
                await engine.solve(TASK, 60)
                assert (await engine.health())["only"].state is ProviderState.HEALTHY

        run_with_services(services, main)

    def test_all_go_on_at_once_when_it_has_time_again(self) -> None:
        """What kept them was no fault of the service, so that no probe has to go before the others."""
        services = {"only": Service(seconds=lambda: 20.0, mishap=busy_until(3))}
        solve_all(services, 10, 60)
        assert len({at for at in services["only"].orders if at > 3}) == 1

    def test_the_wait_ends_with_the_pause_that_the_solve_has_no_time_for(self) -> None:
        outcomes, ended = solve_all({"only": self.createtask(*[NO_SLOT] * 100)}, 1, 30)
        assert isinstance(outcomes[0], AllProvidersFailed)
        assert {type(error) for error in outcomes[0].exceptions} == {ServiceBusy}
        assert 20 <= ended <= 30

    def test_a_question_for_the_answer_is_asked_again(self) -> None:
        services = {"only": Service(mishap=broken(*[BUSY_WORDS] * 3, on="getJobResult"))}
        outcomes, _ = solve_all(services, 1, 60)
        assert_all_solved(outcomes)
        assert services["only"].jobs == 1

    def test_what_it_refused_costs_nothing(self) -> None:
        services = {"only": self.createtask(*[NO_SLOT] * 4)}

        async def main(engine: Engine) -> None:
            await engine.solve(TASK, 60)
            assert sorted(entry.state.value for entry in await engine.jobs(JobFilter(limit=10))) == [
                *["refused"] * 4,
                "solved",
            ]
            assert (
                sum(entry.charge for entry in await engine.jobs(JobFilter(JobState.REFUSED, limit=10))) == 0
            )

        run_with_services(services, main)


class TestTheOnlyProviderThatCantBeReached:
    @pytest.mark.parametrize("number", [1, 2, 5, 50])
    def test_it_is_found_soon_after_it_is_back(self, number: int) -> None:
        services = {"only": Service(mishap=unreachable_until(3))}
        outcomes, ended = solve_all(services, number, 30)
        assert_all_solved(outcomes)
        assert ended < 3 + 5 + 4

    @pytest.mark.parametrize("timeout", [30, 60, 120])
    @pytest.mark.parametrize(("down", "number"), [(10, 1), (10, 5), (20, 1), (20, 50)])
    def test_however_long_it_was_away(self, down: float, number: int, timeout: float) -> None:
        outcomes, ended = solve_all({"only": Service(mishap=unreachable_until(down))}, number, timeout)
        assert_all_solved(outcomes)
        assert ended <= down + 5 + 4

    def test_one_probe_at_a_time_goes_for_all(self) -> None:
        """And they come less and less often, but every five seconds."""
        services = {"only": Service(mishap=unreachable_until(60))}
        solve_all(services, 50, 120)
        probes = [at for at in services["only"].orders if 1 < at < 60]
        gaps = [later - earlier for earlier, later in pairwise(probes)]
        assert 11 <= len(probes) <= 15
        assert min(gaps) >= 1
        assert gaps == sorted(gaps)
        assert max(gaps) == 5

    def test_a_job_that_is_created_is_proof_enough_for_all(self) -> None:
        services = {"only": Service(seconds=lambda: 15.0, mishap=unreachable_until(3))}
        outcomes, _ = solve_all(services, 10, 30)
        assert_all_solved(outcomes)

    def test_nobody_waits_for_a_long_cooldown(self) -> None:
        settings = {"health": {"failures": 1, "cooldown": "10m"}}
        outcomes, ended = solve_all({"only": Service(mishap=unreachable_until(10), settings=settings)}, 5, 30)
        assert_all_solved(outcomes)
        assert ended < 20

    def test_nor_longer_than_a_short_one(self) -> None:
        settings = {"health": {"failures": 1, "cooldown": "500ms"}}
        services = {"only": Service(mishap=unreachable_until(3), settings=settings)}
        _, ended = solve_all(services, 1, 30)
        assert ended <= 3 + 1 + 4

    @pytest.mark.parametrize("timeout", [8, 11, 15, 22, 30])
    def test_it_is_tried_until_there_is_no_time_for_a_job(self, timeout: float) -> None:
        services = {"only": Service(mishap=unreachable)}
        _, ended = solve_all(services, 5, timeout)
        assert timeout - 2.2 <= ended <= timeout
        assert timeout - 2.2 <= services["only"].orders[-1] <= timeout - 1

    def test_solves_that_end_one_after_the_other_make_no_burst(self) -> None:
        services = {"only": Service(mishap=unreachable)}

        async def main(engine: Engine) -> None:
            await asyncio.gather(*(solved_or_not(engine, 20 + number / 10) for number in range(100)))

        run_with_services(services, main)
        probes = [at for at in services["only"].orders if at > 1]
        assert min(later - earlier for earlier, later in pairwise(probes)) >= 1

    def test_a_new_solve_does_not_fail_because_others_did(self) -> None:
        services = {"only": Service(mishap=unreachable_until(40))}

        async def main(engine: Engine) -> None:
            await asyncio.gather(*(solved_or_not(engine, 10) for _ in range(5)))
            assert (await engine.health())["only"].state is ProviderState.COOLING
            await asyncio.sleep(15)
            assert (await engine.solve(TASK, 30)).elapsed < 26

        run_with_services(services, main)


class TestNobodyElseToAsk:
    """Several providers, of which none can be asked now: it is the same as with only one."""

    @pytest.mark.parametrize(
        "other",
        [
            Service(mishap=unreachable_until(3)),
            Service(balance="0"),
            Service(answer=None),
            Service(settings={"budget": {"limit": 0, "per": "day"}}),
            Service(mishap=broken(*[Mishap(json_reply({}, 429, retry_after="600"))] * 9)),
        ],
        ids=["down as well", "no money", "can't read it", "its budget is spent", "busy for long"],
    )
    @pytest.mark.parametrize("is_first", [True, False])
    def test_the_outage_is_waited_for(self, other: Service, is_first: bool) -> None:
        blinks = Service(mishap=unreachable_until(3))
        services = {"other": other, "blinks": blinks} if is_first else {"blinks": blinks, "other": other}
        outcomes, ended = solve_all(services, 5, 30)
        assert_all_solved(outcomes)
        assert ended < 16

    def test_a_route_that_forbids_others_waits_as_well(self) -> None:
        outcomes, ended = solve_all(
            {"first": Service(mishap=unreachable_until(10)), "second": Service()},
            5,
            30,
            fallback_on=["JobFailed"],
        )
        assert {one.provider for one in outcomes if isinstance(one, Result)} == {"first"}
        assert ended < 20

    def test_where_two_must_agree_the_second_vote_is_waited_for(self) -> None:
        services = {"works": Service(), "blinks": Service(mishap=unreachable_until(10))}
        outcomes, ended = solve_all(services, 5, 30, agree=2)
        assert_all_solved(outcomes)
        assert ended < 20

    def test_a_hedge_asks_nobody_who_cools(self) -> None:
        services = {
            "slow": Service(seconds=lambda: 25.0, settings={"timeout": "60s"}),
            "dead": Service(mishap=unreachable, settings={"health": {"failures": 1, "cooldown": "1h"}}),
        }

        async def main(engine: Engine) -> None:
            await engine.solve(TASK, 60)
            before = len(services["dead"].orders)
            assert before == 2
            await engine.solve(TASK, 28)
            assert len(services["dead"].orders) == before

        run_with_services(services, main, hedge_after="1s", hedge_limit="100%")

    def test_no_time_is_kept_for_one_that_cools_beyond_the_deadline(self) -> None:
        services = {
            "dead": Service(mishap=unreachable, settings={"health": {"failures": 1, "cooldown": "1h"}}),
            "slow": Service(seconds=in_turn(3.0, 100.0)),
        }

        async def main(engine: Engine) -> None:
            await engine.solve(TASK, 120)
            result = await engine.solve(TASK, 120)
            assert result.provider == "slow"
            assert result.elapsed > 100

        run_with_services(services, main)

    def test_one_that_waits_for_its_pause_is_somebody_to_ask(self) -> None:
        """Where another provider works, a dead one has its whole cooldown."""
        services = {
            "dead": Service(mishap=unreachable, settings={"health": {"failures": 1}}),
            "limited": Service(mishap=broken(*[Mishap(Reply(403, b"blocked"))] * 2)),
        }
        solve_all(services, 1, 60)
        assert [at for at in services["dead"].orders if 1 < at < 30] == []


class TestAnOutageInWhichOrdersMayArrive:
    """An order of which nobody knows what became of it may be paid for: each probe may cost a price."""

    def test_the_solve_that_sent_it_never_sends_it_again(self) -> None:
        services = {"only": Service(mishap=broken_until(3, BAD_GATEWAY))}
        outcomes, _ = solve_all(services, 5, 30)
        assert [type(one.exceptions[0]) for one in outcomes if isinstance(one, AllProvidersFailed)] == [
            AmbiguousCreate
        ] * 5
        assert len(services["only"].orders) == 5

    def test_others_wait_for_one_probe_and_are_solved(self) -> None:
        services = {"only": Service(mishap=broken_until(3, BAD_GATEWAY))}

        async def main(engine: Engine) -> None:
            first = [solved_or_not(engine, 30) for _ in range(5)]
            await asyncio.gather(*first)
            second = await asyncio.gather(*(solved_or_not(engine, 30) for _ in range(20)))
            assert sum(isinstance(one, Result) for one in second) >= 19
            assert now() < 15

        run_with_services(services, main)

    def test_probes_become_rare_and_no_solve_pays_for_more_than_one(self) -> None:
        services = {"only": Service(mishap=broken_until(120, BAD_GATEWAY))}

        async def main(engine: Engine) -> None:
            await asyncio.gather(*(solved_or_not(engine, 120) for _ in range(5)))
            await asyncio.gather(*(solved_or_not(engine, 100) for _ in range(50)))

        run_with_services(services, main)
        probes = services["only"].orders[5:]
        gaps = [later - earlier for earlier, later in pairwise(probes)]
        assert len(probes) <= 14
        assert gaps == sorted(gaps)
        assert max(gaps) == 10

    def test_one_that_hangs_is_asked_no_more_often(self) -> None:
        services = {
            "only": Service(mishap=broken_until(100, Mishap(Hang())), settings={"health": {"failures": 1}})
        }

        async def main(engine: Engine) -> None:
            await solved_or_not(engine, 120)
            outcomes = await asyncio.gather(*(solved_or_not(engine, 120) for _ in range(20)))
            assert sum(isinstance(one, Result) for one in outcomes) == 18

        run_with_services(services, main)

    def test_what_a_503_asks_for_delays_the_probe(self) -> None:
        pause = Mishap(json_reply({}, 503, retry_after="12"))
        services = {"only": Service(mishap=broken(pause), settings={"health": {"failures": 1}})}

        async def main(engine: Engine) -> None:
            await solved_or_not(engine, 30)
            await engine.solve(TASK, 30)

        run_with_services(services, main)
        assert services["only"].orders == [0.0, 12.0]

    def test_jobs_that_are_never_done_are_no_cheaper(self) -> None:
        """A created job is no proof that such a service works."""
        services = {
            "only": Service(seconds=lambda: 1e6, settings={"health": {"failures": 1}, "timeout": "5s"})
        }

        async def main(engine: Engine) -> None:
            await solved_or_not(engine, 60)
            await asyncio.gather(*(solved_or_not(engine, 60) for _ in range(20)))

        run_with_services(services, main)
        assert services["only"].jobs <= 8


class TestAFirewall:
    """A refusal that is not in the service's own words comes from something in front of it."""

    @pytest.mark.parametrize("status", [401, 403])
    @pytest.mark.parametrize("body", [b"<html>Access denied</html>", b"", b"{}", b"[]"])
    def test_it_takes_no_account_out(self, status: int, body: bytes) -> None:
        services = {"only": Service(mishap=broken(Mishap(Reply(status, body))))}

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, 30)
            assert result.elapsed < 10
            assert [type(one.error) for one in result.attempts] == [ServiceUnavailable, type(None)]
            assert (await engine.health())["only"].state is ProviderState.HEALTHY

        run_with_services(services, main)

    def test_the_next_provider_is_asked_at_once(self) -> None:
        services = {"first": Service(mishap=broken(FIREWALL)), "second": Service()}
        outcomes, _ = solve_all(services, 1, 30)
        assert [(one.provider, one.elapsed) for one in outcomes if isinstance(one, Result)] == [
            ("second", 4.0)
        ]
        assert len(services["first"].orders) == 1

    def test_one_that_stays_cools_the_provider(self) -> None:
        services = {"first": Service(mishap=broken_until(20, FIREWALL)), "second": Service()}

        async def main(engine: Engine) -> None:
            for _ in range(5):
                assert (await engine.solve(TASK, 30)).provider == "second"
            assert (await engine.health())["first"].state is ProviderState.COOLING
            await asyncio.sleep(40)
            assert (await engine.solve(TASK, 30)).provider == "first"

        run_with_services(services, main)

    def test_the_services_own_words_about_the_token_still_do(self) -> None:
        refusal = Mishap(json_reply({"error": True, "message": "Invalid api token."}, 403))
        services = {"first": Service(mishap=broken(refusal)), "second": Service()}

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, 30)
            assert type(result.attempts[0].error) is AuthenticationError
            assert (await engine.health())["first"].state is ProviderState.OUT

        run_with_services(services, main)

    def test_so_does_a_401_in_its_own_words(self) -> None:
        refusal = Mishap(json_reply({"error": True, "message": "Please see the manual."}, 401))
        services = {"first": Service(mishap=broken(refusal)), "second": Service()}

        async def main(engine: Engine) -> None:
            await engine.solve(TASK, 30)
            assert (await engine.health())["first"].state is ProviderState.OUT

        run_with_services(services, main)

    def test_a_403_in_its_own_words_that_say_nothing_of_the_token_cools(self) -> None:
        refusal = Mishap(json_reply({"error": True, "message": "Please see the manual."}, 403))
        outcomes, _ = solve_all({"only": Service(mishap=broken(refusal))}, 1, 30)
        assert_all_solved(outcomes)


class TestABanForATime:
    BAN = Mishap(json_reply({"errorId": 21, "errorCode": "ERROR_IP_BANNED"}))

    def test_it_is_waited_for_and_meanwhile_the_next_provider_is_asked(self) -> None:
        services = {
            "banned": Service(plugin="createtask", mishap=broken(self.BAN, on="createTask")),
            "other": Service(),
        }

        async def main(engine: Engine) -> None:
            result = await engine.solve(TASK, 30)
            assert (result.provider, result.elapsed) == ("other", 4.0)
            assert type(result.attempts[0].error) is TemporarilyBlocked
            health = (await engine.health())["banned"]
            assert (health.state, health.until is None) == (ProviderState.COOLING, False)
            while now() < 299:
                assert (await engine.solve(TASK, 30)).provider == "other"
            await asyncio.sleep(1)
            assert (await engine.solve(TASK, 30)).provider == "banned"

        run_with_services(services, main)
        assert len(services["banned"].orders) == 2

    def test_the_only_provider_is_not_asked_during_it(self) -> None:
        services = {"only": Service(plugin="createtask", mishap=broken(self.BAN, on="createTask"))}

        async def main(engine: Engine) -> None:
            for _ in range(3):
                outcome = await solved_or_not(engine, 30)
                assert isinstance(outcome, AllProvidersFailed)
                assert not isinstance(outcome, SolveTimeout)
            await asyncio.sleep(300)
            await engine.solve(TASK, 30)

        run_with_services(services, main)
        assert len(services["only"].orders) == 2
