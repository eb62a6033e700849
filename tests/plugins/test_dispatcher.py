"""Observers receive each event in order and with its time, and delay no solve."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from captchahub import (
    AllProvidersFailed,
    BudgetExceeded,
    ConfigError,
    Hub,
    ImageToText,
    JobFailed,
    PriceUnknown,
    ProviderState,
    ServiceUnavailable,
    TextSolution,
)
from captchahub._engine.engine import Engine
from captchahub._journal.rows import JobFilter
from captchahub._plugins.callbacks import Callbacks
from captchahub._plugins.dispatcher import EventDispatcher
from captchahub.events import (
    Attempted,
    BudgetRefused,
    Cancelled,
    CooledDown,
    Event,
    Failed,
    FellBack,
    JobCreated,
    Polled,
    Recovered,
    Retrying,
    Solved,
    SolveEvent,
    Submitted,
)
from captchahub.hookspecs import hookimpl
from captchahub.testing import Mishap, Sandbox, json_reply
from tests.custom_providers import fail, solve
from tests.quick_omo import QuickOmo
from tests.virtual_services import (
    MORNING,
    PICTURE,
    TASK,
    Service,
    run_with_services,
    unreachable,
    unreachable_until,
)

E = TypeVar("E", bound=Event)
PRICE: Mapping[str, object] = {"prices": {"image-to-text": "0.5"}}
CALLER: ContextVar[str] = ContextVar("CALLER", default="no caller")


class Recorder:
    """An observer that records its events, and the value of a context variable."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.callers: list[str] = []

    @hookimpl
    def captchahub_observe(self, event: Event) -> None:
        self.events.append(event)
        self.callers.append(CALLER.get())

    def of(self, wanted: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, wanted)]

    @property
    def timeline(self) -> list[tuple[float, str]]:
        """The time of each event, in seconds since the start, and its class."""
        return [(round(event.at - MORNING, 3), type(event).__name__) for event in self.events]


class Faulty:
    @hookimpl
    def captchahub_observe(self, event: Event) -> None:
        raise RuntimeError("the disk of the metrics is full")


class Slow:
    """An observer that blocks until the test releases it."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.entered = threading.Event()

    @hookimpl
    def captchahub_observe(self, event: Event) -> None:
        self.entered.set()
        assert self.go_on.wait(30)


def observed(services: Mapping[str, Service], main: Any = solve, **rules: Any) -> tuple[Recorder, Any]:
    """Return an observer of the events while a coroutine ran, and the result."""
    recorder = Recorder()
    return recorder, run_with_services(services, main, plugins=(recorder,), **rules)


class TestASolve:
    def test_is_reported_from_beginning_to_end(self) -> None:
        recorder, result = observed({"omo": Service(settings=PRICE)})
        assert recorder.timeline == [
            (0.0, "Submitted"),
            (0.0, "JobCreated"),
            (2.0, "Polled"),
            (4.0, "Polled"),
            (4.0, "Attempted"),
            (4.0, "Solved"),
        ]
        [submitted], [ordered], [attempted] = (
            recorder.of(Submitted),
            recorder.of(JobCreated),
            recorder.of(Attempted),
        )
        assert submitted.timeout == 60
        assert (ordered.provider, ordered.job_id, ordered.price) == ("omo", result.job_id, Decimal("0.5"))
        assert [(one.number, one.is_done) for one in recorder.of(Polled)] == [(1, False), (2, True)]
        assert (attempted.attempt.elapsed, attempted.attempt.polls) == (4.0, 2)
        assert [one.result for one in recorder.of(Solved)] == [result]

    def test_has_one_name_in_all_its_events_and_in_the_journal(self) -> None:
        async def main(engine: Engine) -> str:
            await solve(engine)
            [entry] = await engine.jobs(JobFilter(limit=10))
            return entry.submission

        recorder, submission = observed({"omo": Service()}, main)
        events = recorder.of(SolveEvent)
        assert len(events) == len(recorder.events)
        assert {(one.solve, one.kind) for one in events} == {(submission, "image-to-text")}

    def test_that_goes_on_with_another_provider(self) -> None:
        recorder, result = observed({"bad": Service(answer=None), "good": Service()})
        names = [name for _, name in recorder.timeline if name != "Polled"]
        assert names == [
            "Submitted",
            "JobCreated",
            "Attempted",
            "FellBack",
            "JobCreated",
            "Attempted",
            "Solved",
        ]
        [fell_back] = recorder.of(FellBack)
        assert (fell_back.provider, type(fell_back.error)) == ("bad", JobFailed)
        assert [one.attempt for one in recorder.of(Attempted)] == list(result.attempts)

    def test_that_fails(self) -> None:
        recorder, error = observed({"bad": Service(answer=None)}, fail)
        assert [*recorder.of(FellBack), *recorder.of(Solved)] == []
        [failed] = recorder.of(Failed)
        assert failed.error is error
        assert isinstance(error, AllProvidersFailed)
        assert recorder.timeline[-1] == (failed.elapsed, "Failed")

    def test_that_retries_the_same_provider_has_no_fallback(self) -> None:
        recorder, _ = observed({"dead": Service(mishap=unreachable)}, fail)
        assert len(recorder.of(Attempted)) > 1
        assert recorder.of(FellBack) == []
        retries = recorder.of(Retrying)
        # At once, and not only when an attempt has ended.
        assert retries[0].at == MORNING
        assert {(one.provider, str(one.error)) for one in retries} == {("dead", str(retries[0].error))}
        assert len(retries) >= len(recorder.of(Attempted)) - 1

    def test_that_cannot_poll_reports_the_errors_of_its_polls(self) -> None:
        gone = Mishap(ServiceUnavailable("the network is down"))
        left = iter([gone, gone])
        service = Service(mishap=lambda name: next(left, None) if name == "getJobResult" else None)
        recorder, _ = observed({"omo": service})
        polls = recorder.of(Polled)
        assert [(one.is_done, str(one.error)) for one in polls] == [
            (False, "the network is down"),
            (False, "the network is down"),
            (True, "None"),
        ]

    def test_that_fails_for_good_is_not_tried_again(self) -> None:
        recorder, _ = observed({"bad": Service(answer=None)}, fail)
        assert recorder.of(Retrying) == []

    @pytest.mark.parametrize("share", [True, False])
    def test_that_no_provider_takes_is_not_begun(self, share: bool) -> None:
        class Odd(ImageToText):
            kind = "odd"

        async def main(engine: Engine) -> None:
            with pytest.raises(ConfigError, match="no provider takes odd tasks"):
                await engine.solve(Odd(PICTURE), None, share=share)

        recorder, _ = observed({"omo": Service()}, main)
        assert recorder.timeline == []

    def test_whose_task_raises_an_error_of_its_own(self) -> None:
        class Faulty(ImageToText):
            @property
            def options(self) -> Any:
                raise TypeError("no attrs class")

        async def main(engine: Engine) -> None:
            with pytest.raises(TypeError, match="no attrs class"):
                await engine.solve(Faulty(PICTURE), None)

        recorder, _ = observed({"omo": Service()}, main)
        assert recorder.timeline == [(0.0, "Submitted"), (0.0, "Failed")]

    def test_that_is_cancelled(self) -> None:
        async def main(engine: Engine) -> None:
            solving = asyncio.ensure_future(solve(engine))
            await asyncio.sleep(1.5)
            solving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await solving

        recorder, _ = observed({"omo": Service()}, main)
        assert recorder.timeline == [(0.0, "Submitted"), (0.0, "JobCreated"), (1.5, "Cancelled")]
        assert [one.elapsed for one in recorder.of(Cancelled)] == [1.5]

    def test_that_another_overtakes_has_a_late_attempt(self) -> None:
        services = {"slow": Service(seconds=lambda: 30.0), "quick": Service()}

        async def main(engine: Engine) -> float:
            await solve(engine)
            await asyncio.sleep(60)
            return 0.0

        recorder, _ = observed(services, main, hedge_after="5s", hedge_limit="100%")
        [end] = [event.at for event in recorder.of(Solved)]
        attempts = {one.attempt.provider: one for one in recorder.of(Attempted)}
        assert attempts["quick"].at == end
        assert attempts["slow"].at == MORNING + attempts["slow"].attempt.elapsed > end
        assert attempts["slow"].solve == attempts["quick"].solve


class TestEqualTasks:
    def test_each_solve_is_reported_and_the_attempt_belongs_to_the_first(self) -> None:
        async def main(engine: Engine) -> None:
            await asyncio.gather(*(engine.solve(TASK, 60, share=True) for _ in range(3)))

        recorder, _ = observed({"omo": Service()}, main)
        solves = [one.solve for one in recorder.of(Submitted)]
        assert len(set(solves)) == 3
        assert [one.solve for one in recorder.of(Attempted)] == solves[:1]
        assert sorted(one.result.is_shared for one in recorder.of(Solved)) == [False, True, True]


def no_lines(call: str) -> Mishap | None:
    """A service whose list of prices is empty."""
    return Mishap(json_reply({"error": False, "service": []})) if call == "getService" else None


class TestABudget:
    BUDGET: Mapping[str, object] = {"budget": {"limit": "0.1", "per": "day"}, "currency": "USD"}

    @pytest.mark.parametrize(
        ("poor", "error"),
        [
            (Service(settings={**BUDGET, **PRICE}), BudgetExceeded),
            # Its list of prices has no line for the task.
            (Service(settings=BUDGET, mishap=no_lines), PriceUnknown),
        ],
    )
    def test_that_forbids_a_job_is_reported(self, poor: Service, error: type[Exception]) -> None:
        recorder, result = observed({"poor": poor, "rich": Service()})
        [refused] = recorder.of(BudgetRefused)
        assert (refused.provider, type(refused.error), result.provider) == ("poor", error, "rich")
        names = [name for _, name in recorder.timeline]
        assert names[:4] == ["Submitted", "BudgetRefused", "Attempted", "FellBack"]


class TestAProvider:
    HEALTH: Mapping[str, object] = {"health": {"failures": 1, "cooldown": "30s"}}

    def test_that_cools_and_recovers(self) -> None:
        async def main(engine: Engine) -> None:
            await fail(engine, 10)
            await asyncio.sleep(100)
            await solve(engine)

        recorder, _ = observed({"omo": Service(mishap=unreachable_until(50), settings=self.HEALTH)}, main)
        [recovered] = recorder.of(Recovered)
        # Once for the failure, and once for each probe that failed before the solve had no more time.
        assert len(recorder.of(CooledDown)) == 5
        for cooled in recorder.of(CooledDown):
            assert (cooled.provider, cooled.state, cooled.until) == (
                "omo",
                ProviderState.COOLING,
                cooled.at + 30,
            )
            assert ServiceUnavailable.__name__ in cooled.reason
        assert (recovered.provider, recovered.at > MORNING + 100) == ("omo", True)

    def test_that_refuses_the_account_is_out(self) -> None:
        async def main(engine: Engine) -> None:
            await fail(engine)
            await engine.revive("omo")

        recorder, _ = observed({"omo": Service(settings={"api_token": "another-t0ken"})}, main)
        [out], [recovered] = recorder.of(CooledDown), recorder.of(Recovered)
        assert (out.state, out.until) == (ProviderState.OUT, None)
        assert "another-t0ken" not in out.reason
        assert recovered.provider == "omo"


class TestFaults:
    def test_of_an_observer_are_logged_once_and_lose_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        recorder, services = Recorder(), {"omo": Service()}
        result = run_with_services(services, solve, plugins=(Faulty(), recorder))
        assert result.solution.text == "x7kp2"
        assert len(recorder.events) == 6
        logged = [one for one in caplog.records if "observer" in one.getMessage()]
        assert [one.getMessage() for one in logged] == [
            "the observer Faulty failed; its further failures are not logged"
        ]
        assert logged[0].exc_info is not None

    def test_one_that_hangs_delays_no_solve(self, sandbox: Sandbox, quick: QuickOmo) -> None:
        slow = Slow()
        providers = {"omo": {"plugin": "omocaptcha", **sandbox.settings()}}
        with Hub.from_mapping({"providers": providers}, plugins=[quick, slow]) as hub:
            for text in ("first", "second"):
                assert hub.solve(sandbox.draw_text(text).task()).solution == TextSolution(text)
                assert slow.entered.wait(10)
            slow.go_on.set()

    def test_what_waits_too_long_is_dropped_and_the_log_says_how_much(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        slow, seen = Slow(), Recorder()

        def observe(event: Event) -> None:
            slow.captchahub_observe(event)
            seen.captchahub_observe(event)

        feed = EventDispatcher([("slow", observe)], lambda: MORNING, Callbacks())

        async def main() -> None:
            feed.emit(_event)
            assert slow.entered.wait(10)
            for _ in range(10_007):
                feed.emit(_event)
            slow.go_on.set()
            await feed.aclose(30)

        asyncio.run(main())
        assert len(seen.events) == 10_001
        assert "observers were too slow for 7 events, which they have not seen" in caplog.messages

    def test_what_is_not_seen_before_the_end_is_counted_too(self, caplog: pytest.LogCaptureFixture) -> None:
        slow = Slow()
        feed = EventDispatcher([("slow", slow.captchahub_observe)], lambda: MORNING, Callbacks())

        async def main() -> None:
            feed.emit(_event)
            assert slow.entered.wait(10)
            feed.emit(_event)
            await feed.aclose(0.0)
            feed.emit(_event)

        asyncio.run(main())
        slow.go_on.set()
        assert caplog.messages == ["observers were too slow for 1 events, which they have not seen"]


class TestWhoseItIs:
    def test_the_context_variables_are_those_of_the_submitter(
        self, sandbox: Sandbox, quick: QuickOmo
    ) -> None:
        recorder = Recorder()
        providers = {"omo": {"plugin": "omocaptcha", **sandbox.settings()}}
        with Hub.from_mapping({"providers": providers}, plugins=[quick, recorder]) as hub:
            for caller in ("first", "second"):
                reset = CALLER.set(caller)
                ticket = hub.submit(sandbox.draw_text(caller).task())
                CALLER.reset(reset)
                ticket.result()
        solves = {
            one.solve: name for one, name in zip(recorder.of(SolveEvent), recorder.callers, strict=True)
        }
        assert list(solves.values()) == ["first", "second"]
        assert set(recorder.callers) == {"first", "second"}


class TestWhereNobodyObserves:
    def test_no_event_is_made_and_no_thread_begun(self) -> None:
        made: list[float] = []

        def make(at: float) -> Event:
            made.append(at)
            return Event(at=at)

        feed = EventDispatcher([], lambda: MORNING, Callbacks())
        feed.emit(make)
        asyncio.run(feed.aclose(1.0))
        assert made == []
        assert _observing() == []

    def test_the_thread_begins_with_the_first_event_and_ends_with_the_hub(self) -> None:
        recorder = Recorder()
        assert run_with_services({"omo": Service()}, _threads_before_and_after, plugins=(recorder,)) == (0, 1)
        assert _observing() == []


async def _threads_before_and_after(engine: Engine) -> tuple[int, int]:
    before = len(_observing())
    await solve(engine)
    return before, len(_observing())


def _observing() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "captchahub observers"]


def _event(at: float) -> Event:
    return Event(at=at)
