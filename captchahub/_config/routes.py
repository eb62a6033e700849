"""Routes: the providers for a task kind, written as a list of names, or as a mapping with rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from captchahub import errors
from captchahub._config.plain_values import items_in
from captchahub._config.problems import KeyPath
from captchahub._config.type_info import keys_of
from captchahub._support.notation import Weight
from captchahub._support.wording import advise
from captchahub.errors import AmbiguousCreate, JobTimeout, ProviderError, TaskError
from captchahub.settings import Otherwise, RouteSettings, Strategy

if TYPE_CHECKING:
    # Only the type of an argument: the rules of routes do not depend on how values are read.
    from captchahub._config.reader import ValueReader

Group = Mapping[str, float]

# The other strategies order the providers of a priority by price or by time, so a weight would do nothing.
_BY_WEIGHT = (Strategy.ORDERED, Strategy.BALANCED)

FALLBACK_ERRORS: Mapping[str, type[ProviderError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, ProviderError)
    if not issubclass(kind, (TaskError, errors.NotAsked, errors.Outvoted, errors.Overtaken))
}
"""What ``fallback_on`` can name: the errors that end an attempt, and after which another may follow."""


@attrs.frozen
class RouteReader:
    """Reads routes; reports what is wrong. ``defined`` are the names of the providers."""

    reader: ValueReader
    defined: Sequence[str]

    def route(self, value: object, place: KeyPath) -> RouteSettings:
        """Return the route at a place, without the parts that are wrong."""
        if isinstance(value, dict):
            return self._with_rules(value, place)  # pyright: ignore[reportUnknownArgumentType]  # its keys are text
        return RouteSettings(self._groups(value, Strategy.ORDERED, place))

    def _with_rules(self, raw: Mapping[str, object], place: KeyPath) -> RouteSettings:
        problems = self.reader.problems
        self.reader.refuse_unknown(raw, keys_of(RouteSettings), place)
        rules = self.reader.fields(raw, RouteSettings, place, skip=("providers", "fallback_on"))
        if "fallback_on" in raw:
            rules["fallback_on"] = self._errors(raw["fallback_on"], (*place, "fallback_on"))
        groups: list[Group] = []
        if "providers" in raw:
            strategy = rules.get("strategy", Strategy.ORDERED)
            groups = self._groups(raw["providers"], strategy, (*place, "providers"))
        else:
            problems.add((*place, "providers"), "missing; name the providers to call, in order")
        route = RouteSettings(groups, **rules)
        for key, other, problem in contradictions(route, rules):
            # If the other key could not be read, its value here is only a default.
            if not problems.has_problem((*place, other)):
                problems.add((*place, key), problem)
        return route

    def _groups(self, value: object, strategy: Strategy, place: KeyPath) -> list[Group]:
        items: list[object] | None = self.reader.read(value, list[object], place)
        if items is not None and not items:
            self.reader.problems.add(place, "the route is empty; name a provider, or leave the route out")
        groups = [self._group(item, strategy, (*place, index)) for index, item in enumerate(items or [])]
        self._refuse_misnamed(items or [], place)
        if strategy is not Strategy.ORDERED and all(isinstance(item, str) for item in items or []):
            # A plain list is one priority, because the strategy chooses among its names.
            return [{name: weight for group in groups for name, weight in group.items()}]
        return groups

    def _group(self, item: object, strategy: Strategy, place: KeyPath) -> Group:
        """Return one priority: a name, a list of names, or a mapping of names to weights."""
        if isinstance(item, dict):
            weights: Group | None = self.reader.read(item, dict[str, Weight], place)  # pyright: ignore[reportUnknownArgumentType]  # read with care
            if strategy not in _BY_WEIGHT and weights:
                advice = "write a list of the names alone"
                self.reader.problems.add(place, f"{strategy.value} uses no weights; {advice}")
        elif isinstance(item, list):
            names: list[str] | None = self.reader.read(item, list[str], place)  # pyright: ignore[reportUnknownArgumentType]  # read with care
            weights = None if names is None else dict.fromkeys(names, 1.0)
        else:
            name: str | None = self.reader.read(item, str, place)
            return {} if name is None else {name: 1.0}
        if weights is not None and not weights:
            self.reader.problems.add(place, "this priority is empty; name a provider, or leave it out")
        return weights or {}

    def _refuse_misnamed(self, items: Sequence[object], place: KeyPath) -> None:
        seen: set[str] = set()
        for index, item in enumerate(items):
            for name, where in _named(item, (*place, index)):
                # Without any provider every name would be unknown, and none of them is the mistake.
                if self.defined and name not in self.defined:
                    message = self._unknown(name, where, "not a provider", self.defined, "defined")
                    self.reader.problems.add(where, message)
                elif name in seen:
                    shown = self.reader.problems.shown(where, name)
                    self.reader.problems.add(where, f"{shown} is named twice; leave one out")
                seen.add(name)

    def _unknown(self, name: str, place: KeyPath, what: str, known: Iterable[str], label: str) -> str:
        # A name that came from a reference is not compared, so that the advice can't spell it out.
        word = "" if place in self.reader.problems.origins else name
        return f"{self.reader.problems.shown(place, name)} is {what}; {advise(word, known, label)}"

    def _errors(self, value: object, place: KeyPath) -> tuple[type[ProviderError], ...]:
        names: list[str] = self.reader.read(value, list[str], place) or []
        for index, name in enumerate(names):
            if name not in FALLBACK_ERRORS:
                where, what = (*place, index), "no error of a provider"
                self.reader.problems.add(where, self._unknown(name, where, what, FALLBACK_ERRORS, "errors"))
        return tuple(FALLBACK_ERRORS[name] for name in names if name in FALLBACK_ERRORS)


def _named(item: object, place: KeyPath) -> Iterator[tuple[str, KeyPath]]:
    """Yield the names in one item of a route, each with its place."""
    if isinstance(item, str):
        yield item, place
    for step, member in items_in(item):
        # A mapping has the names as its keys, and their weights as values.
        name = member if isinstance(step, int) else step
        if isinstance(name, str):
            yield name, (*place, step)


def contradictions(route: RouteSettings, rules: Collection[str]) -> list[tuple[str, str, str]]:
    """Return the keys that another key contradicts: the key, the other one, and the message.

    ``rules`` are the keys that are present and could be read.
    """
    providers = len(set(route.names))
    hedges = route.hedge_after is not None
    checks = [
        (
            route.agree > providers,
            ("agree", "providers"),
            f"{route.agree} must agree, and the route names {providers}; name more, or lower it",
        ),
        (
            route.max_attempts is not None and route.max_attempts < route.agree,
            ("max_attempts", "agree"),
            f"fewer than agree, which needs {route.agree}; raise it",
        ),
        (
            not hedges and "hedge_limit" in rules,
            ("hedge_limit", "hedge_after"),
            "without hedge_after no second provider is called; write hedge_after, or leave it out",
        ),
        (
            hedges and providers < 2,
            ("hedge_after", "providers"),
            "there is no second provider to call; name one, or leave it out",
        ),
        (
            hedges and route.max_attempts == 1,
            ("hedge_after", "max_attempts"),
            "max_attempts allows no second provider; raise it, or leave this out",
        ),
        (
            hedges and route.agree > 1,
            ("hedge_after", "agree"),
            "providers that must agree are called at once; leave one out",
        ),
    ]
    for key, error, choice in (
        ("on_ambiguous", AmbiguousCreate, route.on_ambiguous),
        ("on_timeout", JobTimeout, route.on_timeout),
    ):
        # ProviderError is the default and names all errors at once, so "fail" is an exception from it.
        names_error = choice is Otherwise.FAIL and error in route.fallback_on
        omits_error = key in rules and choice is Otherwise.NEXT and not issubclass(error, route.fallback_on)
        checks += [
            (names_error, (key, "fallback_on"), f"fallback_on names {error.__name__}; leave one of them out"),
            (
                omits_error,
                (key, "fallback_on"),
                f"fallback_on does not name {error.__name__}; add it, or leave this out",
            ),
        ]
    return [(*keys, message) for is_wrong, keys, message in checks if is_wrong]
