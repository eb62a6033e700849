"""Faults on the wire: rules that say which calls go wrong, how, and how often."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TypedDict, Unpack

import attrs

from captchahub.testing._wire import effects
from captchahub.testing.emulation import Answer

__all__ = ["ALL_WIRE_FAULTS", "Fault", "Where", "wire_faults"]

GIGABYTE = 1_000_000_000


class Where(TypedDict, total=False):
    """Which calls a rule hits; every constructor of :class:`Fault` takes these."""

    on: str | None
    """The name of the call, such as ``createJob``; None for every call."""
    token: str | None
    """Only calls of the account with this token."""
    times: int | None
    """How many calls it hits; None, the default, for ever."""
    after: int
    """How many matching calls go well before it begins."""
    rate: float
    """The chance that a matching call is hit, from 0 to 1; seeded by the sandbox."""


def _count(_fault: object, field: attrs.Attribute[int], value: int) -> None:
    if value < 0:
        raise ValueError(f"{field.name} must be 0 or more calls, not {value}")


def _share(_fault: object, _field: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"rate must be a share from 0 to 1, not {value}")


@attrs.frozen
class Fault:
    """A rule: these calls go wrong in this way, as in ``Fault.drop(on="createJob", times=1)``.

    ``handled`` says whether the service had the call, so that a job exists and is paid for, though its
    client may never learn of it.
    """

    effect: effects.Effect
    handled: bool
    on: str | None = attrs.field(default=None, kw_only=True)
    token: str | None = attrs.field(default=None, kw_only=True, repr=False)
    times: int | None = attrs.field(default=None, kw_only=True, validator=attrs.validators.optional(_count))
    after: int = attrs.field(default=0, kw_only=True, validator=_count)
    rate: float = attrs.field(default=1.0, kw_only=True, validator=_share)

    @property
    def kind(self) -> str:
        """What goes wrong, in a word: ``drop``, ``drip``, ``oversized``."""
        return self.effect.kind

    def matches(self, name: str, token: str | None) -> bool:
        """Whether the rule is about calls of this name and account."""
        return self.on in (None, name) and self.token in (None, token)

    @classmethod
    def drop(cls, *, handled: bool = False, **where: Unpack[Where]) -> Fault:
        """Close the connection without a reply, before or after the service handled the call."""
        return cls(effects.Drop(), handled, **where)

    @classmethod
    def hang(cls, *, handled: bool = False, **where: Unpack[Where]) -> Fault:
        """Keep the connection open and never reply."""
        return cls(effects.Hang(), handled, **where)

    @classmethod
    def reset(cls, *, handled: bool = True, **where: Unpack[Where]) -> Fault:
        """Tear the connection down (TCP RST) in the middle of the reply."""
        return cls(effects.Reset(), handled, **where)

    @classmethod
    def late(cls, seconds: float, **where: Unpack[Where]) -> Fault:
        """Handle the call at once and reply so many seconds later."""
        return cls(effects.Late(seconds), handled=True, **where)

    @classmethod
    def interim(
        cls, *statuses: int, headers: Mapping[str, str] | None = None, **where: Unpack[Where]
    ) -> Fault:
        """Send interim replies, such as 102 or 103, each with the headers, and then the reply.

        Raises ValueError where there is none, or a status is not an interim one: 100, or 102 to 199.
        """
        if not statuses or not all(100 <= status <= 199 and status != 101 for status in statuses):
            raise ValueError(f"{statuses} are not interim statuses (100, 102 to 199)")
        return cls(effects.Interim(statuses, dict(headers or {})), handled=True, **where)

    @classmethod
    def only_interim(cls, *, handled: bool = True, **where: Unpack[Where]) -> Fault:
        """Send interim replies (103) without end, and never the reply."""
        return cls(effects.OnlyInterim(), handled, **where)

    @classmethod
    def drip(cls, interval: float = 0.05, **where: Unpack[Where]) -> Fault:
        """Send the reply one byte at a time, so many seconds apart, from its status line on."""
        return cls(effects.Drip(interval), handled=True, **where)

    @classmethod
    def truncated(cls, **where: Unpack[Where]) -> Fault:
        """Send fewer bytes than Content-Length says, then close the connection."""
        return cls(effects.Truncate(), handled=True, **where)

    @classmethod
    def wrong_length(cls, by: int, **where: Unpack[Where]) -> Fault:
        """Announce so many bytes too many, or (negative) too few, and keep the connection open."""
        return cls(effects.WrongLength(by), handled=True, **where)

    @classmethod
    def oversized(
        cls,
        size: int = 10 * GIGABYTE,
        *,
        announced: bool = True,
        handled: bool = True,
        **where: Unpack[Where],
    ) -> Fault:
        """Send a body of so many bytes, announced in Content-Length or of open length (chunked)."""
        return cls(effects.Oversize(size, announced), handled, **where)

    @classmethod
    def bomb(cls, size: int = GIGABYTE, *, handled: bool = True, **where: Unpack[Where]) -> Fault:
        """Send a gzip body that is small on the wire and unpacks to so many bytes."""
        return cls(effects.Bomb(size), handled, **where)

    @classmethod
    def broken_json(cls, *, handled: bool = True, **where: Unpack[Where]) -> Fault:
        """Send JSON that ends halfway, in a reply that is whole for HTTP."""
        return cls(effects.BreakJson(), handled, **where)

    @classmethod
    def not_http(cls, *, handled: bool = False, **where: Unpack[Where]) -> Fault:
        """Send bytes that are no HTTP reply."""
        return cls(effects.Garble(), handled, **where)

    @classmethod
    def empty(cls, *, handled: bool = True, **where: Unpack[Where]) -> Fault:
        """Reply 200 with an empty body."""
        return cls.reply(Answer(200, b"", {"Content-Type": "application/json"}), handled=handled, **where)

    @classmethod
    def html(cls, *, handled: bool = False, **where: Unpack[Where]) -> Fault:
        """Reply 200 with a web page, as a gateway or a maintenance notice does."""
        return cls.reply(_page(200, "We will be back soon"), handled=handled, **where)

    @classmethod
    def status(
        cls,
        status: int,
        *,
        retry_after: int | str | None = None,
        handled: bool = False,
        **where: Unpack[Where],
    ) -> Fault:
        """Reply with an HTTP error; ``retry_after`` is in seconds, or an HTTP date.

        Raises ValueError where the status is not an error's, 400 to 599.
        """
        if not 400 <= status <= 599:
            raise ValueError(f"{status} is not an HTTP error (400 to 599); use Fault.reply or Fault.redirect")
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return cls.reply(_page(status, f"Error {status}", headers), handled=handled, **where)

    @classmethod
    def redirect(
        cls,
        location: str = "/moved",
        *,
        status: int = 302,
        handled: bool = False,
        **where: Unpack[Where],
    ) -> Fault:
        """Send the client elsewhere, by default to a place in the same sandbox, where the records show it."""
        return cls.reply(_page(status, "Moved", {"Location": location}), handled=handled, **where)

    @classmethod
    def reply(cls, answer: Answer, *, handled: bool = True, **where: Unpack[Where]) -> Fault:
        """Reply with exactly this, whatever the service had to say."""
        return cls(effects.Instead(answer), handled, **where)


def _page(status: int, title: str, headers: Mapping[str, str] | None = None) -> Answer:
    html = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(status, html.encode(), {"Content-Type": "text/html; charset=utf-8", **(headers or {})})


@attrs.define
class _Rule:
    """A fault with its own count and its own chance."""

    fault: Fault
    chance: random.Random
    seen: int = 0
    hits: int = 0

    def strikes(self, name: str, token: str | None) -> bool:
        fault = self.fault
        if not fault.matches(name, token) or self.hits == fault.times:
            return False
        self.seen += 1
        struck = self.seen > fault.after and self.chance.random() < fault.rate
        self.hits += struck
        return struck


class FaultRules:
    """The rules in force, in order: the first that strikes takes the call, and later ones do not see it."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self._seeds = random.Random(seed)
        self._rules: list[_Rule] = []
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Put rules behind those in force."""
        self._rules += [_Rule(fault, random.Random(self._seeds.random())) for fault in faults]

    def clear(self) -> None:
        """From now on every call goes well."""
        self._rules.clear()

    def pick(self, name: str, token: str | None) -> Fault | None:
        """What goes wrong with this call, or None."""
        return next((rule.fault for rule in self._rules if rule.strikes(name, token)), None)


def wire_faults(**where: Unpack[Where]) -> Mapping[str, Fault]:
    """Every fault there is, under a readable name, for a parametrised test: ``wire_faults(on="createJob")``.

    Where a fault can strike before and after the service handled the call, both are there.
    """
    return MappingProxyType(dict(_catalogue(where)))


def _catalogue(where: Where) -> Iterator[tuple[str, Fault]]:
    yield from _lost(where)
    yield from _misshapen(where)
    for status in (400, 403, 404, 429, 500, 502, 503, 504):
        yield f"{status}-not-handled", Fault.status(status, **where)
    yield "429-retry-after", Fault.status(429, retry_after=1, **where)
    yield "503-retry-after", Fault.status(503, retry_after=1, **where)
    yield "500-handled", Fault.status(500, handled=True, **where)
    yield "502-handled", Fault.status(502, handled=True, **where)
    yield "504-handled", Fault.status(504, handled=True, **where)
    yield "redirect-302", Fault.redirect(status=302, **where)
    yield "redirect-307", Fault.redirect(status=307, **where)


def _lost(where: Where) -> Iterator[tuple[str, Fault]]:
    yield "drop-not-handled", Fault.drop(**where)
    yield "drop-handled", Fault.drop(handled=True, **where)
    yield "reset-not-handled", Fault.reset(handled=False, **where)
    yield "reset-handled", Fault.reset(**where)
    yield "hang-not-handled", Fault.hang(**where)
    yield "hang-handled", Fault.hang(handled=True, **where)
    yield "drip", Fault.drip(**where)
    yield "only-interim-not-handled", Fault.only_interim(handled=False, **where)
    yield "only-interim-handled", Fault.only_interim(**where)
    yield "not-http-not-handled", Fault.not_http(**where)
    yield "not-http-handled", Fault.not_http(handled=True, **where)


def _misshapen(where: Where) -> Iterator[tuple[str, Fault]]:
    yield "truncated", Fault.truncated(**where)
    yield "oversized-announced", Fault.oversized(**where)
    yield "oversized-open", Fault.oversized(announced=False, **where)
    yield "bomb", Fault.bomb(**where)
    yield "length-too-long", Fault.wrong_length(+10, **where)
    yield "length-too-short", Fault.wrong_length(-10, **where)
    yield "html-not-handled", Fault.html(**where)
    yield "html-handled", Fault.html(handled=True, **where)
    yield "broken-json", Fault.broken_json(**where)
    yield "empty-body", Fault.empty(**where)


ALL_WIRE_FAULTS = wire_faults()
"""Every fault there is, on every call, by its readable name."""
