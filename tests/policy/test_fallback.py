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
    """A provider that this solve can still ask."""

    name: str
    rank: float
    not_before: float = 0.0
    tries: int = 0


class LittleSolve:
    """What a solve does with all of the above, one attempt after the other, and nothing else."""

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
class Asked:
    """An attempt that failed: of whom, when, and how."""

    name: str
    at: float
    error: CaptchaHubError
    chance: float

    @property
    def may_be_asked_again(self) -> bool:
        """Nothing was ordered, and waiting may help."""
        if isinstance(self.error, ServiceUnavailable):
            return self.error.nothing_created
        is_of_money = isinstance(self.error, (BudgetExceeded, JournalError, PriceUnknown))
        return isinstance(self.error, (RateLimited, NotAsked)) and not is_of_money

    def lets_others_be_asked(self, route: RouteSettings) -> bool:
        if isinstance(self.error, (JournalError, TaskError)):
            return False
        if isinstance(self.error, AmbiguousCreate) and route.on_ambiguous is Otherwise.FAIL:
            return False
        if isinstance(self.error, JobTimeout) and route.on_timeout is Otherwise.FAIL:
            return False
        return isinstance(self.error, (NotAsked, *route.fallback_on))

    def rested_at(self, tries: int) -> float:
        """When the pause after it is over: half a second, doubled with each try, ten seconds at most."""
        pause = min(0.5 * 2.0 ** (tries - 1), 10.0)
        demanded = self.error.retry_after if isinstance(self.error, RateLimited) else None
        return self.at + max(pause / 2 + pause / 2 * self.chance, demanded or 0)


class History:
    """Every attempt of a solve, and what follows from them all: nothing else is kept."""

    def __init__(self, route: RouteSettings) -> None:
        self.route = route
        self.asked: list[Asked] = []

    def of(self, name: str) -> list[Asked]:
        return [one for one in self.asked if one.name == name]

    def may_ask(self, name: str) -> bool:
        """At some time: nobody is in the way, and no order of this provider's may be under way."""
        allowed_by_others = all(
            one.lets_others_be_asked(self.route) for one in self.asked if one.name != name
        )
        return allowed_by_others and all(one.may_be_asked_again for one in self.of(name))

    def is_ready(self, name: str, opens_at: float | None, now: float) -> bool:
        asked = self.of(name)
        has_rested = not asked or asked[-1].rested_at(len(asked)) <= now
        return self.may_ask(name) and has_rested and opens_at is not None and opens_at <= now

    def expected_next(self, opens: Mapping[str, float | None], now: float) -> str | None:
        """Whoever was not asked yet, in the order of the route; then whoever was asked the longest ago."""
        ready = [name for name in self.route.names if self.is_ready(name, opens[name], now)]
        return min(ready, key=self._last_asked, default=None)

    def _last_asked(self, name: str) -> int:
        asked = self.of(name)
        return self.asked.index(asked[-1]) if asked else -1


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


class RoutingMachine(RuleBasedStateMachine):
    """A solve picks and fails, again and again, among providers that open and close as they like."""

    @initialize(route=routes)
    def begin(self, route: RouteSettings) -> None:
        self.now = 0.0
        self.route = route
        self.solve = LittleSolve(route)
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
        """It is out, healthy again, or half open."""
        self.opens[name] = opens

    @rule(error=harmless | any_error, chance=st.sampled_from([0.0, 0.5, 1.0]))
    def somebody_is_asked_and_fails(self, error: CaptchaHubError, chance: float) -> None:
        place = first_open(self.solve.opens(self.opens), self.now)
        picked = None if place is None else self.solve.candidates[place].name
        assert picked == self.history.expected_next(self.opens, self.now)
        if place is None or picked is None:
            return
        self.check(picked)
        self.solve.fail(place, error, self.now, chance)
        self.history.asked.append(Asked(picked, self.now, error, chance))

    def check(self, picked: str) -> None:
        """What must never happen, said once more and plainly."""
        before = self.history.asked
        opens_at = self.opens[picked]
        assert opens_at is not None, "one that is out is not asked"
        assert opens_at <= self.now, "nobody is asked before it opens"
        for one in before:
            assert not isinstance(one.error, TaskError), "a caller's mistake ends it"
            if one.name == picked:
                assert not isinstance(one.error, AmbiguousCreate), "an order is never sent twice"
                assert self.now >= one.at + 0.25, "a provider that failed has a pause"
            else:
                assert one.lets_others_be_asked(self.route), "where that is forbidden, nobody else is asked"
        if picked not in {one.name for one in before}:
            first = [name for name in NAMES[: NAMES.index(picked)] if not self.history.of(name)]
            assert all((at := self.opens[name]) is None or at > self.now for name in first), (
                "the order is kept"
            )


RoutingMachine.TestCase.settings = settings(stateful_step_count=40)
TestRoutingMachine = RoutingMachine.TestCase
