"""Callbacks that a program registers with ``hub.on``: which events they receive, and until when."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from captchahub import AllProvidersFailed, AsyncHub, Hub, HubClosed, events
from captchahub.testing import Fault, Sandbox
from tests.hub.test_forks import Child

Configured = Callable[..., dict[str, object]]

CALLER: ContextVar[str] = ContextVar("CALLER", default="none")


@pytest.fixture
def mapping(configured: Configured) -> dict[str, object]:
    """A configuration with one provider in the sandbox."""
    return configured("omo")


def names(received: list[events.Event]) -> list[str]:
    return [type(event).__name__ for event in received]


class TestWhichEvents:
    def test_a_callback_receives_the_events_of_its_class(
        self, mapping: dict[str, object], sandbox: Sandbox
    ) -> None:
        solved: list[events.Solved] = []
        with Hub.from_mapping(mapping) as hub:
            hub.on(events.Solved, solved.append)
            result = hub.solve(sandbox.draw_text("x7kp2").task())
        assert [event.result for event in solved] == [result]

    def test_one_for_event_receives_all(self, mapping: dict[str, object], sandbox: Sandbox) -> None:
        received: list[events.Event] = []
        with Hub.from_mapping(mapping) as hub:
            hub.on(events.Event, received.append)
            hub.solve(sandbox.draw_text().task())
        assert names(received) == ["Submitted", "JobCreated", "Polled", "Attempted", "Solved"]

    def test_one_for_a_base_class_receives_its_subclasses(
        self, mapping: dict[str, object], sandbox: Sandbox
    ) -> None:
        received: list[events.SolveEvent] = []
        mapping["providers"]["omo"]["health"] = {"failures": 1}  # type: ignore[index]
        sandbox.add_faults(Fault.status(502, on="createJob"))
        with Hub.from_mapping(mapping) as hub:
            hub.on(events.SolveEvent, received.append)
            with pytest.raises(AllProvidersFailed):
                hub.solve(sandbox.draw_text().task())
            assert hub.health()["omo"].state.value == "cooling"
        assert names([*received]) == ["Submitted", "Attempted", "Failed"]

    def test_several_are_called_in_the_order_of_their_registration(
        self, mapping: dict[str, object], sandbox: Sandbox
    ) -> None:
        calls: list[int] = []
        with Hub.from_mapping(mapping) as hub:
            for number in range(3):
                hub.on(events.Solved, lambda _, number=number: calls.append(number))  # type: ignore[misc]
            hub.solve(sandbox.draw_text().task())
        assert calls == [0, 1, 2]

    def test_one_registered_between_two_solves_receives_those_of_the_second(
        self, mapping: dict[str, object], sandbox: Sandbox
    ) -> None:
        solved: list[events.Solved] = []
        with Hub.from_mapping(mapping) as hub:
            hub.solve(sandbox.draw_text().task())
            hub.on(events.Solved, solved.append)
            second = hub.solve(sandbox.draw_text().task())
        assert [event.result for event in solved] == [second]

    def test_it_runs_in_a_thread_of_its_own_with_the_variables_of_the_caller(
        self, mapping: dict[str, object], sandbox: Sandbox
    ) -> None:
        seen: list[tuple[str, str]] = []
        with Hub.from_mapping(mapping) as hub:
            hub.on(events.Solved, lambda _: seen.append((CALLER.get(), threading.current_thread().name)))
            reset = CALLER.set("a request")
            hub.solve(sandbox.draw_text().task())
            CALLER.reset(reset)
        assert seen == [("a request", "captchahub observers")]


class TestRemoving:
    def test_a_removed_callback_is_not_called_any_more(
        self, mapping: dict[str, object], sandbox: Sandbox
    ) -> None:
        received: list[events.Event] = []
        arrived = threading.Event()
        with Hub.from_mapping(mapping) as hub:
            remove = hub.on(events.Solved, received.append)
            hub.on(events.Solved, lambda _: arrived.set())
            hub.solve(sandbox.draw_text().task())
            assert arrived.wait(10)
            remove()
            remove()
            hub.solve(sandbox.draw_text().task())
        assert len(received) == 1

    def test_of_two_registrations_of_one_function_the_other_stays(
        self, mapping: dict[str, object], sandbox: Sandbox
    ) -> None:
        received: list[events.Event] = []
        with Hub.from_mapping(mapping) as hub:
            hub.on(events.Solved, received.append)
            hub.on(events.Solved, received.append)()
            hub.solve(sandbox.draw_text().task())
        assert names(received) == ["Solved"]

    def test_a_callback_can_remove_itself_and_the_next_one(
        self, mapping: dict[str, object], sandbox: Sandbox
    ) -> None:
        received: list[events.Event] = []
        removals: list[Callable[[], None]] = []

        def once(event: events.Event) -> None:
            received.append(event)
            for remove in removals:
                remove()

        with Hub.from_mapping(mapping) as hub:
            removals += [hub.on(events.Solved, once), hub.on(events.Solved, once)]
            for _ in range(2):
                hub.solve(sandbox.draw_text().task())
        assert names(received) == ["Solved"]


class TestFaults:
    def test_an_error_is_logged_once_for_each_callback_and_hurts_no_solve(
        self, mapping: dict[str, object], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        def full(event: events.Event) -> None:
            raise OSError("the disk is full")

        def gone(event: events.Event) -> None:
            raise SystemExit

        received: list[events.Event] = []
        with Hub.from_mapping(mapping) as hub:
            for callback in (full, gone, received.append):
                hub.on(events.Event, callback)
            assert hub.solve(sandbox.draw_text("x7kp2").task()).solution.text == "x7kp2"
        assert len(received) == 5
        logged = [one for one in caplog.records if "callback" in one.getMessage()]
        test = "TestFaults.test_an_error_is_logged_once_for_each_callback_and_hurts_no_solve.<locals>"
        assert [one.getMessage() for one in logged] == [
            f"the callback {test}.{name} failed; its further failures are not logged"
            for name in ("full", "gone")
        ]
        assert all(one.exc_info for one in logged)

    def test_the_log_has_no_repr_of_a_callable_object(
        self, mapping: dict[str, object], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        def send(token: str, event: events.Event) -> None:
            raise OSError

        with Hub.from_mapping(mapping) as hub:
            hub.on(events.Solved, partial(send, "t0ken-of-a-webhook"))
            hub.solve(sandbox.draw_text().task())
        assert "the callback partial failed" in caplog.text
        assert not any("t0ken" in one.getMessage() for one in caplog.records)

    def test_one_that_waits_delays_no_solve(self, mapping: dict[str, object], sandbox: Sandbox) -> None:
        go_on, entered = threading.Event(), threading.Event()

        def wait(event: events.Event) -> None:
            entered.set()
            assert go_on.wait(30)

        with Hub.from_mapping(mapping) as hub:
            hub.on(events.Submitted, wait)
            for text in ("first", "second"):
                assert hub.solve(sandbox.draw_text(text).task()).solution.text == text
                assert entered.wait(10)
            go_on.set()


class TestMistakes:
    @pytest.mark.parametrize(
        ("event_class", "callback", "message"),
        [
            ("Solved", print, r"a class of captchahub.events first, such as events.Solved, not 'Solved'"),
            (int, print, r"a class of captchahub.events first, .* not <class 'int'>"),
            (events.Solved, None, r"takes a function that receives the event, not NoneType"),
            (events.Solved, asyncio.sleep, r"takes an ordinary function, .* loop.call_soon_threadsafe\(\)"),
        ],
    )
    def test_are_found_at_the_registration(
        self, mapping: dict[str, object], event_class: Any, callback: Any, message: str
    ) -> None:
        with Hub.from_mapping(mapping) as hub, pytest.raises(TypeError, match=message):
            hub.on(event_class, callback)

    def test_an_object_whose_call_is_asynchronous_is_one(self, mapping: dict[str, object]) -> None:
        class Sender:
            async def __call__(self, event: events.Event) -> None: ...

        with Hub.from_mapping(mapping) as hub, pytest.raises(TypeError, match="an ordinary function"):
            hub.on(events.Solved, Sender())

    def test_a_closed_hub_takes_no_callback(self, mapping: dict[str, object]) -> None:
        hub = Hub.from_mapping(mapping)
        hub.close()
        with pytest.raises(HubClosed):
            hub.on(events.Solved, print)
        other = AsyncHub.from_mapping(mapping)
        asyncio.run(other.close())
        with pytest.raises(HubClosed):
            other.on(events.Solved, print)


class TestAnAsyncHub:
    def test_calls_its_callbacks_registered_before_the_loop_or_in_it(
        self, mapping: dict[str, object], sandbox: Sandbox
    ) -> None:
        hub = AsyncHub.from_mapping(mapping)
        solved: list[events.Event] = []
        hub.on(events.Solved, solved.append)

        async def main() -> None:
            async with hub:
                loop, arrived = asyncio.get_running_loop(), asyncio.Event()
                hub.on(events.Solved, lambda _: loop.call_soon_threadsafe(arrived.set))
                await hub.solve(sandbox.draw_text().task())
                await asyncio.wait_for(arrived.wait(), 10)

        asyncio.run(main())
        assert names(solved) == ["Solved"]


class TestItStays:
    def test_after_a_reload(self, mapping: dict[str, object], sandbox: Sandbox, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(mapping))
        solved: list[events.Event] = []
        with Hub.from_yaml(path) as hub:
            hub.on(events.Solved, solved.append)
            hub.reload()
            hub.solve(sandbox.draw_text().task())
        assert names(solved) == ["Solved"]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    @pytest.mark.parametrize("is_used", [False, True])
    def test_in_a_forked_child(self, mapping: dict[str, object], sandbox: Sandbox, is_used: bool) -> None:
        first, second = sandbox.draw_text(), sandbox.draw_text()
        solved: list[events.Event] = []
        with Hub.from_mapping(mapping) as hub:
            hub.on(events.Solved, solved.append)
            if is_used:
                hub.solve(first.task())

            def work(_: Callable[[], None]) -> list[str]:
                solved.clear()
                hub.solve(second.task())
                hub.close()
                return names(solved)

            assert Child(work).result() == ["Solved"]
        assert names(solved) == ["Solved"] * is_used
