"""The effective configuration: every key with its value, secrets masked, and where the value came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import tzinfo
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any
from urllib.parse import urlsplit

import attrs

from captchahub._config import type_info
from captchahub._config.inspected import Inspected
from captchahub._config.names import COMMON_KEYS
from captchahub._config.plain_values import items_in, mapping_in, value_at
from captchahub._config.problems import KeyPath
from captchahub._config.routes import contradictions
from captchahub._config.scalars import NEVER
from captchahub._support.notation import DatabaseAddress, Duration, FilePath, HedgeDelay, Pause, ProxyAddress
from captchahub._support.redaction import mask, secrets_in
from captchahub.provider import Secret
from captchahub.settings import (
    Budget,
    HubSettings,
    JournalSettings,
    Percentile,
    ProviderSettings,
    Rate,
    RouteSettings,
)

HIDDEN = "***"
"""What stands in place of a secret."""

_DEFAULT = "default"

_TIMES = (Duration, Pause, HedgeDelay)


@attrs.frozen
class Entry:
    """A key: its value as plain YAML has it, or the entries of its mapping.

    ``source`` is empty for a mapping. A key is not ``in_use`` if its default can't be written as a value.
    """

    key: str
    value: object = None
    children: Sequence[Entry] = ()
    source: str = ""
    in_use: bool = True


def effective(inspected: Inspected, settings: HubSettings) -> Sequence[Entry]:
    """Return the entries of a configuration without problems, whose settings these are."""
    return _Effective(inspected, settings).entries(settings)


class _Unwritable(Exception):
    """A value that no configuration can hold; the message is its type."""


class _Effective:
    def __init__(self, inspected: Inspected, settings: HubSettings) -> None:
        self._inspected = inspected
        # In addition to the types: a text that is a secret somewhere is masked everywhere.
        self._secrets = [text for each in settings.providers.values() for text in secrets_in(each.own)]

    def entries(self, settings: HubSettings) -> Sequence[Entry]:
        providers = [self._provider(one) for one in settings.providers.values()]
        routes = [self._route(kind, route) for kind, route in settings.routes.items()]
        # These keys are written in other ways than their types say.
        special = {
            "providers": Entry("providers", children=providers),
            "routes": Entry("routes", children=routes) if routes else Entry("routes", {}, source=_DEFAULT),
            "budget": self._budget((), settings.budget),
            "journal": self._journal(settings.journal),
        }
        return self._settings_entries((), settings, special)

    def _settings_entries(
        self, place: KeyPath, settings: object, special: Mapping[str, Entry] | None = None
    ) -> list[Entry]:
        """Return an entry for each key of a settings class of the library."""
        entries: list[Entry] = []
        for field in type_info.settings_fields(type(settings)):
            if special is not None and field.key in special:
                entries.append(special[field.key])
            elif isinstance(type_info.info_of(field.type), type_info.ClassType):
                inner = self._settings_entries((*place, field.key), field.value_in(settings))
                entries.append(Entry(field.key, children=inner))
            else:
                entries.append(self._entry(field, place, settings, field.type))
        return entries

    def _entry(self, field: type_info.SettingsField, place: KeyPath, settings: object, target: Any) -> Entry:
        """Return the entry of one key, as it is written or by default; ``target`` says what to hide."""
        if field.key in self._written(place):
            return self._given((*place, field.key), target)
        value = field.value_in(settings)
        if value is None:
            return Entry(field.key, source=_DEFAULT, in_use=False)
        try:
            shown = HIDDEN if _is_secret(target) else self._masked(_plain(value, target))
        except _Unwritable as kind:
            return Entry(field.key, f"a {kind}", source=_DEFAULT, in_use=False)
        return Entry(field.key, shown, source=_DEFAULT)

    def _provider(self, one: ProviderSettings) -> Entry:
        place = ("providers", one.name)
        plugin = Entry("plugin", one.plugin, source=self._inspected.source((*place, "plugin")))
        special = {"plugin": plugin, "budget": self._budget(place, one.budget)}
        first, *common = self._settings_entries(place, one, special)
        if one.unusable is None:
            fields = type_info.settings_fields(type(one.own))
            own = [self._entry(field, place, one.own, _hiding(field)) for field in fields]
        else:
            # Without the plugin it is unknown which of its keys are secrets.
            keys = [key for key in self._written(place) if key not in COMMON_KEYS]
            own = [Entry(key, HIDDEN, source=self._inspected.source((*place, key))) for key in keys]
        return Entry(one.name, children=[first, *own, *common])

    def _masked(self, value: object) -> object:
        """Return a plain value without any text that is a secret."""
        # A plugin can make a default of its token, such as the name of a login.
        if isinstance(value, str):
            return mask(value, self._secrets)
        members, items = mapping_in(value), items_in(value)
        if members:
            return {mask(key, self._secrets): self._masked(one) for key, one in members.items()}
        return [self._masked(one) for _, one in items] if isinstance(value, list) else value

    def _route(self, kind: str, route: RouteSettings) -> Entry:
        place: KeyPath = ("routes", kind)
        written = self._written(place)
        providers = self._given((*place, "providers") if written else place, list[object], "providers")
        if "fallback_on" in written:
            errors = self._given((*place, "fallback_on"), list[Enum])
        else:
            errors = Entry("fallback_on", [error.__name__ for error in route.fallback_on], source=_DEFAULT)
        entries = self._settings_entries(place, route, {"providers": providers, "fallback_on": errors})
        # Some rules mean nothing beside others, and the loader refuses them even with their default values.
        idle = {key for key, _other, _problem in contradictions(route, type_info.keys_of(RouteSettings))}
        in_use = [attrs.evolve(one, in_use=one.in_use and one.key not in idle) for one in entries]
        return Entry(kind, children=in_use)

    def _budget(self, around: KeyPath, budget: Budget | None) -> Entry:
        if budget is None:
            return Entry("budget", source=_DEFAULT, in_use=False)
        return Entry("budget", children=self._settings_entries((*around, "budget"), budget))

    def _journal(self, journal: JournalSettings) -> Entry:
        place = ("journal",)
        is_mapping = bool(self._written(place))
        if journal.place is None and not is_mapping:
            # Without a file its keys mean nothing.
            return Entry("journal", source=_DEFAULT, in_use=False)
        key, target = ("path", FilePath) if journal.url is None else ("url", DatabaseAddress)
        special = {} if is_mapping else {key: self._given(place, target, key)}
        return Entry("journal", children=self._settings_entries(place, journal, special))

    def _written(self, place: KeyPath) -> Mapping[str, object]:
        return mapping_in(value_at(self._inspected.written, place))

    def _given(self, place: KeyPath, target: Any, key: str = "") -> Entry:
        """Return the entry of a value that is written at a place; ``key`` replaces the name of the place."""
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
        written = value_at(self._inspected.written, place)
        resolved = str(value_at(self._inspected.resolved, place))
        if _is_secret(target):
            return HIDDEN
        if _notation(target) is ProxyAddress:
            return _without_password(resolved)
        if isinstance(written, str):
            # A reference in a text that can be anything is not followed, because it may lead to a secret.
            return mask(resolved if _is_closed(target) else written, self._secrets)
        inner = {
            step: self._shown((*place, step), _member(target, step)) for step, _item in items_in(written)
        }
        if isinstance(written, list):
            return list(inner.values())
        if isinstance(written, dict):
            return {mask(str(step), self._secrets): one for step, one in inner.items()}
        return written


def _is_closed(target: Any) -> bool:
    """Whether a text that fits a type can't be a secret."""
    info = type_info.info_of(target)
    if isinstance(info, type_info.UnionType):
        return all(map(_is_closed, info.members))
    return isinstance(info, type_info.ChoiceType) or (
        isinstance(info, type_info.ScalarType) and not info.scalar.is_open
    )


def _notation(target: Any) -> Any:
    info = type_info.info_of(target)
    return info.notation if isinstance(info, type_info.ScalarType) else None


def _is_secret(target: Any) -> bool:
    info = type_info.info_of(target)
    # Of a type that this library does not know, its arguments say what may be in it.
    if isinstance(info, (type_info.UnionType, type_info.UnknownType)):
        return any(map(_is_secret, info.members))
    return _notation(target) in (Secret, DatabaseAddress)


def _member(target: Any, step: str | int) -> Any:
    """Return the type of what is at a step into a value of a type; text if that is unknown."""
    match type_info.info_of(target):
        case type_info.ClassType(inner):
            return next((_hiding(one) for one in type_info.settings_fields(inner) if one.key == step), str)
        case type_info.ListType(item) | type_info.MappingType(value=item):
            return item
        case type_info.TupleType(items):
            # A value of either form is as secret as one of the other.
            return items[step] if isinstance(step, int) and step < len(items) else str
        case type_info.UnionType(members):
            found = [_member(one, step) for one in members]
            return Secret if any(map(_is_secret, found)) else next(iter(found), str)
        case _:
            return str


def _hiding(field: type_info.SettingsField) -> Any:
    # A plugin leaves a field out of its repr to hide it.
    return field.type if field.is_shown else Secret


def _plain(value: object, target: Any = object) -> object:
    """Return a typed value as the file would have it."""
    if isinstance(value, float):
        if _notation(target) in _TIMES:
            return _time(value)
        return NEVER if math.isinf(value) else value
    if isinstance(value, (Mapping, Sequence, AbstractSet)) and not isinstance(value, (str, bytes)):
        return _plain_container(value)  # pyright: ignore[reportUnknownArgumentType]  # of any values
    written = next((write for kind, write in _WRITTEN if isinstance(value, kind)), None)
    if written is None and attrs.has(type(value)):
        return {
            field.key: _plain(field.value_in(value)) if field.is_shown else HIDDEN
            for field in type_info.settings_fields(type(value))
        }
    if written is None:
        raise _Unwritable(type(value).__name__)
    return written(value)


_WRITTEN: Sequence[tuple[Any, Callable[[Any], object]]] = (
    (Secret, lambda _secret: HIDDEN),
    (Enum, lambda member: member.value),
    (Decimal, float),
    ((Rate, Percentile, Path, tzinfo), str),
    ((str, int, NoneType), lambda value: value),
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
    """Return the address of a proxy without anything that may be a password or a token."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    user = f"{HIDDEN}@" if "@" in parts.netloc else ""
    rest = f"/{HIDDEN}" if parts.path.strip("/") or parts.query or parts.fragment else ""
    return f"{parts.scheme}://{user}{host}{port}{rest}"
