"""The engine broken on purpose, so that it gives up too soon or calls too often.

See :mod:`tests.simulation.sabotage`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import attrs
import pytest

from captchahub._engine import attempt as _run
from captchahub._engine import poller as _poller
from captchahub._engine import solve as _solve
from captchahub._engine.late_answers import LateAnswer
from captchahub._policy import health as _health
from captchahub._policy import polling
from captchahub._policy.error_table import HealthEffect, Row, Then, row_for
from captchahub._policy.fallback import next_step
from captchahub._policy.health import Health
from captchahub._policy.poll_schedule import PollSchedule
from captchahub._policy.polling import Pace
from captchahub._policy.scheduling import backoff
from captchahub._providers import admission as _gate
from captchahub.errors import CaptchaHubError, ServiceBusy, ServiceUnavailable
from captchahub.results import ProviderState
from captchahub.settings import RouteSettings

__all__ = ["SABOTAGES"]

# pyright: reportPrivateUsage=false
# What is broken here is the inside of the engine.


def cooling_ends_the_solve(patch: pytest.MonkeyPatch) -> None:
    """A provider that cools down is not called, even if there is no other provider."""

    def opens_at(self: Health, _latest: float) -> float | None:
        return self.opens_at

    patch.setattr(Health, "opens_early_at", opens_at)


def busy_is_refused(patch: pytest.MonkeyPatch) -> None:
    """A service without a free worker is not called for the same task again."""

    def ask_others(error: Exception, route: RouteSettings, *, has_job: bool) -> Then:
        return Then.NEXT if isinstance(error, ServiceBusy) else next_step(error, route, has_job=has_job)

    patch.setattr(_solve, "next_step", ask_others)


def page_of_a_firewall_refuses_the_account(patch: pytest.MonkeyPatch) -> None:
    """Every 403 is about the account, even the page of a firewall."""

    def refused(error: Exception) -> Row:
        is_page = isinstance(error, ServiceUnavailable) and "HTTP 403" in str(error)
        return attrs.evolve(row_for(error), health=HealthEffect.REFUSED) if is_page else row_for(error)

    patch.setattr(_run, "row_for", refused)


def all_probe_at_once(patch: pytest.MonkeyPatch) -> None:
    """While one attempt probes a provider, all others may call it as well."""
    opens_at = cast("property", vars(Health)["opens_at"])

    def open_to_all(self: Health) -> Any:
        return -math.inf if self.state is ProviderState.HALF_OPEN else opens_at.__get__(self)

    patch.setattr(Health, "opens_at", property(open_to_all))


def seldom_probed(patch: pytest.MonkeyPatch) -> None:
    """A provider that failed is probed every half a minute, even if there is no other provider."""
    patch.setattr(_health, "_FREE_PROBE_DELAYS", (30.0, 30.0))
    patch.setattr(_health, "_PAID_PROBE_DELAYS", (30.0, 30.0))


def pause_of_a_busy_service_ignored(patch: pytest.MonkeyPatch) -> None:
    """A service without a free worker is called again before the pause that it asked for is over."""

    def no_pause(_error: Exception | None) -> None:
        return None

    def own_pause(tries: int, _error: CaptchaHubError | None = None, *, chance: float = 1.0) -> float:
        return backoff(tries, chance=chance)

    patch.setattr(_gate, "_pause_of", no_pause)
    patch.setattr(_solve, "backoff", own_pause)


def only_question_too_early(patch: pytest.MonkeyPatch) -> None:
    """The first poll comes at its usual time, even if there is time for only one."""

    def first_delay(pace: Pace, _schedule: object, *, left: float, **_rest: object) -> float:
        return min(pace.interval, left / 2)

    patch.setattr(_poller, "first_delay", first_delay)


def late_answer_ignored(patch: pytest.MonkeyPatch) -> None:
    """A late answer is left to hubs that resume, and does not end its own solve."""

    def ignore(_self: LateAnswer, _outcome: object) -> None:
        return

    patch.setattr(LateAnswer, "came", ignore)


def pace_of_our_own(patch: pytest.MonkeyPatch) -> None:
    """Every job is polled each second."""

    def next_delay(*_: object, **_rest: object) -> float:
        return 1.0

    patch.setattr(_poller, "next_delay", next_delay)


def first_question_at_once(patch: pytest.MonkeyPatch) -> None:
    """The minimum delay before the first poll is ignored."""

    def first_delay(pace: Pace, schedule: PollSchedule, **rest: Any) -> float:
        return polling.first_delay(
            attrs.evolve(pace, min_first_delay=None), attrs.evolve(schedule, first=0.0), **rest
        )

    patch.setattr(_poller, "first_delay", first_delay)


SABOTAGES: Mapping[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "cooling ends the solve": (cooling_ends_the_solve, "gave up with"),
    "busy is refused": (busy_is_refused, "gave up with"),
    "page of a firewall refuses the account": (
        page_of_a_firewall_refuses_the_account,
        "has not refused the account",
    ),
    "all probe at once": (all_probe_at_once, "no probe"),
    "seldom probed": (seldom_probed, "which was not called for"),
    "pause of a busy service ignored": (pause_of_a_busy_service_ignored, "after it was asked to wait"),
    "only question too early": (only_question_too_early, "the last question was sent"),
    "late answer ignored": (late_answer_ignored, "before the end of its own solve"),
    "pace of our own": (pace_of_our_own, "again after"),
    "first question at once": (first_question_at_once, "right after its create"),
}
"""Each with a part of the violation that the simulation must report."""
