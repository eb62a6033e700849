"""An answer that comes when its attempt is over: it is paid for, so the solve takes it while it goes on."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import attrs
import pytest

from captchahub import Hub, Image, ImageToText, JobState, Result, TextSolution
from captchahub._engine.engine import Engine
from captchahub._journal.rows import JobFilter
from captchahub.errors import (
    AllProvidersFailed,
    JobTimeout,
    Outvoted,
    Overtaken,
    ProviderError,
    SolveTimeout,
    WrongSolution,
)
from captchahub.hookspecs import hookimpl
from captchahub.jobs import JobEntry
from captchahub.provider import LocalProvider, ProviderKind
from captchahub.tasks import Solution, Task
from captchahub.testing import Mishap, json_reply
from tests.virtual_services import PICTURE, TASK, Service, run_with_services

PRICE = {"prices": {"image-to-text": 0.001}}
BAD_TOKEN = Mishap(json_reply({"error": True, "message": "Invalid api token."}))


def takes(seconds: float, *, answer: str = "x7kp2", **settings: object) -> Service:
    """A service whose jobs take so long."""
    return Service(seconds=lambda: seconds, answer=answer, settings={**PRICE, **settings})


def told(result: Result[TextSolution] | AllProvidersFailed) -> list[tuple[str, type[ProviderError] | None]]:
    """Who ended how, in order."""
    return [(one.provider, None if one.error is None else type(one.error)) for one in result.attempts]


async def journal(engine: Engine) -> Sequence[JobEntry]:
    """Every job, the oldest first."""
    return (await engine.jobs(JobFilter(limit=10)))[::-1]


def solved(services: Mapping[str, Service], timeout: float, **route: Any) -> Result[TextSolution]:
    """The result of a solve, once every job of it is over."""

    async def main(engine: Engine) -> Result[TextSolution]:
        result = await engine.solve(TASK, timeout)
        await asyncio.sleep(700)
        return result

    return run_with_services(services, main, **route)


class TestTheOnlyQuestion:
    @pytest.mark.parametrize(("limit", "job"), [(4, 3.0), (4, 3.4), (3, 2.4), (2, 1.5), (1, 0.4), (5.9, 5.3)])
    def test_comes_as_late_as_its_reply_lets_it(self, limit: float, job: float) -> None:
        services = {"only": takes(job, timeout=f"{limit}s")}
        result = solved(services, 30)
        assert result.provider == "only"
        assert result.elapsed <= limit

    def test_is_answered_before_another_provider_is_paid(self) -> None:
        services = {"first": takes(2.5), "second": takes(2.5)}
        result = solved(services, 8)
        assert told(result) == [("first", None)]
        assert services["second"].jobs == 0


class TestAnAnswerOfAnEarlierJob:
    TOWN = staticmethod(lambda: {"first": takes(5.0), "second": takes(3.4)})

    def test_ends_the_solve_while_another_is_awaited(self) -> None:
        services = self.TOWN()
        result = solved(services, 8)
        assert (result.provider, result.elapsed, result.solution.text) == ("first", 5.5, "x7kp2")
        (job,) = services["first"].world.jobs.values()
        assert result.job_id == job.id

    def test_makes_one_attempt_of_what_was_one_job(self) -> None:
        result = solved(self.TOWN(), 8)
        assert told(result) == [("first", None), ("second", Overtaken)]
        first, second = result.attempts
        assert (first.elapsed, first.polls, first.job_id) == (5.5, 2, result.job_id)
        assert str(second.error) == "the earlier job at first was done first, after all"
        assert (result.cost, result.total_cost) == (Decimal("0.001"), Decimal("0.002"))

    def test_is_marked_as_given_and_the_other_job_is_collected(self) -> None:
        services = self.TOWN()

        async def main(engine: Engine) -> None:
            await engine.solve(TASK, 8)
            await asyncio.sleep(60)
            entries = [(one.provider, one.state, one.is_given) for one in await journal(engine)]
            assert entries == [("first", JobState.SOLVED, True), ("second", JobState.SOLVED, True)]
            assert [one async for one in engine.resume(4)] == []

        run_with_services(services, main)

    def test_that_is_wrong_does_not_end_it(self) -> None:
        services = {"first": takes(5.0, answer="no"), "second": takes(3.4)}

        async def main(engine: Engine) -> None:
            result = await engine.solve(ImageToText(PICTURE, length=5), 8)
            assert told(result) == [("first", WrongSolution), ("second", None)]
            await asyncio.sleep(60)
            states = [(one.provider, one.state) for one in await journal(engine)]
            assert states == [("first", JobState.FAILED), ("second", JobState.SOLVED)]
            assert [one async for one in engine.resume(4)] == []

        run_with_services(services, main)

    def test_is_held_against_the_checks_of_plugins_too(self) -> None:
        class NoX:
            @hookimpl
            def captchahub_check_solution(self, solution: Solution) -> str | None:
                assert isinstance(solution, TextSolution)
                return "no picture here shows an x" if "x" in solution.text else None

        async def main(engine: Engine) -> Result[TextSolution]:
            return await engine.solve(TASK, 8)

        services = {"first": takes(5.0), "second": takes(3.4, answer="k2")}
        result = run_with_services(services, main, plugins=(NoX(),))
        assert told(result) == [("first", WrongSolution), ("second", None)]

    def test_is_a_vote_where_several_must_agree(self) -> None:
        services = {"a": takes(25.0, timeout="20s"), "b": takes(3.0, answer="other"), "c": takes(40.0)}
        result = solved(services, 120, agree=2)
        assert told(result) == [("b", Outvoted), ("a", None), ("c", None)]
        assert [(vote.provider, vote.agrees) for vote in result.votes] == [
            ("b", False),
            ("a", True),
            ("c", True),
        ]

    def test_ends_a_vote_before_the_last_one_is_asked_in_vain(self) -> None:
        services = {"a": takes(25.0, timeout="20s"), "b": takes(3.0), "c": takes(90.0)}
        result = solved(services, 120, agree=2)
        assert told(result) == [("b", None), ("a", None), ("c", Overtaken)]
        assert result.elapsed < 30

    def test_overtakes_one_that_was_asked_as_well(self) -> None:
        services = {"a": takes(12.0, timeout="10s"), "b": takes(60.0)}
        result = solved(services, 120, hedge_after="1s", hedge_limit="100%")
        assert told(result) == [("a", None), ("b", Overtaken)]
        assert result.elapsed < 15

    def test_is_waited_for_where_others_took_its_time_and_failed(self) -> None:
        refused = takes(1.0)
        refused.mishap = lambda call: BAD_TOKEN if call == "createJob" else None
        result = solved({"first": takes(6.0), "second": refused}, 9)
        assert result.provider == "first"
        assert result.elapsed < 9

    def test_is_not_waited_for_beyond_the_time_that_its_provider_has(self) -> None:
        refused = takes(1.0)
        refused.mishap = lambda call: BAD_TOKEN if call == "createJob" else None
        services = {"first": takes(60.0, timeout="5s"), "second": refused}

        async def main(engine: Engine) -> None:
            with pytest.raises(AllProvidersFailed) as caught:
                await engine.solve(TASK, 100)
            assert asyncio.get_running_loop().time() < 6
            assert told(caught.value)[0] == ("first", JobTimeout)

        run_with_services(services, main)

    def test_that_does_not_come_in_time_is_for_whoever_resumes(self) -> None:
        services = {"first": takes(30.0), "second": takes(30.0)}

        async def main(engine: Engine) -> None:
            with pytest.raises(SolveTimeout):
                await engine.solve(TASK, 8)
            await asyncio.sleep(60)
            assert len([one async for one in engine.resume(4)]) == 2

        run_with_services(services, main)

    def test_that_too_few_agreed_with_is_for_whoever_resumes(self) -> None:
        services = {"a": takes(25.0, timeout="20s"), "b": takes(12.0, answer="other")}

        async def main(engine: Engine) -> None:
            with pytest.raises(AllProvidersFailed):
                await engine.solve(TASK, 60)
            await asyncio.sleep(60)
            assert [one.entry.provider async for one in engine.resume(4)] == ["a"]

        run_with_services(services, main, agree=2)


def test_a_job_that_nobody_waits_for_keeps_no_picture() -> None:
    async def main(engine: Engine) -> None:
        task = ImageToText(Image.from_bytes(PICTURE.data))
        kept = weakref.ref(task.image)
        await engine.solve(task, 8)
        del task
        await asyncio.sleep(1)
        gc.collect()
        assert kept() is None

    run_with_services({"first": takes(100.0), "second": takes(1.0)}, main)


def test_asking_goes_on_at_the_same_pace_and_learns_that_the_job_took_longer_than_its_time() -> None:
    services = {"first": takes(30.0, timeout="10s"), "second": takes(60.0)}

    async def main(engine: Engine) -> None:
        await engine.solve(TASK, 100)
        asked = [sent.at for sent in services["first"].transport.calls_to("getJobResult")]
        assert all(later - earlier >= 2.0 for earlier, later in pairwise(asked))
        begun = asyncio.get_running_loop().time()
        await engine.solve(TASK, 100)
        first = services["first"].transport.calls_to("getJobResult")[len(asked)]
        assert 5.0 < first.at - begun <= 9.5

    run_with_services(services, main)


@attrs.frozen
class PersonSettings:
    name: str


class Person(LocalProvider):
    """Answers when the next one is asked, and the next one not before the test is over."""

    kinds = frozenset({"image-to-text"})
    next_is_asked = threading.Event()
    is_over = threading.Event()

    def __init__(self, settings: PersonSettings) -> None:
        self._name = settings.name

    def solve(self, task: Task[Solution]) -> Solution:
        if self._name == "first":
            self.next_is_asked.wait(10)
        else:
            self.next_is_asked.set()
            self.is_over.wait(10)
        return TextSolution(self._name)


class People:
    @hookimpl
    def captchahub_provider_kinds(self) -> Sequence[ProviderKind[PersonSettings]]:
        return [ProviderKind("person", PersonSettings, Person)]


@pytest.mark.parametrize("length", [5, 6])
def test_an_engine_in_this_process_may_be_late_as_well(length: int) -> None:
    Person.next_is_asked.clear()
    Person.is_over.clear()
    first = {"plugin": "person", "name": "first", "timeout": "50ms"}
    providers = {"first": first, "second": {"plugin": "person", "name": "second"}}
    with Hub.from_mapping({"providers": providers}, plugins=[People()]) as hub:
        ticket = hub.submit(ImageToText(PICTURE, length=length), timeout=20)
        assert Person.next_is_asked.wait(10)
        if length == len("second"):
            Person.is_over.set()
        result = ticket.result()
        Person.is_over.set()
    if length == len("first"):
        assert told(result) == [("first", None), ("second", Overtaken)]
    else:
        assert told(result)[1] == ("second", None)
        assert told(result)[0] in [("first", WrongSolution), ("first", JobTimeout)]
