"""Whom to ask, and what an error allows: the table of the design, row by row."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from itertools import permutations
from random import Random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from captchahub import (
    AllProvidersFailed,
    AmbiguousCreate,
    Attempt,
    AuthenticationError,
    BudgetExceeded,
    CaptchaHubError,
    ConfigError,
    HubClosed,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobTimeout,
    JobUnknown,
    JournalError,
    MalformedReply,
    NotAsked,
    NotOffered,
    Outvoted,
    Overtaken,
    PluginFault,
    PriceUnknown,
    ProviderError,
    RateLimited,
    ServiceBusy,
    ServiceUnavailable,
    SolveCancelled,
    SolveTimeout,
    TaskError,
    TaskRefused,
    TemporarilyBlocked,
    UnsupportedTask,
    WrongSolution,
    errors,
)
from captchahub._policy.error_table import Next, backoff, what_next
from captchahub._policy.ordering import default_route, order
from captchahub._policy.scheduling import first_open, time_for
from captchahub.extending import Candidate
from captchahub.settings import Otherwise, RouteSettings, Strategy

TEXT, SLIDE = "image-to-text", "phone-slide"
OFFERS = {"omo": frozenset({TEXT, SLIDE}), "reader": frozenset({TEXT}), "slider": frozenset({SLIDE})}

Group = Mapping[str, float]


def one_by_one(*names: str) -> list[Group]:
    """A route of names: each is a priority of its own."""
    return [{name: 1.0} for name in names]


def together(*names: str) -> Group:
    """One priority of several, all of the same weight."""
    return dict.fromkeys(names, 1.0)


def facts(price: Decimal | None = None, seconds: float | None = None) -> Candidate:
    return Candidate("", "", price, seconds)


def ask_in_order(route: RouteSettings, *, seed: int = 1, **known: Candidate) -> tuple[str, ...]:
    """The order, where so much is known of some providers and nothing of the others."""
    return order(route, lambda name: known.get(name, facts()), Random(seed).random)


def costs(price: str) -> Candidate:
    return facts(price=Decimal(price))


def takes(seconds: float) -> Candidate:
    return facts(seconds=seconds)


class TestDefaultRoute:
    """Where a kind of task has no route."""

    def test_all_that_offer_the_task_are_asked_in_the_order_of_the_file(self) -> None:
        assert ask_in_order(default_route(TEXT, OFFERS)) == ("omo", "reader")
        assert ask_in_order(default_route(SLIDE, OFFERS)) == ("omo", "slider")

    def test_a_task_that_nobody_offers_has_nobody(self) -> None:
        assert default_route("pick-cells", OFFERS).names == ()

    def test_it_has_no_other_rules_than_a_route_that_only_names_them(self) -> None:
        assert default_route(TEXT, OFFERS) == RouteSettings(one_by_one("omo", "reader"))


class TestOrdered:
    def test_a_route_is_kept(self) -> None:
        assert ask_in_order(RouteSettings(one_by_one("reader", "omo"))) == ("reader", "omo")

    def test_prices_and_speeds_do_not_matter(self) -> None:
        route = RouteSettings(one_by_one("reader", "omo"))
        assert ask_in_order(route, omo=facts(Decimal(0), 0.1)) == ("reader", "omo")

    def test_nothing_is_left_to_chance_where_there_is_nothing_to_choose(self) -> None:
        def chance() -> float:
            raise AssertionError("drawn")

        assert order(RouteSettings(one_by_one("a", "b")), lambda _: facts(), chance) == ("a", "b")

    def test_within_a_priority_it_is_drawn_and_the_priorities_are_kept(self) -> None:
        route = RouteSettings([together("a", "b"), together("c", "d")])
        drawn = {ask_in_order(route, seed=seed) for seed in range(50)}
        assert drawn == {(*one, *other) for one in permutations("ab") for other in permutations("cd")}


class TestCheapest:
    def test_the_lowest_price_is_first(self) -> None:
        route = RouteSettings([together("a", "b", "c")], Strategy.CHEAPEST)
        asked = ask_in_order(route, a=costs("0.002"), b=costs("0.0005"), c=costs("0.001"))
        assert asked == ("b", "c", "a")

    def test_what_costs_nothing_is_cheaper_than_all_else(self) -> None:
        route = RouteSettings([together("a", "b")], Strategy.CHEAPEST)
        assert ask_in_order(route, a=costs("0.0001"), b=costs("0")) == ("b", "a")

    def test_who_has_no_known_price_comes_last(self) -> None:
        route = RouteSettings([together("a", "b")], Strategy.CHEAPEST)
        assert ask_in_order(route, b=costs("1000000")) == ("b", "a")

    def test_of_the_same_price_the_order_of_the_file_is_kept(self) -> None:
        route = RouteSettings([together("b", "c", "a", "d")], Strategy.CHEAPEST)
        assert ask_in_order(route, a=costs("1"), b=costs("1.0")) == ("b", "a", "c", "d")

    def test_a_priority_goes_before_a_price(self) -> None:
        route = RouteSettings([together("a", "b"), together("c")], Strategy.CHEAPEST)
        assert ask_in_order(route, a=costs("2"), b=costs("1"), c=costs("0")) == ("b", "a", "c")


class TestFastest:
    def test_the_shortest_time_is_first(self) -> None:
        route = RouteSettings([together("a", "b", "c")], Strategy.FASTEST)
        assert ask_in_order(route, a=takes(9.5), b=takes(30), c=takes(4)) == ("c", "a", "b")

    def test_who_is_not_known_yet_comes_first(self) -> None:
        """Else nobody would ever know."""
        route = RouteSettings([together("a", "b")], Strategy.FASTEST)
        assert ask_in_order(route, a=takes(0.1)) == ("b", "a")

    def test_who_never_gave_an_answer_comes_last(self) -> None:
        route = RouteSettings([together("a", "b")], Strategy.FASTEST)
        assert ask_in_order(route, a=takes(math.inf), b=takes(1e6)) == ("b", "a")

    def test_a_priority_goes_before_speed(self) -> None:
        route = RouteSettings([together("a", "b"), together("c")], Strategy.FASTEST)
        assert ask_in_order(route, a=takes(20), b=takes(10), c=takes(1)) == ("b", "a", "c")


class TestWeights:
    @pytest.mark.parametrize("strategy", [Strategy.ORDERED, Strategy.BALANCED])
    def test_three_times_the_weight_is_first_three_times_as_often(self, strategy: Strategy) -> None:
        route = RouteSettings([{"omo": 3.0, "spare": 1.0}], strategy)
        chance = Random(7)
        draws = 10_000
        first = Counter(order(route, lambda _: facts(), chance.random)[0] for _ in range(draws))
        # Four standard deviations to either side.
        assert first["omo"] == pytest.approx(draws * 3 / 4, abs=4 * math.sqrt(draws * 3 / 4 * 1 / 4))

    def test_who_is_second_is_drawn_by_weight_among_the_others(self) -> None:
        route = RouteSettings([{"a": 5.0, "b": 3.0, "c": 1.0}], Strategy.BALANCED)
        chance = Random(7)
        drawn = [order(route, lambda _: facts(), chance.random) for _ in range(10_000)]
        second = Counter(names[1] for names in drawn if names[0] == "a")
        after_a = second.total()
        assert after_a == pytest.approx(10_000 * 5 / 9, abs=200)
        assert second["b"] == pytest.approx(after_a * 3 / 4, abs=4 * math.sqrt(after_a * 3 / 4 * 1 / 4))

    def test_only_their_ratio_matters(self) -> None:
        large, small = ([{"a": 3 * size, "b": 1 * size}] for size in (1e6, 1e-6))
        for seed in range(100):
            one = ask_in_order(RouteSettings(large, Strategy.BALANCED), seed=seed)
            assert one == ask_in_order(RouteSettings(small, Strategy.BALANCED), seed=seed)

    def test_who_has_none_comes_last(self) -> None:
        route = RouteSettings([{"spare": 0.0, "omo": 1.0, "reader": 1e-9}, {"own": 1.0}])
        for seed in range(50):
            assert ask_in_order(route, seed=seed)[2:] == ("spare", "own")

    def test_several_that_have_none_keep_their_order(self) -> None:
        route = RouteSettings([{"b": 0.0, "a": 0.0, "c": 0.0}])
        assert ask_in_order(route) == ("b", "a", "c")

    @pytest.mark.parametrize("number", [0.0, 1.0])
    def test_any_chance_will_do(self, number: float) -> None:
        route = RouteSettings([{"a": 1.0, "b": 0.0, "c": 3.0}])
        assert sorted(order(route, lambda _: facts(), lambda: number)) == ["a", "b", "c"]

    @given(
        st.lists(st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1e9), max_size=4), max_size=4),
        st.sampled_from(Strategy),
        st.dictionaries(
            st.sampled_from("abcdef"),
            st.builds(facts, st.none() | st.decimals(0, 9), st.none() | st.floats(0)),
        ),
        st.randoms(use_true_random=False),
    )
    def test_everybody_is_asked_in_the_order_of_their_priorities(
        self, groups: list[Group], strategy: Strategy, known: dict[str, Candidate], chance: Random
    ) -> None:
        asked = order(RouteSettings(groups, strategy), lambda name: known.get(name, facts()), chance.random)
        place = 0
        for group in groups:
            assert sorted(asked[place : place + len(group)]) == sorted(group)
            place += len(group)
        assert place == len(asked)


class TestFirstOpen:
    def test_it_is_the_first_that_may_be_asked(self) -> None:
        assert first_open([1005.0, 1000.0, -math.inf], now=1000.0) == 1

    @pytest.mark.parametrize("opens", [[], [None, None], [1005.0, None, math.inf]])
    def test_there_may_be_none(self, opens: list[float | None]) -> None:
        assert first_open(opens, now=1000.0) is None


class TestTimeFor:
    """How long one provider may take of what the solve has left."""

    def test_a_limit_of_its_own_is_kept(self) -> None:
        assert time_for(120.0, 60.0, others=3, fair=1.0) == 60

    def test_but_never_beyond_what_is_left(self) -> None:
        assert time_for(40.0, 60.0, others=3, fair=90.0) == 40

    def test_a_limit_of_zero_is_one(self) -> None:
        assert time_for(120.0, 0.0, others=0, fair=30.0) == 0

    def test_without_one_an_equal_share_is_kept_for_those_still_to_come(self) -> None:
        assert time_for(120.0, None, others=2, fair=10.0) == 40

    def test_the_last_one_has_all_of_it(self) -> None:
        assert time_for(120.0, None, others=0, fair=10.0) == 120

    def test_where_a_job_needs_more_than_its_share_it_has_what_it_needs(self) -> None:
        assert time_for(120.0, None, others=5, fair=30.0) == 30

    def test_but_no_more_than_half_of_what_is_left(self) -> None:
        assert time_for(40.0, None, others=5, fair=30.0) == 20

    @given(st.floats(0, 1e6), st.none() | st.floats(0, 1e6), st.integers(0, 20), st.floats(0, 1e6))
    def test_there_is_never_more_than_is_left_and_something_stays_for_the_others(
        self, left: float, limit: float | None, others: int, fair: float
    ) -> None:
        time = time_for(left, limit, others=others, fair=fair)
        assert 0 <= time <= left
        if limit is None and others:
            assert time <= left / 2


FAILED_ATTEMPTS = [Attempt("omo", 1.0, error=JobTimeout("late"))]

TABLE: list[tuple[CaptchaHubError, Next]] = [
    (TaskError("a bad picture"), Next.GIVE_UP),
    (TaskRefused("a bad picture, says the service"), Next.GIVE_UP),
    (AuthenticationError("401"), Next.OTHERS),
    (InsufficientBalance("no money"), Next.OTHERS),
    (RateLimited("429"), Next.LATER),
    (RateLimited("429", retry_after=60), Next.LATER),
    (ServiceBusy("no slot"), Next.LATER),
    (TemporarilyBlocked("banned"), Next.LATER),
    (ServiceUnavailable("refused", nothing_created=True), Next.LATER),
    (ServiceUnavailable("reset"), Next.OTHERS),
    (JobFailed("no answer"), Next.OTHERS),
    (JobUnknown("no such job"), Next.OTHERS),
    (WrongSolution("too short"), Next.OTHERS),
    (JobTimeout("too late"), Next.OTHERS),
    (AmbiguousCreate("no job id"), Next.OTHERS),
    (MalformedReply("HTML"), Next.OTHERS),
    (PluginFault("KeyError"), Next.OTHERS),
    (UnsupportedTask("no slides here"), Next.OTHERS),
    (JobRefused("no"), Next.OTHERS),
    (Outvoted("another answer"), Next.OTHERS),
    (Overtaken("another was faster"), Next.OTHERS),
    (NotAsked("full"), Next.LATER),
    (BudgetExceeded("spent"), Next.OTHERS),
    (PriceUnknown("nobody says"), Next.OTHERS),
    (JournalError("full disk"), Next.GIVE_UP),
    (ProviderError("whatever else"), Next.OTHERS),
    (ConfigError("wrong"), Next.GIVE_UP),
    (NotOffered("no price list"), Next.GIVE_UP),
    (HubClosed("closed"), Next.GIVE_UP),
    (SolveCancelled("cancelled"), Next.GIVE_UP),
    (AllProvidersFailed("nobody", FAILED_ATTEMPTS), Next.GIVE_UP),
    (SolveTimeout("too late", FAILED_ATTEMPTS), Next.GIVE_UP),
    (CaptchaHubError("whatever else"), Next.GIVE_UP),
]


class TestWhatNext:
    @pytest.mark.parametrize(("error", "allowed"), TABLE, ids=lambda value: type(value).__name__)
    def test_each_error_allows_what_the_table_says(self, error: CaptchaHubError, allowed: Next) -> None:
        assert what_next(error) is allowed

    def test_no_error_is_left_out(self) -> None:
        every = {
            kind
            for _, kind in inspect.getmembers(errors, inspect.isclass)
            if issubclass(kind, CaptchaHubError)
        }
        assert {type(error) for error, _ in TABLE} == every

    def test_an_order_that_may_have_been_taken_is_never_sent_again(self) -> None:
        for error in (
            AmbiguousCreate("lost"),
            ServiceUnavailable("lost"),
            MalformedReply("lost"),
            JobTimeout("late"),
        ):
            assert what_next(error) is not Next.LATER


TABLE_OF_PROVIDERS = [
    (error, allowed)
    for error, allowed in TABLE
    if isinstance(error, ProviderError) and not isinstance(error, TaskError)
]
MISTAKES = [error for error, allowed in TABLE if allowed is Next.GIVE_UP]

routes = st.builds(
    RouteSettings,
    groups=st.just(one_by_one("a", "b", "c", "d")),
    fallback_on=st.just((ProviderError,))
    | st.lists(st.sampled_from([type(error) for error, _ in TABLE_OF_PROVIDERS]), unique=True).map(tuple),
    on_ambiguous=st.sampled_from(Otherwise),
    on_timeout=st.sampled_from(Otherwise),
)


class TestWhatARouteMakesOfIt:
    def test_with_fallback_on_only_those_errors_let_others_be_asked(self) -> None:
        route = RouteSettings((), fallback_on=(JobFailed, RateLimited))
        assert what_next(JobFailed("no answer"), route) is Next.OTHERS
        assert what_next(WrongSolution("too short"), route) is Next.GIVE_UP
        assert what_next(AuthenticationError("401"), route) is Next.GIVE_UP

    def test_an_error_is_named_by_what_it_is_a_kind_of(self) -> None:
        assert what_next(JobUnknown("gone"), RouteSettings((), fallback_on=(JobFailed,))) is Next.OTHERS
        assert what_next(JobFailed("no"), RouteSettings((), fallback_on=(JobUnknown,))) is Next.GIVE_UP

    @pytest.mark.parametrize(
        "error", [RateLimited("429"), ServiceUnavailable("refused", nothing_created=True)]
    )
    def test_where_waiting_helps_the_same_provider_is_still_asked_again(self, error: ProviderError) -> None:
        assert what_next(error, RouteSettings((), fallback_on=(JobFailed,))) is Next.AGAIN
        assert what_next(error, RouteSettings((), fallback_on=())) is Next.AGAIN

    def test_who_was_not_asked_did_not_fail_so_the_others_are(self) -> None:
        assert what_next(NotAsked("full"), RouteSettings((), fallback_on=())) is Next.LATER

    def test_an_order_that_may_have_been_taken_can_end_it(self) -> None:
        route = RouteSettings((), on_ambiguous=Otherwise.FAIL)
        assert what_next(AmbiguousCreate("no job id"), route) is Next.GIVE_UP
        assert what_next(JobTimeout("too late"), route) is Next.OTHERS

    def test_a_job_that_took_too_long_can_end_it(self) -> None:
        route = RouteSettings((), on_timeout=Otherwise.FAIL)
        assert what_next(JobTimeout("too late"), route) is Next.GIVE_UP
        assert what_next(AmbiguousCreate("no job id"), route) is Next.OTHERS

    @given(routes, st.sampled_from(MISTAKES))
    def test_the_callers_mistake_ends_it_in_every_route(
        self, route: RouteSettings, error: CaptchaHubError
    ) -> None:
        assert what_next(error, route) is Next.GIVE_UP

    @given(routes, st.sampled_from(TABLE_OF_PROVIDERS))
    def test_a_route_only_ever_keeps_others_from_being_asked(
        self, route: RouteSettings, row: tuple[ProviderError, Next]
    ) -> None:
        error, allowed = row
        without_others = {Next.OTHERS: Next.GIVE_UP, Next.LATER: Next.AGAIN}.get(allowed, allowed)
        assert what_next(error, route) in (allowed, without_others)

    @given(routes)
    def test_no_route_sends_an_order_again_that_may_have_been_taken(self, route: RouteSettings) -> None:
        for error in (AmbiguousCreate("lost"), ServiceUnavailable("lost"), JobTimeout("late")):
            assert what_next(error, route) in (Next.OTHERS, Next.GIVE_UP)


class TestBackoff:
    def test_it_doubles_up_to_ten_seconds(self) -> None:
        assert [backoff(tries) for tries in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]

    def test_chance_takes_away_up_to_a_half(self) -> None:
        assert backoff(3, chance=0.0) == 1
        assert backoff(3, chance=0.5) == 1.5
        assert backoff(3, chance=1.0) == 2

    @pytest.mark.parametrize("kind", [RateLimited, ServiceUnavailable])
    def test_what_the_service_asked_for_lengthens_it(
        self, kind: type[RateLimited | ServiceUnavailable]
    ) -> None:
        assert backoff(1, kind("later", retry_after=30), chance=0.0) == 30

    @pytest.mark.parametrize("asked_for", [None, 0.0, 0.1])
    def test_what_the_service_asked_for_never_shortens_it(self, asked_for: float | None) -> None:
        assert backoff(4, RateLimited("later", retry_after=asked_for)) == 4

    def test_other_errors_ask_for_nothing(self) -> None:
        assert backoff(1, JobFailed("no answer")) == backoff(1, None) == backoff(1)

    @given(st.integers(1, 10**6), st.floats(0, 1), st.none() | st.floats(0, 86_400))
    def test_there_is_always_a_pause(self, tries: int, chance: float, asked_for: float | None) -> None:
        pause = backoff(tries, RateLimited("later", retry_after=asked_for), chance=chance)
        assert 0.25 <= pause <= max(10.0, asked_for or 0.0)
        assert pause >= (asked_for or 0.0)


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
        following = what_next(error, self.route)
        if following in (Next.GIVE_UP, Next.AGAIN):
            self.candidates.clear()
        if following in (Next.LATER, Next.AGAIN):
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
harmless = st.sampled_from([error for error, allowed in TABLE_OF_PROVIDERS if allowed is Next.LATER])
any_error = st.sampled_from([error for error, _ in TABLE if isinstance(error, (ProviderError, TaskError))])


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
