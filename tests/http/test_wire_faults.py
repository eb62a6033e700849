"""Every fault on the wire, on create and on poll, over real HTTP.

What must come of each follows from the table of the design, section 5: the right answer or the right error,
inside the deadline, and never a second order where the first may have arrived.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from captchahub import (
    AllProvidersFailed,
    AmbiguousCreate,
    Hub,
    JobRefused,
    JobTimeout,
    RateLimited,
    ServiceUnavailable,
)
from captchahub.testing import ALL_WIRE_FAULTS, Fault, Sandbox

FAULTS = [pytest.param(fault, id=name) for name, fault in ALL_WIRE_FAULTS.items()]
REFUSALS = {
    "400-not-handled": JobRefused,
    "403-not-handled": ServiceUnavailable,
    "404-not-handled": JobRefused,
    "429-not-handled": RateLimited,
    "429-retry-after": RateLimited,
}
TIMEOUT = 3.0

Configure = Callable[..., dict[str, object]]


@pytest.fixture
def configure(configured: Configure, kind: str) -> Configure:
    """A configuration for a service that may hang, with short timeouts."""

    def quick(*names: str, timeout: str = "1s") -> dict[str, object]:
        limits = {"create_timeout": "300ms", "poll_timeout": "300ms", "timeout": timeout}
        return configured(*names, max_reply_bytes=20_000, transport=kind, **limits)

    return quick


@pytest.mark.parametrize(("name", "fault"), ALL_WIRE_FAULTS.items(), ids=list(ALL_WIRE_FAULTS))
class TestOnCreate:
    def test_alone_it_is_the_right_error_and_no_order_is_doubled(
        self, name: str, fault: Fault, sandbox: Sandbox, configure: Configure, quick: object
    ) -> None:
        sandbox.add_faults(attrs.evolve(fault, on="createJob"))
        with (
            Hub.from_mapping(configure("main"), plugins=[quick]) as hub,
            pytest.raises(AllProvidersFailed) as caught,
        ):
            hub.solve(sandbox.draw_text().task(), timeout=TIMEOUT)
        expected = REFUSALS.get(name, AmbiguousCreate)
        assert {type(attempt.error) for attempt in caught.value.attempts} == {expected}
        # The last provider left is asked again where it is known that it took no order.
        if expected not in (RateLimited, ServiceUnavailable):
            assert len(sandbox.calls_to("createJob")) == 1

    def test_the_next_provider_answers(
        self, name: str, fault: Fault, sandbox: Sandbox, configure: Configure, quick: object
    ) -> None:
        sandbox.add_faults(attrs.evolve(fault, on="createJob", token="main"))
        picture = sandbox.draw_text()
        with Hub.from_mapping(configure("main", "spare"), plugins=[quick]) as hub:
            result = hub.solve(picture.task(), timeout=TIMEOUT)
        assert picture.accepts(result.solution)
        assert result.provider == "spare"
        assert [call.token for call in sandbox.calls_to("createJob")] == ["main", "spare"]


@pytest.mark.parametrize("fault", FAULTS)
class TestOnPoll:
    def test_the_job_is_not_lost(
        self, fault: Fault, sandbox: Sandbox, configure: Configure, quick: object
    ) -> None:
        sandbox.add_faults(attrs.evolve(fault, on="getJobResult", times=2))
        picture = sandbox.draw_text()
        with Hub.from_mapping(configure("main", timeout="5s"), plugins=[quick]) as hub:
            result = hub.solve(picture.task(), timeout=TIMEOUT)
        assert picture.accepts(result.solution)
        assert len(sandbox.calls_to("createJob")) == 1

    def test_for_ever_it_is_a_timeout_and_the_next_provider_answers(
        self, fault: Fault, sandbox: Sandbox, configure: Configure, quick: object
    ) -> None:
        sandbox.add_faults(attrs.evolve(fault, on="getJobResult", token="main"))
        picture = sandbox.draw_text()
        with Hub.from_mapping(configure("main", "spare", timeout="500ms"), plugins=[quick]) as hub:
            result = hub.solve(picture.task(), timeout=TIMEOUT)
        assert picture.accepts(result.solution)
        assert [type(attempt.error) for attempt in result.attempts] == [JobTimeout, type(None)]
        assert [call.token for call in sandbox.calls_to("createJob")] == ["main", "spare"]


INTERIM = {
    "100": Fault.interim(100),
    "102": Fault.interim(102),
    "103": Fault.interim(103),
    "103-with-headers": Fault.interim(103, headers={"Link": "</style.css>", "Content-Length": "9"}),
    "199": Fault.interim(199),
    "several": Fault.interim(100, 102, 102, 103, 103),
    "fifty": Fault.interim(*[102] * 50),
}


@pytest.mark.parametrize("fault", INTERIM.values(), ids=list(INTERIM))
class TestInterimReplies:
    """Interim replies come before the reply."""

    def test_ahead_of_the_reply_to_an_order_do_not_hide_it(
        self, fault: Fault, sandbox: Sandbox, configure: Configure, quick: object
    ) -> None:
        sandbox.add_faults(attrs.evolve(fault, on="createJob"))
        picture = sandbox.draw_text()
        with Hub.from_mapping(configure("main"), plugins=[quick]) as hub:
            result = hub.solve(picture.task(), timeout=TIMEOUT)
        assert picture.accepts(result.solution)
        assert len(sandbox.calls_to("createJob")) == len(sandbox.jobs) == 1

    def test_ahead_of_the_reply_to_a_poll_do_not_hide_it(
        self, fault: Fault, sandbox: Sandbox, configure: Configure, quick: object
    ) -> None:
        sandbox.add_faults(attrs.evolve(fault, on="getJobResult"))
        picture = sandbox.draw_text()
        with Hub.from_mapping(configure("main"), plugins=[quick]) as hub:
            result = hub.solve(picture.task(), timeout=TIMEOUT)
        assert picture.accepts(result.solution)
        assert result.attempts[0].polls == 1


def test_a_server_that_is_gone_is_known_not_to_have_had_the_order(
    sandbox: Sandbox, configure: Configure, quick: object
) -> None:
    picture = sandbox.draw_text()
    with Hub.from_mapping(configure("main"), plugins=[quick]) as hub:
        sandbox.stop()
        ticket = hub.submit(picture.task(), timeout=TIMEOUT)
        with pytest.raises(TimeoutError):
            ticket.result(timeout=0.01)
        sandbox.start()
        assert picture.accepts(ticket.result().solution)
    assert len(sandbox.calls_to("createJob")) == 1
