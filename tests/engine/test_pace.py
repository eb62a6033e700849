"""The pace at which a service is asked: what its plugin says, and what it says itself of one job."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs
import pytest

from captchahub import AllProvidersFailed, Result, TextSolution
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._plugins.manager import Plugins
from captchahub.errors import NotAsked
from captchahub.hookspecs import hookimpl
from captchahub.provider import Job, Pending, ProviderKind, Reply, Solved
from captchahub.testing import ScriptedTransport, run_virtual
from tests.custom_providers import CompleteProvider, empty_reply
from tests.virtual_services import TASK


@attrs.frozen
class NoSettings:
    """Nothing to set."""


class Paced(CompleteProvider):
    """A service that says when to ask again, each time another pause; then it has the answer."""

    def __init__(self, pauses: Sequence[float | None], *, gap: float, wait: float | None) -> None:
        self.min_poll_interval, self.min_first_poll_delay = gap, wait
        self._pauses = list(pauses)

    def read_result(self, job: Job, reply: Reply) -> Pending | Solved:
        if self._pauses:
            return Pending("running", retry_after=self._pauses.pop(0))
        return Solved(TextSolution("x7kp2"))


class Plugin:
    def __init__(self, provider: CompleteProvider) -> None:
        self._provider = provider

    @hookimpl
    def captchahub_provider_kinds(self) -> Sequence[ProviderKind[NoSettings]]:
        return [ProviderKind("paced", NoSettings, lambda _: self._provider)]


def asked(
    pauses: Sequence[float | None] = (),
    *,
    timeout: float | None = None,
    gap: float = 1.0,
    wait: float | None = None,
    **settings: object,
) -> list[float]:
    """When a job was asked for, in seconds after its order; none where the solve failed without one."""
    plugins = Plugins((Plugin(Paced(pauses, gap=gap, wait=wait)),))
    mapping = {"providers": {"own": {"plugin": "paced", **settings}}}
    transport = ScriptedTransport(empty_reply)

    async def run() -> Result[TextSolution]:
        engine = Engine(
            read_mapping(mapping, plugins), plugins=plugins, connect=lambda _: transport, chance=lambda: 1.0
        )
        try:
            return await engine.solve(TASK, timeout)
        finally:
            await engine.aclose()
            await asyncio.sleep(0)

    run_virtual(run())
    return [sent.at for sent in transport.sent if sent.request.url.endswith("poll")]


def test_a_service_that_says_when_to_ask_again_is_heard() -> None:
    assert asked([7.0, None, 3.5, 20.0]) == [1.0, 8.0, 9.0, 12.5, 32.5]


def test_it_is_never_asked_faster_than_its_plugin_allows() -> None:
    assert asked([0.0, 0.1, -5.0], gap=2.0) == [2.0, 4.0, 6.0, 8.0]


def test_a_pause_beyond_the_deadline_leaves_one_last_question() -> None:
    assert asked([600.0], timeout=10) == [1.0, 9.5]


def test_the_first_question_waits_as_long_as_the_service_wants() -> None:
    assert asked([None], gap=2.0, wait=6.0) == [6.0, 8.0]
    assert asked([None], gap=5.0, wait=2.0) == [2.0, 7.0]


def test_nothing_is_ordered_that_could_not_be_asked_for_in_time() -> None:
    with pytest.raises(AllProvidersFailed) as caught:
        asked(gap=5.0, wait=5.0, timeout=5)
    (error,) = caught.value.exceptions
    assert isinstance(error, NotAsked)
    assert "less than 6 s was left" in str(error)
    assert asked(gap=5.0, wait=5.0, timeout=7) == [6.5]


def test_an_interval_that_is_configured_holds_for_the_first_question_too() -> None:
    assert asked([None], gap=1.0, wait=5.0, poll={"first": "5s", "every": "2s"}) == [5.0, 7.0]
    assert asked([None], gap=1.0, poll={"every": "4s"}) == [4.0, 8.0]
