"""Which provider a solve calls next, over a whole solve, against a model that only knows what happened."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from captchahub import (
    AmbiguousCreate,
    AuthenticationError,
    BudgetExceeded,
    CaptchaHubError,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobTimeout,
    JobUnknown,
    JournalError,
    MalformedReply,
    NotAsked,
    Outvoted,
    Overtaken,
    PluginFault,
    PriceUnknown,
    ProviderError,
    RateLimited,
    ServiceBusy,
    ServiceUnavailable,
    TaskError,
    TaskRefused,
    TemporarilyBlocked,
    UnsupportedTask,
    WrongSolution,
)
from captchahub._policy.error_table import Then, row_for
from captchahub._policy.fallback import next_step
from captchahub._policy.scheduling import backoff, first_open
from captchahub.settings import Otherwise, RouteSettings


@attrs.define
class Open:
    """A provider that this solve may still call."""

    name: str
    rank: float
    not_before: float = 0.0
    tries: int = 0


class SmallSolve:
    """What a solve does with these rules, one attempt after the other, and nothing else."""

    def __init__(self, route: RouteSettings) -> None:
        self.route = route
        self.candidates = [Open(name, -len(route.names) + i) for i, name in enumerate(route.names)]

    def opens(self, opens: Mapping[str, float | None]) -> list[float | None]:
        health = [(one, opens[one.name]) for one in self.candidates]
        return [None if at is None else max(at, one.not_before) for one, at in health]

    def fail(self, place: int, error: CaptchaHubError, now: float, chance: float) -> None:
        candidate = self.candidates.pop(place)
        following = next_step(error, self.route)
        if following in (Then.STOP, Then.RETRY):
            self.candidates.clear()
        if following in (Then.LATER, Then.RETRY):
            candidate.tries += 1
            candidate.not_before = now + backoff(candidate.tries, error, chance=chance)
            candidate.rank = now
            self.candidates.append(candidate)
            self.candidates.sort(key=lambda one: one.rank)


@attrs.frozen(eq=False)
class FailedAttempt:
    """An attempt that failed: at which provider, when, and how."""

    name: str
    at: float
    error: CaptchaHubError
    chance: float

    @property
    def may_be_called_again(self) -> bool:
        """No job was created, and waiting may help."""
        if isinstance(self.error, ServiceUnavailable):
            return self.error.nothing_created
        is_of_money = isinstance(self.error, (BudgetExceeded, JournalError, PriceUnknown))
        return isinstance(self.error, (RateLimited, NotAsked)) and not is_of_money

    def allows_others(self, route: RouteSettings) -> bool:
        if isinstance(self.error, (JournalError, TaskError)):
            return False
        if isinstance(self.error, AmbiguousCreate) and route.on_ambiguous is Otherwise.FAIL:
            return False
        if isinstance(self.error, JobTimeout) and route.on_timeout is Otherwise.FAIL:
            return False
        return isinstance(self.error, (NotAsked, *route.fallback_on))

    def pause_ends(self, tries: int) -> float:
        """When the pause after it is over: half a second, doubled with each try, at most ten seconds."""
        pause = min(0.5 * 2.0 ** (tries - 1), 10.0)
        demanded = self.error.retry_after if isinstance(self.error, RateLimited) else None
        return self.at + max(pause / 2 + pause / 2 * self.chance, demanded or 0)


class History:
    """Every attempt of a solve, and what follows from them; nothing else is kept."""

    def __init__(self, route: RouteSettings) -> None:
        self.route = route
        self.attempts: list[FailedAttempt] = []

    def of(self, name: str) -> list[FailedAttempt]:
        return [one for one in self.attempts if one.name == name]

    def may_call(self, name: str) -> bool:
        """Whether the solve may call it at some time: the route allows it, and no job of it may exist."""
        allowed_by_others = all(one.allows_others(self.route) for one in self.attempts if one.name != name)
        return allowed_by_others and all(one.may_be_called_again for one in self.of(name))

    def is_ready(self, name: str, opens_at: float | None, now: float) -> bool:
        attempts = self.of(name)
        is_rested = not attempts or attempts[-1].pause_ends(len(attempts)) <= now
        return self.may_call(name) and is_rested and opens_at is not None and opens_at <= now

    def expected_next(self, opens: Mapping[str, float | None], now: float) -> str | None:
        """The first of the route that was not called yet, else the one that was called the longest ago."""
        ready = [name for name in self.route.names if self.is_ready(name, opens[name], now)]
        return min(ready, key=self._last_attempt, default=None)

    def _last_attempt(self, name: str) -> int:
        attempts = self.of(name)
        return self.attempts.index(attempts[-1]) if attempts else -1


NAMES = ("a", "b", "c", "d")
moments = st.integers(0, 40).map(lambda quarters: quarters / 4)

ERRORS: list[ProviderError] = [
    AuthenticationError("401"),
    InsufficientBalance("no money"),
    RateLimited("429"),
    RateLimited("429", retry_after=60),
    ServiceBusy("no slot"),
    TemporarilyBlocked("banned"),
    ServiceUnavailable("refused", nothing_created=True),
    ServiceUnavailable("reset"),
    JobFailed("no answer"),
    JobUnknown("no such job"),
    WrongSolution("too short"),
    JobTimeout("too late"),
    AmbiguousCreate("no job id"),
    MalformedReply("HTML"),
    PluginFault("KeyError"),
    UnsupportedTask("no slides here"),
    JobRefused("no"),
    Outvoted("another answer"),
    Overtaken("another was faster"),
    NotAsked("full"),
    BudgetExceeded("spent"),
    PriceUnknown("not in the list"),
    JournalError("full disk"),
    ProviderError("whatever else"),
]
any_error = st.sampled_from([*ERRORS, TaskError("a bad picture"), TaskRefused("bad, says the service")])
harmless = st.sampled_from([error for error in ERRORS if row_for(error).then is Then.LATER])

routes = st.builds(
    RouteSettings,
    groups=st.just([{name: 1.0} for name in NAMES]),
    fallback_on=st.just((ProviderError,))
    | st.lists(st.sampled_from([type(error) for error in ERRORS]), unique=True).map(tuple),
    on_ambiguous=st.sampled_from(Otherwise),
    on_timeout=st.sampled_from(Otherwise),
)


class FallbackMachine(RuleBasedStateMachine):
    """A solve fails again and again, while its providers open and close."""

    @initialize(route=routes)
    def begin(self, route: RouteSettings) -> None:
        self.now = 0.0
        self.route = route
        self.solve = SmallSolve(route)
        self.history = History(route)
        self.opens: dict[str, float | None] = dict.fromkeys(NAMES, -math.inf)

    @rule(seconds=moments)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def the_soonest_opens(self) -> None:
        later = [at for at in self.solve.opens(self.opens) if at is not None and self.now < at < math.inf]
        self.now = min(later, default=self.now)

    @rule(name=st.sampled_from(NAMES), wait=moments)
    def a_provider_cools(self, name: str, wait: float) -> None:
        self.opens[name] = self.now + wait

    @rule(name=st.sampled_from(NAMES), opens=st.sampled_from([None, -math.inf, math.inf]))
    def a_provider_changes(self, name: str, opens: float | None) -> None:
        """It is out, healthy again, or half-open."""
        self.opens[name] = opens

    @rule(error=harmless | any_error, chance=st.sampled_from([0.0, 0.5, 1.0]))
    def a_provider_is_called_and_fails(self, error: CaptchaHubError, chance: float) -> None:
        place = first_open(self.solve.opens(self.opens), self.now)
        picked = None if place is None else self.solve.candidates[place].name
        assert picked == self.history.expected_next(self.opens, self.now)
        if place is None or picked is None:
            return
        self.check(picked)
        self.solve.fail(place, error, self.now, chance)
        self.history.attempts.append(FailedAttempt(picked, self.now, error, chance))

    def check(self, picked: str) -> None:
        """What must never happen, checked without the model."""
        before = self.history.attempts
        opens_at = self.opens[picked]
        assert opens_at is not None, "a provider that is out is not called"
        assert opens_at <= self.now, "no provider is called before it opens"
        for one in before:
            assert not isinstance(one.error, TaskError), "a caller's mistake ends the solve"
            if one.name == picked:
                assert not isinstance(one.error, AmbiguousCreate), "no job that may exist is created again"
                assert self.now >= one.at + 0.25, "a provider that failed has a pause"
            else:
                assert one.allows_others(self.route), "the route does not allow another provider"
        if picked not in {one.name for one in before}:
            first = [name for name in NAMES[: NAMES.index(picked)] if not self.history.of(name)]
            assert all((at := self.opens[name]) is None or at > self.now for name in first), (
                "the order is kept"
            )


FallbackMachine.TestCase.settings = settings(stateful_step_count=40)
TestFallbackMachine = FallbackMachine.TestCase
