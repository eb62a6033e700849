"""How many threads a provider's calls get: more where round trips are long, and not where they only queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub._policy.concurrency import LEAST_CALLS, MOST_CALLS, RoundTrips
from captchahub.testing import run_virtual

Call = Callable[[], Awaitable[object]]


async def threads_and_seconds(calls: int, call: Call) -> tuple[int, float]:
    """Make calls, each as soon as the limit allows it. Return the most at once, and the seconds they took."""
    loop = asyncio.get_running_loop()
    trips, running, most, begun = RoundTrips(), set[asyncio.Task[float]](), 0, loop.time()

    async def round_trip() -> float:
        sent = loop.time()
        await call()
        return loop.time() - sent

    while calls or running:
        while calls and len(running) < trips.call_limit:
            running.add(asyncio.ensure_future(round_trip()))
            calls -= 1
        most = max(most, len(running))
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            trips = trips.after(one.result(), loop.time())
    return most, loop.time() - begun


def at_a_service(calls: int, *, latency: float, capacity: float | None = None) -> tuple[int, float]:
    """The same at a service with a latency in seconds, which handles ``capacity`` calls a second."""

    async def run() -> tuple[int, float]:
        handling = asyncio.Lock()

        async def call() -> None:
            await asyncio.sleep(latency)
            if capacity is not None:
                async with handling:
                    await asyncio.sleep(1 / capacity)

        return await threads_and_seconds(calls, call)

    return run_virtual(run())


class TestAServiceThatIsFarAway:
    def test_takes_a_thousand_calls_within_a_second(self) -> None:
        most, seconds = at_a_service(1000, latency=0.1)
        assert 150 <= most <= 151
        assert seconds < 1.0

    def test_never_gets_more_threads_than_the_upper_limit(self) -> None:
        most, _ = at_a_service(1000, latency=3.0)
        assert most == MOST_CALLS


class TestAServiceThatIsNear:
    @pytest.mark.parametrize("capacity", [None, 5000.0, 1000.0, 300.0])
    def test_gets_no_more_threads_however_long_calls_queue_there(self, capacity: float | None) -> None:
        """With 30 calls at once, and 300 a second, each takes a tenth of a second."""
        most, _ = at_a_service(1000, latency=0.002, capacity=capacity)
        assert most == LEAST_CALLS


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e9))))
def test_the_limit_is_always_between_the_two(trips: list[tuple[float, float]]) -> None:
    known, now = RoundTrips(), 0.0
    for seconds, pause in trips:
        now += pause
        known = known.after(seconds, now)
        assert LEAST_CALLS <= known.call_limit <= MOST_CALLS


def test_a_service_that_moves_far_away_gets_more_threads_after_a_while() -> None:
    known = RoundTrips()
    for _ in range(LEAST_CALLS):
        known = known.after(0.01, 0.0)
    assert known.after(0.1, 1.0).call_limit == LEAST_CALLS
    for minute in range(5):
        known = known.after(0.1, 60.0 * minute)
    assert known.call_limit == 150


def test_a_service_that_comes_near_gets_fewer_at_once() -> None:
    known = RoundTrips()
    for _ in range(LEAST_CALLS):
        known = known.after(0.1, 0.0)
    assert known.call_limit == 150
    assert known.after(0.01, 0.0).call_limit == LEAST_CALLS
