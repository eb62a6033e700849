"""Plugins and tasks that break their contract: that may fail an attempt, but never a solve or a hub."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import attrs
import pytest

from captchahub import (
    AmbiguousCreate,
    CaptchaHubError,
    ConfigError,
    Hub,
    ImageToText,
    InsufficientBalance,
    JobFailed,
    JobState,
    JobTimeout,
    NotAsked,
    NotOffered,
    Outvoted,
    Overtaken,
    PluginFault,
    ProviderError,
    ProviderState,
    RateLimited,
    Result,
    TaskError,
    TaskRefused,
    TextSolution,
    WrongSolution,
)
from captchahub._engine.engine import Engine
from captchahub._journal.rows import JobFilter
from captchahub.frames import Frame
from captchahub.hookspecs import hookimpl
from captchahub.provider import Balance, Created, ProviderKind, Reply, Service, Solved
from captchahub.tasks import Solution
from captchahub.testing import Sandbox, Slow
from tests.custom_providers import (
    CustomPlugin,
    LocalEngine,
    ScriptedProvider,
    fail,
    failures,
    provider_with,
    raising,
    returning,
    run_with_providers,
    solve,
    task_with,
)
from tests.quick_omo import QuickOmo
from tests.virtual_services import TASK


class Panic(BaseException):
    """What engines that are written in other languages raise."""


EXITS: Mapping[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(3),
    "CancelledError": asyncio.CancelledError,
    "Panic": lambda: Panic("an engine in another language"),
}
exits = pytest.mark.parametrize("leave", EXITS.values(), ids=EXITS)

OURS: Collection[type[ProviderError]] = (NotAsked, Outvoted, Overtaken)


class TestErrorsThatOnlyTheCoreKnowsToBeTrue:
    @pytest.mark.parametrize("error", OURS)
    @pytest.mark.parametrize(
        ("method", "expected", "orders"),
        [
            ("sent_options", PluginFault, 0),
            ("create_job", PluginFault, 0),
            ("read_created", AmbiguousCreate, 1),
            ("poll_job", JobTimeout, 1),
            ("read_result", JobTimeout, 1),
        ],
    )
    @pytest.mark.parametrize("rules", [{}, {"max_attempts": 1}, {"on_ambiguous": "fail"}], ids=str)
    def test_are_a_fault_of_the_plugin_and_lead_to_no_second_order(
        self,
        method: str,
        expected: type[Exception],
        orders: int,
        error: type[ProviderError],
        rules: Mapping[str, Any],
    ) -> None:
        providers = {"odd": ScriptedProvider(provider_with(**{method: raising(lambda: error("not true"))}))}
        ended = run_with_providers(providers, fail, **rules)
        assert failures(ended) == [("odd", expected)]
        assert len(providers["odd"].orders) == orders
        assert f"the plugin 'odd' failed in method with {error.__name__}" in str(ended)

    @pytest.mark.parametrize("error", OURS)
    def test_nor_may_an_engine_raise_them(self, error: type[ProviderError]) -> None:
        reader = LocalEngine(raising(lambda: error("not true")))
        with Hub.from_mapping(alone(), plugins=[CustomPlugin({"own": reader})]) as hub:
            with pytest.raises(ExceptionGroup) as caught:
                hub.solve(TASK, timeout=5)
            assert failures(caught.value) == [("own", JobFailed)]
        assert reader.calls == 1


def alone(**keys: object) -> dict[str, object]:
    return {"providers": {"own": {"plugin": "odd", "who": "own", **keys}}}


@attrs.frozen
class NoSettings:
    """No keys."""


class Misplaced(TextSolution):
    """An answer that can't be mapped back."""

    def placed(self, frame: Frame) -> TextSolution:
        raise KeyError("no place")


class TestAnAnswerThatCanNotBeMappedBack:
    def test_ends_no_harvest(self) -> None:
        providers = {
            "odd": ScriptedProvider(provider_with(read_result=returning(Solved(Misplaced("x7kp2")))))
        }

        async def main(engine: Engine) -> None:
            solving = asyncio.ensure_future(engine.solve(TASK, 60))
            await asyncio.sleep(0.5)
            solving.cancel()
            await asyncio.sleep(30)
            (job,) = await engine.jobs(JobFilter(limit=10))
            assert (job.state, job.error) == (
                JobState.FAILED,
                "PluginFault: the plugin 'odd' failed in placed with KeyError",
            )

        run_with_providers(providers, main)


class TestWhatIsBuilt:
    class Building:
        def __init__(self, build: Callable[[object], object]) -> None:
            self.build = build

        @hookimpl
        def captchahub_provider_kinds(self) -> list[ProviderKind[Any]]:
            build: Any = self.build
            return [ProviderKind("built", NoSettings, build)]

    class Kindless(LocalEngine):
        kinds: ClassVar[Any] = None

        def __init__(self, _settings: object) -> None: ...

    @pytest.mark.parametrize(
        ("build", "said"),
        [
            (raising(lambda: SystemExit(3)), "could not be built (SystemExit)"),
            (raising(lambda: Panic("no")), "could not be built (Panic)"),
            (returning(None), "builds a NoneType, which is no provider with a set of kinds"),
            (Kindless, "builds a Kindless, which is no provider with a set of kinds"),
        ],
        ids=["exit", "panic", "nothing", "no kinds"],
    )
    def test_must_be_a_provider(self, build: Callable[[object], object], said: str) -> None:
        with pytest.raises(ConfigError) as caught:
            Hub.from_mapping({"providers": {"own": {"plugin": "built"}}}, plugins=[self.Building(build)])
        assert f"providers.own: the plugin 'built' {said}" in str(caught.value)


class TestExits:
    """Errors that are no Exception would end the hub's thread, or look like a cancellation."""

    class Leaving:
        def __init__(self, leave: Callable[[], BaseException]) -> None:
            self.leave = leave

        @hookimpl
        def captchahub_check_solution(self, solution: Solution) -> str | None:
            raise self.leave()

    @exits
    @pytest.mark.parametrize(
        ("method", "expected"),
        [
            ("sent_options", PluginFault),
            ("create_job", PluginFault),
            ("read_created", AmbiguousCreate),
            ("poll_job", JobTimeout),
            ("read_result", JobTimeout),
        ],
    )
    def test_out_of_a_provider_end_its_attempt(
        self, method: str, expected: type[Exception], leave: Callable[[], BaseException]
    ) -> None:
        providers = {
            "odd": ScriptedProvider(provider_with(**{method: raising(leave)})),
            "next": ScriptedProvider(),
        }
        result = run_with_providers(providers, solve)
        assert (result.provider, failures(result)) == ("next", [("odd", expected)])

    @exits
    @pytest.mark.parametrize("method", ["check", "complete"])
    def test_out_of_a_task_end_its_attempts(self, method: str, leave: Callable[[], BaseException]) -> None:
        async def main(engine: Engine) -> Exception:
            return await fail(engine, task=task_with(method, raising(leave)))

        ended = run_with_providers({"first": ScriptedProvider(), "second": ScriptedProvider()}, main)
        assert failures(ended) == [("first", WrongSolution), ("second", WrongSolution)]

    @exits
    def test_out_of_a_hook_are_left_out(
        self, leave: Callable[[], BaseException], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert (
            run_with_providers({"first": ScriptedProvider()}, solve, plugins=(self.Leaving(leave),)).provider
            == "first"
        )
        assert "captchahub_check_solution of Leaving failed: ignored" in caplog.text

    @exits
    @pytest.mark.parametrize(
        "method",
        ["ask_balance", "read_balance", "ask_services", "read_services", "ask_report", "read_report"],
    )
    def test_out_of_the_calls_besides_jobs_are_their_errors(
        self, method: str, leave: Callable[[], BaseException]
    ) -> None:
        whole: dict[str, Callable[..., object]] = {
            "read_balance": returning(Balance(Decimal(1))),
            "read_services": returning([]),
        }

        async def main(engine: Engine) -> list[type[CaptchaHubError]]:
            result: Result[Any] = await solve(engine)
            found: list[type[CaptchaHubError]] = []
            balance = (await engine.balances())["odd"]
            if isinstance(balance, CaptchaHubError):
                found.append(type(balance))
            try:
                await engine.services("odd")
                await engine.report(result, correct=True)
            except CaptchaHubError as error:
                found.append(type(error))
            return found

        assert run_with_providers(
            {"odd": ScriptedProvider(provider_with(**{**whole, method: raising(leave)}))}, main
        ) == [PluginFault]

    @exits
    def test_do_not_end_the_thread_of_a_hub(
        self, leave: Callable[[], BaseException], sandbox: Sandbox, quick: QuickOmo
    ) -> None:
        mapping = {"providers": {"omo": {"plugin": "omocaptcha", **sandbox.settings()}}}
        picture = sandbox.draw_text("x7kp2")
        with Hub.from_mapping(mapping, plugins=[quick, self.Leaving(leave)]) as hub:
            assert [hub.solve(picture.task()).solution.text for _ in range(2)] == ["x7kp2"] * 2
            sandbox.script(TASK.image, TextSolution("abc"))
            with pytest.raises(ExceptionGroup) as caught:
                hub.solve(task_with("check", raising(leave)))
            assert [type(error) for error in caught.value.exceptions] == [WrongSolution]
            assert hub.solve(picture.task()).solution.text == "x7kp2"

    @exits
    def test_out_of_an_engine_fail_its_attempt(self, leave: Callable[[], BaseException]) -> None:
        with Hub.from_mapping(alone(), plugins=[CustomPlugin({"own": LocalEngine(raising(leave))})]) as hub:
            for _ in range(2):
                with pytest.raises(ExceptionGroup) as caught:
                    hub.solve(TASK, timeout=20)
                assert [type(error) for error in caught.value.exceptions] == [JobFailed]


class TestErrorsOfOtherPlaces:
    @pytest.mark.parametrize(
        ("method", "expected"),
        [("create_job", PluginFault), ("read_created", AmbiguousCreate), ("read_result", JobTimeout)],
    )
    def test_what_is_not_offered_is_no_way_to_fail_a_job(
        self, method: str, expected: type[Exception]
    ) -> None:
        providers = {
            "odd": ScriptedProvider(provider_with(**{method: raising(lambda: NotOffered("no such call"))})),
            "next": ScriptedProvider(),
        }
        result = run_with_providers(providers, solve)
        assert (result.provider, failures(result)) == ("next", [("odd", expected)])

    def test_a_transport_that_can_t_be_used_fails_its_own_attempts_only(self) -> None:
        providers = {
            "odd": ScriptedProvider(step=raising(lambda: ConfigError("that proxy is none"))),
            "next": ScriptedProvider(),
        }
        result = run_with_providers(providers, solve)
        assert result.provider == "next"
        assert "that proxy is none" in str(result.attempts[0])

    @pytest.mark.parametrize("method", ["create_job", "read_created"])
    def test_a_plain_task_error_is_reported_as_a_refusal_of_the_service(self, method: str) -> None:
        providers = {
            "odd": ScriptedProvider(provider_with(**{method: raising(lambda: TaskError("no such option"))})),
            "next": ScriptedProvider(),
        }
        ended = run_with_providers(providers, fail)
        assert (type(ended), str(ended)) == (TaskRefused, "no such option")
        assert providers["next"].orders == []

    def test_it_leaves_an_attempt_if_another_provider_solves(self) -> None:
        providers = {
            "first": ScriptedProvider(step=lambda _: Slow(8, Reply(200))),
            "odd": ScriptedProvider(provider_with(create_job=raising(lambda: TaskError("no such option")))),
        }
        result = run_with_providers(providers, solve, hedge_after="5s", hedge_limit="100%")
        assert (result.provider, failures(result)) == ("first", [("odd", TaskRefused)])


class TestBrokenComparisons:
    @pytest.mark.parametrize(
        "agrees", [raising(lambda: KeyError("broken")), returning(False)], ids=["raises", "never"]
    )
    def test_do_not_matter_if_one_answer_is_enough(self, agrees: Callable[..., object]) -> None:
        async def main(engine: Engine) -> Result[TextSolution]:
            return await engine.solve(task_with("agrees", agrees), 60)

        result = run_with_providers({"first": ScriptedProvider(), "second": ScriptedProvider()}, main)
        assert (result.provider, [vote.agrees for vote in result.votes]) == ("first", [True])

    @pytest.mark.parametrize(
        "agrees",
        [raising(lambda: KeyError("broken")), raising(lambda: SystemExit(3)), returning(False)],
        ids=["raises", "exits", "never"],
    )
    def test_count_as_different_answers_if_several_must_agree(self, agrees: Callable[..., object]) -> None:
        async def main(engine: Engine) -> Exception:
            return await fail(engine, task=task_with("agrees", agrees))

        ended = run_with_providers({"first": ScriptedProvider(), "second": ScriptedProvider()}, main, agree=2)
        assert failures(ended) == [("first", Outvoted), ("second", Outvoted)]

    def test_options_that_cannot_be_recorded_are_found_before_a_job_is_created(self) -> None:
        providers = {"first": ScriptedProvider(), "second": ScriptedProvider()}

        async def main(engine: Engine) -> Exception:
            broken = task_with("options", property(raising(lambda: TypeError("no attrs class"))))  # type: ignore[arg-type]
            return await fail(engine, task=broken)

        assert isinstance(run_with_providers(providers, main), TypeError)
        assert [scripted.orders for scripted in providers.values()] == [[], []]


class TestReportWrong:
    KEYS: Mapping[str, object] = {"report_wrong": True}

    def test_an_answer_that_a_check_refused_is_reported(self) -> None:
        async def main(engine: Engine) -> Exception:
            return await fail(engine, task=ImageToText(TASK.image, length=3))

        providers = {"only": ScriptedProvider(settings=self.KEYS)}
        assert failures(run_with_providers(providers, main)) == [("only", WrongSolution)]
        assert len(providers["only"].calls("report")) == 1

    @pytest.mark.parametrize("method", ["check", "complete"])
    def test_a_check_that_crashes_says_nothing_of_the_answer(self, method: str) -> None:
        async def main(engine: Engine) -> Exception:
            return await fail(engine, task=task_with(method, raising(lambda: KeyError("my own fault"))))

        providers = {"only": ScriptedProvider(settings=self.KEYS)}
        assert failures(run_with_providers(providers, main)) == [("only", WrongSolution)]
        assert providers["only"].calls("report") == []

    def test_nor_does_an_answer_that_the_plugin_read_wrongly(self) -> None:
        text: Any = "x7kp2"
        providers = {
            "only": ScriptedProvider(provider_with(read_result=returning(Solved(text))), settings=self.KEYS)
        }
        assert failures(run_with_providers(providers, fail)) == [("only", PluginFault)]
        assert providers["only"].calls("report") == []


class TestAbsurdNumbers:
    @pytest.mark.parametrize("pause", [math.inf, math.nan, 1e12, -5.0])
    def test_a_pause_that_no_service_can_mean_breaks_nothing(self, pause: float) -> None:
        busy = raising(lambda: RateLimited("busy", retry_after=pause))
        providers = {"busy": ScriptedProvider(provider_with(read_created=busy)), "other": ScriptedProvider()}

        async def main(engine: Engine) -> None:
            assert (await solve(engine)).provider == "other"
            health = (await engine.health())["busy"]
            assert "busy" in (health.reason or "")

        run_with_providers(providers, main)

    @pytest.mark.parametrize("amount", [Decimal("NaN"), Decimal("Infinity"), "5", None])
    def test_a_balance_that_is_none_is_a_fault_of_its_plugin(self, amount: object) -> None:
        broke = raising(lambda: InsufficientBalance("nothing left"))

        def read_balance(_reply: object) -> Balance:
            return Balance(amount)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - that is it

        providers = {
            "odd": ScriptedProvider(provider_with(read_balance=read_balance, read_created=broke)),
            "other": ScriptedProvider(provider_with(read_balance=returning(Balance(Decimal(1))))),
        }

        async def main(engine: Engine) -> None:
            await solve(engine)
            found = await engine.balances()
            assert isinstance(found["odd"], PluginFault)
            assert found["other"] == Balance(Decimal(1))
            assert (await engine.health())["odd"].state is ProviderState.OUT

        run_with_providers(providers, main)


class TestPriceLists:
    @pytest.mark.parametrize("lines", [["a line"], "text", [None], {"a": 1}, None, 7], ids=repr)
    def test_one_of_other_things_is_a_fault_of_its_plugin_and_asked_for_once(self, lines: object) -> None:
        providers = {
            "odd": ScriptedProvider(provider_with(read_services=returning(lines))),
            "other": ScriptedProvider(),
        }

        async def main(engine: Engine) -> None:
            for _ in range(5):
                await solve(engine)
            assert len(providers["odd"].calls("services")) == 1
            with pytest.raises(PluginFault):
                await engine.services("odd")

        run_with_providers(providers, main, strategy="cheapest")

    @pytest.mark.parametrize("price", [Decimal("NaN"), Decimal("-Infinity"), "0.5", Decimal(-1)], ids=repr)
    def test_a_price_that_is_none_is_not_known(self, price: object) -> None:
        line = Service("1", "texts", "image-to-text", price)  # pyright: ignore[reportArgumentType] - that is it
        providers = {
            "odd": ScriptedProvider(provider_with(read_services=returning([line]))),
            "priced": ScriptedProvider(settings={"prices": {"image-to-text": 9}}),
        }

        async def main(engine: Engine) -> None:
            assert [(await solve(engine)).provider for _ in range(3)] == ["priced"] * 3
            assert len(providers["odd"].calls("services")) == 1
            assert [service.price for service in await engine.services("odd")] == [None]

        run_with_providers(providers, main, strategy="cheapest")

    def test_what_is_closed_has_no_price_whatever_it_cost_before(self) -> None:
        closed = Service("1", "texts", "image-to-text", Decimal("0.1"), is_open=False)
        charged = returning(Created(1, TextSolution("x7kp2"), Decimal("0.1")))
        providers = {
            "closed": ScriptedProvider(
                provider_with(read_created=charged, read_services=returning([closed]))
            ),
            "dear": ScriptedProvider(settings={"prices": {"image-to-text": 9}}),
        }

        async def main(engine: Engine) -> None:
            assert (await solve(engine)).provider == "dear"

        run_with_providers(providers, main, strategy="cheapest")

        async def charged_before(engine: Engine) -> None:
            providers["dear"].provider.create_job = raising(lambda: JobFailed("not now"))  # type: ignore[method-assign]
            assert (await solve(engine)).cost == Decimal("0.1")
            await engine.services("closed")
            ended = await solve(engine)
            assert [attempt.provider for attempt in ended.attempts] == ["dear", "closed"]

        run_with_providers(providers, charged_before, strategy="cheapest")


class TestHooks:
    class Saying:
        def __init__(self, said: object) -> None:
            self.said = said

        @hookimpl
        def captchahub_check_solution(self, solution: Solution) -> object:
            return self.said

    class Waiting:
        @hookimpl
        async def captchahub_check_solution(self, solution: Solution) -> str | None:
            return "no"

    @pytest.mark.parametrize("said", [True, 7, b"no", ["no"], ValueError("no")], ids=repr)
    def test_what_is_no_text_is_logged_and_left_out(
        self, said: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert (
            run_with_providers({"only": ScriptedProvider()}, solve, plugins=(self.Saying(said),)).provider
            == "only"
        )
        assert f"check_solution of Saying returned a {type(said).__name__}: ignored" in caplog.text

    def test_one_that_would_have_to_be_awaited_is_logged_and_left_out(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert (
            run_with_providers({"only": ScriptedProvider()}, solve, plugins=(self.Waiting(),)).provider
            == "only"
        )
        assert "returned a coroutine: ignored" in caplog.text
