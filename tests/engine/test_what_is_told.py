"""What a solve tells of itself: which error, in whose words, who was not asked and why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from captchahub import (
    AllProvidersFailed,
    AmbiguousCreate,
    AsyncHub,
    Attempt,
    Hub,
    HubClosed,
    ImageToText,
    JobFailed,
    JobTimeout,
    NotAsked,
    Overtaken,
    ServiceUnavailable,
    SolveTimeout,
    TaskRefused,
    TextSolution,
    WrongSolution,
)
from captchahub._engine.engine import Engine
from captchahub.provider import Created, Reply, Request
from captchahub.testing import Mishap, Slow, json_reply
from tests.custom_providers import (
    CustomPlugin,
    LocalEngine,
    ScriptedProvider,
    Step,
    fail,
    failures,
    provider_with,
    raising,
    returning,
    run_with_providers,
    solve,
)
from tests.virtual_services import TASK, Service, lines, run_with_services, unreachable, unreachable_until

LOST = ServiceUnavailable("the connection broke")
BAD_GATEWAY = Mishap(json_reply({}, 502))


def later(seconds: float, reply: Reply | ServiceUnavailable = Reply(200)) -> Callable[[Request], Step]:  # noqa: B008
    """Orders are answered after so many seconds."""
    return lambda request: Slow(seconds, reply) if request.url.endswith("/create") else Reply(200)


class TestTheCallersOwnMistake:
    HEDGED: Mapping[str, Any] = {"hedge_after": "5s", "hedge_limit": "100%"}

    @pytest.mark.parametrize(("lost", "refused"), [(10, 8), (10, 2)], ids=["it comes last", "it comes first"])
    def test_is_raised_where_another_error_has_ended_the_route_too(self, lost: float, refused: float) -> None:
        """The first fails after ten seconds; the second, asked after five, refuses the picture."""
        bad_picture = raising(lambda: TaskRefused("no picture"))
        services = {
            "first": ScriptedProvider(step=later(lost, LOST)),
            "second": ScriptedProvider(provider_with(read_created=bad_picture), later(refused)),
            "third": ScriptedProvider(),
        }
        ended = run_with_providers(services, fail, on_ambiguous="fail", **self.HEDGED)
        assert (type(ended), str(ended)) == (TaskRefused, "no picture")
        assert services["third"].orders == []

    def test_is_told_beside_the_answer_of_another(self) -> None:
        services = {
            "first": ScriptedProvider(step=later(20)),
            "second": ScriptedProvider(
                provider_with(read_created=raising(lambda: TaskRefused("no picture")))
            ),
        }
        result = run_with_providers(services, solve, **self.HEDGED)
        assert (result.provider, failures(result)) == ("first", [("second", TaskRefused)])


class TestSolveTimeout:
    """It means that the time was over, and nothing else."""

    def test_where_a_job_was_not_done(self) -> None:
        ended = run_with_services({"only": Service(seconds=lambda: 1e6)}, fail)
        assert type(ended) is SolveTimeout
        assert failures(ended) == [("only", JobTimeout)]

    def test_where_no_place_came_free(self) -> None:
        services = {"only": Service(seconds=lambda: 300.0, settings={"max_in_flight": 1})}

        async def main(engine: Engine) -> Exception:
            first = asyncio.ensure_future(engine.solve(TASK, 600))
            await asyncio.sleep(1)
            ended = await fail(engine, 20)
            assert asyncio.get_running_loop().time() == 21
            await first
            return ended

        ended = run_with_services(services, main)
        assert type(ended) is SolveTimeout
        assert failures(ended) == [("only", NotAsked)]

    def test_where_there_was_too_little_for_anybody(self) -> None:
        services = {"first": Service(), "second": Service()}
        ended = run_with_services(services, lambda engine: fail(engine, 0.5))
        assert type(ended) is SolveTimeout
        assert "less than 1 s was left, too little" in str(ended)
        assert (services["first"].orders, services["second"].orders) == ([], [])

    def test_not_where_the_provider_itself_gave_up(self) -> None:
        gave_up = raising(lambda: JobTimeout("the service gave up"))
        ended = run_with_providers({"only": ScriptedProvider(provider_with(read_result=gave_up))}, fail)
        assert type(ended) is AllProvidersFailed
        assert "the service gave up" in str(ended)

    def test_not_where_the_limit_of_the_provider_was_over(self) -> None:
        services = {"only": Service(seconds=lambda: 1e6, settings={"timeout": "10s"})}
        ended = run_with_services(services, fail)
        assert (type(ended), failures(ended)) == (AllProvidersFailed, [("only", JobTimeout)])

    def test_not_where_nobody_was_well(self) -> None:
        settings = {"health": {"failures": 1, "cooldown": "10m"}}
        ended = run_with_services({"only": Service(mishap=unreachable, settings=settings)}, fail)
        assert (type(ended), {*failures(ended)}) == (AllProvidersFailed, {("only", ServiceUnavailable)})

    def test_not_where_a_rule_ended_it_at_the_very_end(self) -> None:
        services = {"first": Service(seconds=lambda: 1e6), "second": Service()}
        ended = run_with_services(services, fail, on_timeout="fail")
        assert type(ended) is AllProvidersFailed
        assert "and after JobTimeout no other provider is called" in str(ended)


class TestWhyNobodyElseWasAsked:
    """In words that say what to do."""

    def why(self, services: Mapping[str, Service], **rules: Any) -> str:
        ended = run_with_services(services, fail, **rules)
        assert isinstance(ended, AllProvidersFailed)
        last = ended.attempts[-1]
        assert (last.provider, type(last.error)) == ("last", NotAsked)
        assert services["last"].orders == []
        return str(last)

    def test_the_rules_of_the_route(self) -> None:
        for allowed in ("AmbiguousCreate", "JobTimeout"):
            services = {"first": Service(answer=None), "last": Service()}
            why = self.why(services, fallback_on=[allowed])
            assert "no other provider is called after JobFailed; fallback_on of the route says so" in why

    def test_the_rules_of_the_route_where_the_first_is_tried_again(self) -> None:
        why = self.why({"first": Service(mishap=unreachable), "last": Service()}, fallback_on=[])
        assert "no other provider is called after ServiceUnavailable; fallback_on" in why

    @pytest.mark.parametrize(
        ("first", "rules", "error", "named"),
        [
            (
                Service(mishap=lambda _: BAD_GATEWAY),
                {"on_ambiguous": "fail", "on_timeout": "fail"},
                AmbiguousCreate,
                "on_ambiguous of the route says so",
            ),
            (
                Service(seconds=lambda: 1e6, settings={"timeout": "9s"}),
                {"on_timeout": "fail", "fallback_on": ["JobFailed"]},
                JobTimeout,
                "on_timeout and fallback_on of the route say so",
            ),
        ],
    )
    def test_what_a_rule_makes_of_one_error(
        self, first: Service, rules: Mapping[str, object], error: type[Exception], named: str
    ) -> None:
        why = self.why({"first": first, "last": Service()}, **rules)
        assert f"no other provider is called after {error.__name__}; {named}" in why

    def test_the_most_of_attempts(self) -> None:
        why = self.why({"first": Service(answer=None), "last": Service()}, max_attempts=1)
        assert "max_attempts is 1; raise it" in why

    def test_an_agreement_that_is_out_of_reach(self) -> None:
        services = {
            "first": Service(answer=None),
            "second": Service(),
            "third": Service(answer="other"),
            "last": Service(),
        }
        assert "too few others were left for 3 to agree" in self.why(services, agree=3)

    def test_a_cooldown(self) -> None:
        settings = {"health": {"busy_cooldown": "10m"}}
        busy = Service(mishap=lambda _: Mishap(json_reply({}, 429)), settings=settings)

        async def main(engine: Engine) -> str:
            await fail(engine)
            return str(await fail(engine))

        told = run_with_services({"busy": busy, "bad": Service(answer=None)}, main)
        assert "busy, 0.0 s: NotAsked: it cools down for another" in told
        assert "after RateLimited" in told

    def test_too_little_time(self) -> None:
        services = {"first": Service(seconds=lambda: 1e6, settings={"timeout": "30s"}), "last": Service()}

        async def main(engine: Engine) -> Exception:
            return await fail(engine, 29.5)

        ended = run_with_services(services, main)
        assert failures(ended) == [("first", JobTimeout), ("last", NotAsked)]
        assert "less than 1 s was left, too little to create a job there" in str(ended)


class TestWhatToDoAboutAWrongAnswer:
    HOW = "report the answer with hub.report(attempt, correct=False) if the service accepts reports"

    def advice(self, scripted: ScriptedProvider) -> str:
        async def main(engine: Engine) -> str:
            ended = await fail(engine, task=ImageToText(TASK.image, length=3))
            assert isinstance(ended, AllProvidersFailed)
            assert failures(ended) == [("only", WrongSolution)]
            return ended.exceptions[0].advice if isinstance(ended.exceptions[0], WrongSolution) else ""

        return run_with_providers({"only": scripted}, main)

    def test_is_to_report_it(self) -> None:
        assert (
            self.advice(ScriptedProvider()) == f"check the options of the task; if they are right, {self.HOW}"
        )

    def test_is_less_where_the_hub_reports_it_itself(self) -> None:
        told = self.advice(ScriptedProvider(settings={"report_wrong": True}))
        assert told == "check the options of the task; the wrong answer is reported to the service"

    def test_is_less_where_there_is_no_job_to_report(self) -> None:
        nameless = provider_with(read_created=returning(Created(None, TextSolution("x7kp2"))))
        assert self.advice(ScriptedProvider(nameless)) == "check the options of the task"


class TestTheLog:
    """What the logger ``captchahub`` tells of things that no error tells."""

    @pytest.fixture(autouse=True)
    def all_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "captchahub")

    @staticmethod
    async def solves(engine: Engine, *pauses: float) -> None:
        for pause in pauses:
            await solve(engine)
            await asyncio.sleep(pause)

    def test_a_probe_that_begins_and_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        services = {
            "bad": Service(mishap=unreachable, settings={"health": {"failures": 1}}),
            "good": Service(),
        }
        run_with_services(services, lambda engine: self.solves(engine, 40, 0))
        assert "bad is half-open: this attempt, the probe, finds out whether it works" in lines(caplog)
        failed = "bad cools down for another 30.0 s: the probe failed, ServiceUnavailable: nobody listens"
        assert failed in lines(caplog)

    def test_a_probe_that_fails_before_the_cooldown_is_over(self, caplog: pytest.LogCaptureFixture) -> None:
        services = {"only": Service(mishap=unreachable_until(3), settings={"health": {"failures": 1}})}
        run_with_services(services, lambda engine: self.solves(engine, 0))
        failed = "only: the probe failed, ServiceUnavailable: nobody listens"
        assert f"{failed}; if no other provider can be called, the next one is sent in 2.0 s" in lines(caplog)

    def test_a_probe_that_works(self, caplog: pytest.LogCaptureFixture) -> None:
        services = {
            "bad": Service(mishap=unreachable_until(20), settings={"health": {"failures": 1}}),
            "good": Service(),
        }
        run_with_services(services, lambda engine: self.solves(engine, 40, 0))
        assert "bad is called again: the probe found that it works" in lines(caplog)

    def test_a_probe_that_tells_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        settings = {"health": {"failures": 1}, "timeout": "10s"}
        services = {"slow": Service(seconds=lambda: 50.0, settings=settings), "good": Service()}

        async def main(engine: Engine) -> None:
            await self.solves(engine, 40)
            cancelled = asyncio.ensure_future(solve(engine))
            await asyncio.sleep(1)
            cancelled.cancel()
            await asyncio.wait([cancelled])

        run_with_services(services, main)
        assert "slow: the probe said nothing about it, so that the next attempt is a probe" in lines(caplog)

    def test_a_hedge_and_the_answer_that_came_too_late(self, caplog: pytest.LogCaptureFixture) -> None:
        services = {"slow": Service(seconds=lambda: 20.0), "quick": Service()}
        run_with_services(
            services, lambda engine: self.solves(engine, 60), hedge_after="5s", hedge_limit="100%"
        )
        assert "image-to-text: slow is slow, and another provider is called as well" in lines(caplog)
        late = [message for message in lines(caplog) if "slow (job" in message]
        assert [message.split(" s: ")[1] for message in late] == ["solved, after another one had answered"]

    def test_a_hedge_that_the_limit_holds_back(self, caplog: pytest.LogCaptureFixture) -> None:
        services = {"slow": Service(seconds=lambda: 20.0), "quick": Service()}
        run_with_services(services, solve, hedge_after="5s")
        held = "image-to-text: slow is slow, and hedge_limit is 5%: no other one is called"
        assert held in lines(caplog)

    def test_a_solve_that_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        run_with_services({"bad": Service(answer=None)}, fail)
        assert lines(caplog)[-1] == (
            "image-to-text: no answer after 4.0 s: no provider solved this image-to-text task"
        )

    def test_a_task_that_is_refused(self, caplog: pytest.LogCaptureFixture) -> None:
        refused = provider_with(read_created=raising(lambda: TaskRefused("no picture")))
        run_with_providers({"only": ScriptedProvider(refused)}, fail)
        assert lines(caplog)[-1] == "image-to-text: no answer after 0.0 s: TaskRefused: no picture"


class TestTwoAnswersAtOnce:
    def test_the_first_asked_has_answered_and_the_other_was_overtaken(self) -> None:
        def answering(text: str, seconds: float) -> ScriptedProvider:
            return ScriptedProvider(
                provider_with(read_created=returning(Created(text, TextSolution(text)))), later(seconds)
            )

        services = {"first": answering("one", 20), "second": answering("two", 15)}
        result = run_with_providers(services, solve, hedge_after="5s", hedge_limit="100%")
        assert result.elapsed == 20
        assert (result.provider, result.solution.text) == ("first", "one")
        assert failures(result) == [("second", Overtaken)]
        assert [(vote.provider, vote.agrees) for vote in result.votes] == [("first", True)]


class TestAnEnginesOwnWords:
    @pytest.mark.parametrize("error", [JobTimeout, JobFailed])
    def test_are_kept(self, error: type[Exception]) -> None:
        reader = LocalEngine(raising(lambda: error("the person went home")))
        own = {"providers": {"own": {"plugin": "odd", "who": "own"}}}
        with (
            Hub.from_mapping(own, plugins=[CustomPlugin({"own": reader})]) as hub,
            pytest.raises(AllProvidersFailed) as caught,
        ):
            hub.solve(TASK, timeout=60)
        assert "the person went home" in str(caught.value)
        assert type(caught.value) is AllProvidersFailed
        assert failures(caught.value) == [("own", error)]


class TestOneErrorOfTwoAttempts:
    """As where a plugin raises the same object each time."""

    SHARED = ServiceUnavailable("down")
    OTHER = JobFailed("no")

    def failed(self) -> AllProvidersFailed:
        errors = [("a", self.SHARED), ("a", self.SHARED), ("b", self.OTHER), ("c", None)]
        return AllProvidersFailed("nobody", [Attempt(name, 1.0, error=error) for name, error in errors])

    def test_a_split_by_class_keeps_both(self) -> None:
        match, rest = self.failed().split(ServiceUnavailable)
        assert (failures_of(match), failures_of(rest)) == (["a", "a"], ["b"])

    def test_so_does_except_star(self) -> None:
        seen: list[str] = []
        try:
            raise self.failed()
        except* ServiceUnavailable as group:
            seen += failures_of(group)
        except* JobFailed as group:
            seen += failures_of(group)
        assert seen == ["a", "a", "b"]

    def test_each_is_for_one_of_the_times_it_is_wanted(self) -> None:
        failed = self.failed()
        assert failures_of(failed.derive([self.SHARED])) == ["a"]
        assert failures_of(failed.derive([self.OTHER, self.SHARED])) == ["a", "b"]
        assert failures_of(failed.derive([self.SHARED, self.SHARED])) == ["a", "a"]


def failures_of(group: BaseException | None) -> list[str]:
    assert isinstance(group, AllProvidersFailed)
    assert [attempt.error for attempt in group.attempts] == list(group.exceptions)
    return [attempt.provider for attempt in group.attempts]


OWN: dict[str, object] = {"providers": {"own": {"plugin": "odd", "who": "own"}}}


def revive(hub: Hub) -> None:
    hub.revive("own")


async def revive_there(hub: AsyncHub) -> None:
    await hub.revive("own")


class TestAfterClosing:
    @pytest.mark.parametrize("call", [Hub.health, revive])
    @pytest.mark.parametrize("used", [True, False])
    def test_a_hub_says_that_it_is_closed(self, call: Callable[[Hub], object], used: bool) -> None:
        hub = Hub.from_mapping(
            OWN, plugins=[CustomPlugin({"own": LocalEngine(lambda: TextSolution("x7kp2"))})]
        )
        if used:
            hub.solve(TASK)
        hub.close()
        with pytest.raises(HubClosed):
            call(hub)

    @pytest.mark.parametrize("call", [AsyncHub.health, revive_there])
    def test_so_does_one_in_an_event_loop(
        self, call: Callable[[AsyncHub], Coroutine[Any, Any, object]]
    ) -> None:
        async def main() -> None:
            hub = AsyncHub.from_mapping(
                OWN, plugins=[CustomPlugin({"own": LocalEngine(lambda: TextSolution("x"))})]
            )
            await hub.solve(TASK)
            await hub.close()
            with pytest.raises(HubClosed):
                await call(hub)

        asyncio.run(main())

    @pytest.mark.parametrize("thing", ["x7kp2", None, TextSolution("x7kp2")], ids=repr)
    def test_a_report_of_anything_but_a_result_is_a_type_error(self, thing: object) -> None:
        plugin = CustomPlugin({"own": LocalEngine(lambda: TextSolution("x7kp2"))})
        said = f"a report is of a Result, a Vote or an Attempt, not of {type(thing).__name__}"
        with Hub.from_mapping(OWN, plugins=[plugin]) as hub, pytest.raises(TypeError, match=said):
            hub.report(thing, correct=True)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - that is it
