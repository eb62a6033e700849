"""Three providers over real HTTP, of which any two have any fault there is: the third one answers.

Each fault is tried with one other fault by default, and with 20 others if CAPTCHAHUB_FAULT_PAIRS=20.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import attrs
import pytest

from captchahub import Hub, ProviderState, TaskRefused
from captchahub.testing import Answer, Fault, Sandbox, wire_faults

pytestmark = pytest.mark.search

NAMES = ("first", "second", "third")
PAIRS = int(os.environ.get("CAPTCHAHUB_FAULT_PAIRS", "1"))
# Long enough for a good service on this machine, short enough for a test of one that never answers.
QUICK = {"create_timeout": "600ms", "poll_timeout": "300ms", "timeout": "1s"}


@attrs.frozen
class Faults:
    """Which provider works, and what happens to the calls of the two others."""

    works: str
    on: str | None
    faults: tuple[str, str]

    def __str__(self) -> str:
        return f"{self.on or 'every call'}: {' and '.join(self.faults)}, not {self.works}"


def cases() -> Iterator[Faults]:
    chance = random.Random(20)
    names = list(wire_faults())
    for number in range(PAIRS):
        for place, name in enumerate(names):
            works = NAMES[(place + number) % 3]
            on = ("createJob", "getJobResult", None)[(place // 3 + number) % 3]
            yield Faults(works, on, (name, chance.choice(names)))


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_any_one_that_works_is_enough(
    sandbox: Sandbox, configured: Callable[..., dict[str, object]], quick: object, case: Faults
) -> None:
    failing = [name for name in NAMES if name != case.works]
    for name, fault in zip(failing, case.faults, strict=True):
        sandbox.add_faults(attrs.evolve(wire_faults()[fault], on=case.on, token=name))
    picture = sandbox.draw_text("x7kp2")
    with Hub.from_mapping(configured(*NAMES, **QUICK), plugins=[quick]) as hub:
        result = hub.solve(picture.task(), timeout=20)
    assert result.solution.text == "x7kp2"
    # A reply that drips may still be in time. The attempts are true whichever provider answered.
    assert result.attempts[-1].provider == result.provider
    assert result.attempts[-1].error is None
    assert all(attempt.error is not None for attempt in result.attempts[:-1])
    earlier = NAMES[: NAMES.index(result.provider)]
    assert set(earlier) <= {attempt.provider for attempt in result.attempts[:-1]}
    charged = [job.account.token for job in sandbox.jobs]
    assert len(charged) == len(set(charged)), "a job was created twice at a provider"


def test_the_callers_own_mistake_never_falls_back(
    sandbox: Sandbox, configured: Callable[..., dict[str, object]], quick: object
) -> None:
    refusal = Answer.json({"error": True, "message": "Image is invalid."})
    sandbox.add_faults(Fault.reply(refusal, on="createJob", handled=False))
    with Hub.from_mapping(configured(*NAMES), plugins=[quick]) as hub:
        with pytest.raises(TaskRefused):
            hub.solve(sandbox.draw_text().task())
        assert {one.state for one in hub.health().values()} == {ProviderState.HEALTHY}
    assert len(sandbox.calls_to("createJob")) == 1


def test_a_server_that_is_down_costs_one_try_a_cooldown(
    sandbox: Sandbox, configured: Callable[..., dict[str, object]], quick: object
) -> None:
    mapping = configured("dead", "alive", **QUICK, health={"failures": 2, "cooldown": "1h"})
    sandbox.add_faults(Fault.drop(token="dead"))
    picture = sandbox.draw_text("x7kp2")
    with Hub.from_mapping(mapping, plugins=[quick]) as hub:
        for _ in range(2):
            assert hub.solve(picture.task()).provider == "alive"
        assert hub.health()["dead"].state is ProviderState.COOLING
        before = len([call for call in sandbox.calls if call.token == "dead"])
        outcomes = list(hub.solve_many(picture.task() for _ in range(50)))
        assert [one.unwrap().provider for one in outcomes] == ["alive"] * 50
        assert len([call for call in sandbox.calls if call.token == "dead"]) == before
        sandbox.clear_faults()
        hub.revive("dead")
        assert hub.solve(picture.task()).provider == "dead"
