"""The effective configuration: each key there is, with its value, masked, and where that came from."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import tzinfo
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from captchahub._config.budgets import NEEDED_KEYS
from captchahub._config.inspected import Inspected, value_at
from captchahub._config.keys import (
    COMMON_KEYS,
    HEALTH_KEYS,
    HTTP_KEYS,
    HUB_KEYS,
    JOURNAL_KEYS,
    LIMIT_KEYS,
    PLUGIN_KEYS,
)
from captchahub._config.problems import KeyPath, items_in, mapping_in
from captchahub._config.routes import RULES, contradictions
from captchahub._config.scalars import (
    NEVER,
    CertificatesPath,
    Duration,
    FilePath,
    HeaderText,
    HedgeDelay,
    Pause,
    ProxyAddress,
)
from captchahub._config.schema import SCALARS
from captchahub._support.redaction import mask, secrets_in
from captchahub.provider import Secret
from captchahub.settings import Budget, HubSettings, Percentile, ProviderSettings, Rate, RouteSettings

__all__ = ["HIDDEN", "Entry", "effective"]

HIDDEN = "***"
"""What stands in place of a secret."""

_DEFAULT = "default"

# Texts of these types can be anything, so one that came from a reference is shown as it is written.
_OPEN = frozenset({str, Secret, Path, CertificatesPath, FilePath, HeaderText, ProxyAddress})

_CLOSED = frozenset(SCALARS) - _OPEN

_TIMES = frozenset({Duration, Pause, HedgeDelay})


@attrs.frozen
class Entry:
    """A key: its value as plain YAML has it, or the entries of the mapping that it holds.

    ``source`` is empty for a mapping. Not ``in_use`` is what can't be written down: a default that is none.
    """

    key: str
    value: object = None
    children: Sequence[Entry] = ()
    source: str = ""
    in_use: bool = True


def effective(inspected: Inspected, settings: HubSettings) -> Sequence[Entry]:
    """The entries of a configuration that is fine; ``settings`` are those that it gave."""
    return _Effective(inspected, settings).entries()


class _Unwritable(Exception):
    """A value that no configuration can hold; the message is its type."""


class _Effective:
    def __init__(self, inspected: Inspected, settings: HubSettings) -> None:
        self._inspected = inspected
        self._settings = settings
        # The backstop behind the types: no text that is a secret anywhere shows anywhere else.
        self._secrets = [text for each in settings.providers.values() for text in secrets_in(each.own)]

    def entries(self) -> Sequence[Entry]:
        settings, hub = self._settings, self._table((), HUB_KEYS, self._settings)
        providers = [self._provider(one) for one in settings.providers.values()]
        routes = [self._route(kind, route) for kind, route in settings.routes.items()]
        return [
            Entry("providers", children=providers),
            Entry("routes", children=routes) if routes else Entry("routes", {}, source=_DEFAULT),
            *hub,
            self._budget((), settings.budget),
            self._journal(),
            Entry("plugins", children=self._table(("plugins",), PLUGIN_KEYS, settings.plugins)),
        ]

    def _provider(self, one: ProviderSettings) -> Entry:
        place = ("providers", one.name)
        own = self._unread(place)
        if one.unusable is None:
            own = [self._own(field, one, place) for field in _fields(type(one.own)) if field.init]
        health = Entry("health", children=self._table((*place, "health"), HEALTH_KEYS, one.health))
        rest = [health, self._budget(place, one.budget), *self._table(place, HTTP_KEYS, one.http)]
        plugin = Entry("plugin", one.plugin, source=self._inspected.source((*place, "plugin")))
        return Entry(one.name, children=[plugin, *own, *self._table(place, LIMIT_KEYS, one), *rest])

    def _unread(self, place: KeyPath) -> list[Entry]:
        """The keys of a plugin that can't be used: nobody knows which of them are secrets."""
        keys = [key for key in self._written(place) if key not in COMMON_KEYS]
        return [Entry(key, HIDDEN, source=self._inspected.source((*place, key))) for key in keys]

    def _own(self, field: attrs.Attribute[Any], one: ProviderSettings, place: KeyPath) -> Entry:
        key = field.alias or field.name
        target = _hiding(field)
        if key in self._written(place):
            return self._given((*place, key), target)
        entry = _by_default(key, getattr(one.own, field.name), target)
        return attrs.evolve(entry, value=self._masked(entry.value))

    def _masked(self, value: object) -> object:
        """A plain value without any text that is a secret."""
        if isinstance(value, str):
            return mask(value, self._secrets)
        members, items = mapping_in(value), items_in(value)
        if members:
            return {mask(key, self._secrets): self._masked(one) for key, one in members.items()}
        return [self._masked(one) for _, one in items] if isinstance(value, list) else value

    def _route(self, kind: str, route: RouteSettings) -> Entry:
        place: KeyPath = ("routes", kind)
        written = self._written(place)
        asked = self._given((*place, "providers") if written else place, list[object], "providers")
        # Some rules mean nothing beside others, and the loader refuses them even where they say the default.
        idle = {key for key, _other, _told in contradictions(route, dict.fromkeys(RULES))}
        rules = [
            attrs.evolve(entry, in_use=entry.in_use and entry.key not in idle)
            for entry in self._table(place, RULES, route)
        ]
        if "fallback_on" in written:
            errors = self._given((*place, "fallback_on"), list[Enum])
        else:
            errors = Entry("fallback_on", [kind.__name__ for kind in route.fallback_on], source=_DEFAULT)
        return Entry(kind, children=[asked, *rules, errors])

    def _budget(self, around: KeyPath, budget: Budget | None) -> Entry:
        if budget is None:
            return Entry("budget", source=_DEFAULT, in_use=False)
        place = (*around, "budget")
        zone = self._table(place, {"zone": str}, budget)
        return Entry("budget", children=[*self._table(place, NEEDED_KEYS, budget), *zone])

    def _journal(self) -> Entry:
        place, journal = ("journal",), self._settings.journal
        if journal.path is None and not self._written(place):
            # Its keys make no sense without a file.
            return Entry("journal", source=_DEFAULT, in_use=False)
        entries = self._table(place, JOURNAL_KEYS, journal)
        if journal.path is not None and not self._written(place):
            entries[0] = self._given(place, FilePath, "path")
        return Entry("journal", children=entries)

    def _written(self, place: KeyPath) -> Mapping[str, object]:
        return mapping_in(value_at(self._inspected.written, place))

    def _table(self, place: KeyPath, types: Mapping[str, Any], settings: object) -> list[Entry]:
        written = self._written(place)
        return [
            self._given((*place, key), target)
            if key in written
            else _by_default(key, getattr(settings, key), target)
            for key, target in types.items()
        ]

    def _given(self, place: KeyPath, target: Any, key: str = "") -> Entry:
        """What was written at a place; ``key`` where it is called otherwise."""
        key, inside = key or str(place[-1]), self._written(place)
        if inside and not _is_secret(target):
            children = [
                attrs.evolve(
                    self._given((*place, step), _member(target, step)), key=mask(step, self._secrets)
                )
                for step in inside
            ]
            return Entry(key, children=children)
        return Entry(key, self._shown(place, target), source=self._inspected.source(place))

    def _shown(self, place: KeyPath, target: Any) -> object:
        written, resolved = (
            value_at(one, place) for one in (self._inspected.written, self._inspected.resolved)
        )
        if _is_secret(target):
            return HIDDEN
        if target is ProxyAddress:
            return _without_password(str(resolved))
        if isinstance(written, str):
            return mask(str(resolved) if _is_closed(target) else written, self._secrets)
        inner = {step: self._shown((*place, step), _member(target, step)) for step in _steps(written)}
        if isinstance(written, list):
            return list(inner.values())
        if isinstance(written, dict):
            return {mask(str(step), self._secrets): one for step, one in inner.items()}
        return written


def _steps(value: object) -> Sequence[str | int]:
    return [step for step, _item in items_in(value)]


def _by_default(key: str, value: object, target: Any) -> Entry:
    if value is None:
        return Entry(key, source=_DEFAULT, in_use=False)
    try:
        return Entry(key, HIDDEN if _is_secret(target) else _plain(value, target), source=_DEFAULT)
    except _Unwritable as kind:
        return Entry(key, f"a {kind}", source=_DEFAULT, in_use=False)


def _is_closed(target: Any) -> bool:
    """Whether a text that fits a type can be nothing that must not be seen."""
    return all(
        one is types.NoneType
        or typing.get_origin(one) is typing.Literal
        or (isinstance(one, typing.Hashable) and one in _CLOSED)
        or (isinstance(one, type) and issubclass(one, Enum))
        for one in _alternatives(target)
    )


def _is_secret(target: Any) -> bool:
    if typing.get_origin(target) in (typing.Union, types.UnionType, typing.Annotated):
        return any(_is_secret(one) for one in typing.get_args(target))
    return target is Secret or (hasattr(target, "__supertype__") and _is_secret(target.__supertype__))


def _member(target: Any, step: str | int) -> Any:
    """The type of what stands at a step into a value of a type; text where nobody can say."""
    members = [one for one in _alternatives(target) if one is not types.NoneType]
    for one in members:
        if isinstance(one, type) and attrs.has(one):
            return next(
                (_hiding(field) for field in _fields(one) if (field.alias or field.name) == step), str
            )
    # A value of either form is as secret as one of the other.
    inner = [part for one in members for part in typing.get_args(one) if part is not Ellipsis]
    return Secret if any(map(_is_secret, inner)) else (inner[-1] if inner else str)


def _alternatives(target: Any) -> Sequence[Any]:
    if typing.get_origin(target) in (typing.Union, types.UnionType):
        return typing.get_args(target)
    return (target,)


def _fields(target: Any) -> Sequence[attrs.Attribute[Any]]:
    fields: Sequence[attrs.Attribute[Any]] = attrs.fields(target)
    return fields


def _hiding(field: attrs.Attribute[Any]) -> Any:
    # A repr of its own is there to hide something.
    return field.type if field.repr is True else Secret


def _plain(value: object, target: Any = None) -> object:
    """A typed value as the file would have it."""
    if isinstance(value, float):
        return _time(value) if target in _TIMES else NEVER if math.isinf(value) else value
    if isinstance(value, (Mapping, Sequence, AbstractSet)) and not isinstance(value, (str, bytes)):
        return _plain_container(value)  # pyright: ignore[reportUnknownArgumentType]  # of any values
    written = next((write for kind, write in _WRITTEN if isinstance(value, kind)), None)
    if written is None and attrs.has(type(value)):
        shown = ((field, getattr(value, field.name)) for field in _fields(type(value)) if field.init)
        return {str(field.alias): _plain(one) if field.repr is True else HIDDEN for field, one in shown}
    if written is None:
        raise _Unwritable(type(value).__name__)
    return written(value)


_WRITTEN: Sequence[tuple[Any, Callable[[Any], object]]] = (
    (Secret, lambda _secret: HIDDEN),
    (Enum, lambda member: member.value),
    (Decimal, float),
    ((Rate, Percentile, Path, tzinfo), str),
    ((str, int, types.NoneType), lambda value: value),
)


def _plain_container(value: Mapping[Any, object] | Sequence[object] | AbstractSet[object]) -> object:
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    items = [_plain(item) for item in value]
    return sorted(items, key=str) if isinstance(value, AbstractSet) else items


def _time(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def _without_password(address: str) -> str:
    """The address of a proxy; whatever else it carries may be a password or a token."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    user = f"{HIDDEN}@" if "@" in parts.netloc else ""
    rest = f"/{HIDDEN}" if parts.path.strip("/") or parts.query or parts.fragment else ""
    return f"{parts.scheme}://{user}{host}{port}{rest}"
