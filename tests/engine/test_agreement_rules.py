"""Several providers that must give one answer: when to ask another, when nobody any more, and which is it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence

import pytest

from captchahub import (
    AuthenticationError,
    Image,
    JobFailed,
    NotAsked,
    Outvoted,
    PhoneSlide,
    Point,
    Result,
    SlideSolution,
)
from captchahub._engine.engine import Engine
from captchahub.provider import Created
from captchahub.testing import Mishap, json_reply
from tests.custom_providers import (
    ScriptedProvider,
    fail,
    failures,
    provider_with,
    returning,
    run_with_providers,
)
from tests.virtual_services import PICTURE, TASK, Service, run_with_services

BAD_TOKEN = Mishap(json_reply({"error": True, "message": "Invalid api token."}))
NOBODY_AGREES = "no 2 providers gave the same answer to this image-to-text task"


def refusing() -> Service:
    return Service(mishap=lambda call: BAD_TOKEN if call == "createJob" else None)


class TestOutOfReach:
    """What can't bring an agreement any more would be money for nothing."""

    def test_who_is_left_alone_is_not_asked(self) -> None:
        services = {"a": refusing(), "b": refusing(), "c": Service()}
        ended = run_with_services(services, fail, agree=2)
        assert failures(ended) == [("a", AuthenticationError), ("b", AuthenticationError), ("c", NotAsked)]
        assert str(ended).startswith(NOBODY_AGREES)
        assert "too few others were left for 2 to agree" in str(ended)
        assert services["c"].orders == []

    def test_nobody_is_asked_where_too_few_are_well(self) -> None:
        services = {"a": refusing(), "b": Service()}

        async def main(engine: Engine) -> None:
            await fail(engine)
            assert services["b"].jobs == 1  # nobody knew then
            for _ in range(3):
                ended = await fail(engine)
                assert failures(ended) == [("a", NotAsked), ("b", NotAsked)]
                assert "it is out" in str(ended)
                assert "too few others were left for 2 to agree" in str(ended)

        run_with_services(services, main, agree=2)
        assert services["b"].jobs == 1

    def test_one_that_cools_may_be_well_in_time(self) -> None:
        busy = Mishap(json_reply({}, 429, retry_after="10"))
        services = {"a": Service(mishap=lambda _: busy if _now() < 5 else None), "b": Service()}

        async def main(engine: Engine) -> list[str]:
            return [vote.provider for vote in (await engine.solve(TASK, 60)).votes]

        assert run_with_services(services, main, agree=2) == ["b", "a"]

    def test_a_most_of_attempts_counts(self) -> None:
        services = {"a": Service(answer=None), "b": Service(), "c": Service()}
        ended = run_with_services(services, fail, agree=2, max_attempts=2)
        assert failures(ended) == [("a", JobFailed), ("b", Outvoted), ("c", NotAsked)]
        assert "max_attempts is 2" in str(ended)
        assert services["c"].orders == []

    @pytest.mark.parametrize("answers", [["one", "two", "three"], ["one", "two", None]])
    def test_too_many_different_answers_are_the_end(self, answers: Sequence[str | None]) -> None:
        services = {name: Service(answer=answer) for name, answer in zip("abc", answers, strict=True)}
        services["d"] = Service()
        ended = run_with_services(services, fail, agree=3)
        assert failures(ended)[-1] == ("d", NotAsked)
        assert str(ended).startswith("no 3 providers gave the same answer")
        assert "too few others were left for 3 to agree" in str(ended)
        assert services["d"].orders == []

    def test_no_more_are_asked_at_once_than_could_bring_it(self) -> None:
        services = {name: Service(answer=answer) for name, answer in zip("abcde", "xyyzy", strict=True)}

        async def main(engine: Engine) -> list[tuple[str, bool]]:
            return [(vote.provider, vote.agrees) for vote in (await engine.solve(TASK, None)).votes]

        votes = run_with_services(services, main, agree=3)
        assert votes == [("a", False), ("b", True), ("c", True), ("d", False), ("e", True)]
        assert services["e"].orders == [8.0]


def _now() -> float:
    return asyncio.get_running_loop().time()


LARGE = Image.from_bytes(PICTURE.data[:6] + struct.pack("<HH", 1000, 400) + PICTURE.data[10:])


def dragging_to(*ends: float) -> dict[str, ScriptedProvider]:
    """One provider for each end of a drag; on this screen ten pixels make no difference."""
    drags = [Created(1, SlideSolution(Point(10, 10), Point(end, 10))) for end in ends]
    return {
        name: ScriptedProvider(provider_with(read_created=returning(drag)))
        for name, drag in zip("abcdef", drags, strict=False)
    }


async def slide(engine: Engine) -> Result[SlideSolution]:
    return await engine.solve(PhoneSlide(LARGE), 60)


class TestAnswersThatAgreeWithAThird:
    """As drags do that are not the same to the pixel."""

    @pytest.mark.parametrize(
        ("ends", "winner"),
        [((500, 509, 518), "b"), ((509, 500, 518), "a"), ((500, 518, 509), "c")],
    )
    def test_the_result_is_the_one_that_all_agree_with(self, ends: Sequence[float], winner: str) -> None:
        result = run_with_providers(dragging_to(*ends), slide, kind="phone-slide", agree=3)
        assert (result.provider, result.solution.end.x) == (winner, 509)
        task = PhoneSlide(LARGE)
        assert all(task.agrees(result.solution, vote.solution) for vote in result.votes)
        assert [vote.agrees for vote in result.votes] == [True] * 3
        assert failures(result) == []

    def test_one_that_agrees_with_another_only_does_not_count(self) -> None:
        result = run_with_providers(dragging_to(500, 700, 509, 518, 491), slide, kind="phone-slide", agree=3)
        counted = [vote.solution.end.x for vote in result.votes if vote.agrees]
        assert all(abs(result.solution.end.x - end) <= 10 for end in counted)
        assert len(counted) >= 3
        assert ("b", Outvoted) in failures(result)
        assert "answered a drag from (10, 10) to (700, 10), and" in str(result.attempts[1])
