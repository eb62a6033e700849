"""What is recorded of a provider's health, and when it is news."""

from __future__ import annotations

import attrs
import pytest

from captchahub._policy.error_table import HealthEffect
from captchahub._policy.health import Health
from captchahub._policy.health_record import HealthRecord, is_news, record_of
from captchahub._policy.refusals import Refusals
from captchahub.results import ProviderState
from captchahub.settings import HealthSettings

OUT = HealthRecord(ProviderState.OUT, "AuthenticationError", None, changed_at=1000.0)

COOLING = HealthRecord(ProviderState.COOLING, "RateLimited", 1060.0, changed_at=1000.0)


def after(effect: HealthEffect, **named: float) -> Health:
    health, permit = Health(HealthSettings()).admit(5.0)
    assert permit is not None
    return health.after(permit, effect, 5.0, reason="why", **named)


def test_a_provider_that_is_called_has_no_record() -> None:
    healthy = Health(HealthSettings())
    busy = after(HealthEffect.SERVICE_BUSY, retry_after=10.0)
    banned = after(HealthEffect.RATE_LIMITED, retry_after=10.0)
    assert [record_of(one, "x", now=15.0, wall=1000.0) for one in (healthy, busy, banned)] == [None] * 3
    probing, _ = banned.admit(15.0)
    assert probing.state is ProviderState.HALF_OPEN
    assert record_of(probing, "x", now=15.0, wall=1000.0) is None


def test_times_are_those_of_the_wall_clock() -> None:
    cooling = after(HealthEffect.RATE_LIMITED, retry_after=10.0)
    assert record_of(cooling, "RateLimited", now=7.0, wall=1000.0) == HealthRecord(
        ProviderState.COOLING, "RateLimited", until=1008.0, changed_at=998.0
    )
    out = record_of(after(HealthEffect.REFUSED), "AuthenticationError", now=7.0, wall=1000.0)
    assert out == attrs.evolve(OUT, changed_at=998.0)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (None, OUT),
        (OUT, None),
        (COOLING, OUT),
        (OUT, COOLING),
        (OUT, attrs.evolve(OUT, error="InsufficientBalance")),
        (COOLING, attrs.evolve(COOLING, until=1061.0)),
        (COOLING, attrs.evolve(COOLING, until=1050.0)),
    ],
)
def test_another_state_error_or_end_is_news(before: HealthRecord | None, now: HealthRecord | None) -> None:
    assert is_news(by_name(before), by_name(now), 1000.0)


@pytest.mark.parametrize(
    ("before", "now", "at"),
    [
        (None, None, 1000.0),
        (OUT, attrs.evolve(OUT, changed_at=999.0), 1000.0),
        (COOLING, attrs.evolve(COOLING, until=1060.9), 1000.0),
        # A cooldown that is over is read as no cooldown.
        (COOLING, None, 1060.0),
    ],
)
def test_the_same_again_is_no_news(before: HealthRecord | None, now: HealthRecord | None, at: float) -> None:
    assert not is_news(by_name(before), by_name(now), at)


def by_name(record: HealthRecord | None) -> dict[str, HealthRecord]:
    return {} if record is None else {"omo": record}


class TestWhatOtherProcessesHaveFound:
    NOTHING = Refusals(found=None, revived_at=None)
    REFUSED = Refusals(found="AuthenticationError", revived_at=None)

    def seen(self, health: Health, refusals: Refusals) -> Health:
        # The refusal of after() was at 1000.0 by the wall clock.
        return health.with_refusals(refusals, now=10.0, wall=1005.0)

    @pytest.mark.parametrize("effect", [HealthEffect.WORKED, HealthEffect.RATE_LIMITED])
    def test_a_refused_account_is_out_and_not_recorded_twice(self, effect: HealthEffect) -> None:
        health = self.seen(after(effect), self.REFUSED)
        assert (health.state, health.is_elsewhere) == (ProviderState.OUT, True)
        assert health.reason == "AuthenticationError, as another process has found"
        assert record_of(health, None, now=10.0, wall=1005.0) is None
        assert self.seen(health, self.REFUSED) is health

    def test_it_is_healthy_again_once_no_process_finds_that(self) -> None:
        health = self.seen(self.seen(after(HealthEffect.WORKED), self.REFUSED), self.NOTHING)
        assert (health.state, health.is_elsewhere) == (ProviderState.HEALTHY, False)

    def test_what_this_process_finds_itself_does_not_depend_on_others(self) -> None:
        before, permit = Health(HealthSettings()).admit(5.0)
        assert permit is not None
        known = self.seen(before, self.REFUSED)
        own = known.after(permit, HealthEffect.REFUSED, 11.0, reason="why")
        assert (own.state, own.is_elsewhere, own.reason) == (ProviderState.OUT, False, "why")
        assert self.seen(own, self.NOTHING) is own

    @pytest.mark.parametrize(("revived_at", "state"), [(999.0, "out"), (1001.0, "healthy")])
    def test_a_revival_elsewhere_ends_an_earlier_refusal(self, revived_at: float, state: str) -> None:
        health = self.seen(after(HealthEffect.REFUSED), Refusals(None, revived_at))
        assert health.state.value == state

    def test_a_healthy_or_cooling_provider_is_as_it_was(self) -> None:
        for health in (after(HealthEffect.WORKED), after(HealthEffect.RATE_LIMITED)):
            assert self.seen(health, Refusals(None, 2000.0)) is health
