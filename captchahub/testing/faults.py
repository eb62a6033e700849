"""Faults on the wire: rules that select calls and say how each of them fails."""

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
    """Which calls a rule applies to; every constructor of :class:`Fault` takes these."""

    on: str | None
    """The name of the call, such as ``createJob``; None for every call."""
    token: str | None
    """Only calls of the account with this token."""
    times: int | None
    """The maximum number of calls that fail. No limit by default."""
    after: int
    """How many matching calls succeed first."""
    rate: float
    """The probability that a matching call fails, from 0 to 1. The sandbox's seed fixes the outcome."""


def _count(_fault: object, field: attrs.Attribute[int], value: int) -> None:
    if value < 0:
        raise ValueError(f"{field.name} must be 0 or more calls, not {value}")


def _share(_fault: object, _field: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"rate must be a number from 0 to 1, not {value}")


@attrs.frozen
class Fault:
    """A rule that makes calls fail in one way, as in ``Fault.drop(on="createJob", times=1)``.

    ``handled`` says whether the service handles the call before it fails. If it does, a call that creates a
    job is charged, though the client may never learn the job's id.
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
        """The name of the failure, such as ``drop``, ``drip`` or ``oversized``."""
        return self.effect.kind

    def matches(self, name: str, token: str | None) -> bool:
        """Return whether the rule applies to calls with this name and token."""
        return self.on in (None, name) and self.token in (None, token)

    @classmethod
    def drop(cls, *, handled: bool = False, **where: Unpack[Where]) -> Fault:
        """Close the connection without a reply, before or after the service handled the call."""
        return cls(effects.Drop(), handled, **where)

    @classmethod
    def hang(cls, *, handled: bool = False, **where: Unpack[Where]) -> Fault:
        """Keep the connection open and never reply."""
        return cls(effects.NoReply(), handled, **where)

    @classmethod
    def reset(cls, *, handled: bool = True, **where: Unpack[Where]) -> Fault:
        """Reset the connection (TCP RST) in the middle of the reply."""
        return cls(effects.Reset(), handled, **where)

    @classmethod
    def late(cls, seconds: float, **where: Unpack[Where]) -> Fault:
        """Handle the call at once, and reply after ``seconds``."""
        return cls(effects.Late(seconds), handled=True, **where)

    @classmethod
    def interim(
        cls, *statuses: int, headers: Mapping[str, str] | None = None, **where: Unpack[Where]
    ) -> Fault:
        """Send interim replies, such as 102 or 103, each with the headers, and then the reply.

        Raises ValueError without a status, or for one that is not interim (100, or 102 to 199).
        """
        if not statuses or not all(100 <= status <= 199 and status != 101 for status in statuses):
            raise ValueError(f"{statuses} are not interim statuses (100, 102 to 199)")
        return cls(effects.Interim(statuses, dict(headers or {})), handled=True, **where)

    @classmethod
    def only_interim(cls, *, handled: bool = True, **where: Unpack[Where]) -> Fault:
        """Send interim replies (103) endlessly, and never the reply."""
        return cls(effects.OnlyInterim(), handled, **where)

    @classmethod
    def drip(cls, interval: float = 0.05, **where: Unpack[Where]) -> Fault:
        """Send the whole reply, status line included, one byte every ``interval`` seconds."""
        return cls(effects.Drip(interval), handled=True, **where)

    @classmethod
    def truncated(cls, **where: Unpack[Where]) -> Fault:
        """Send fewer bytes than Content-Length says, then close the connection."""
        return cls(effects.Truncate(), handled=True, **where)

    @classmethod
    def wrong_length(cls, by: int, **where: Unpack[Where]) -> Fault:
        """Announce ``by`` bytes too many, or (negative) too few, and keep the connection open."""
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
        """Send a body of ``size`` bytes, announced in Content-Length or sent in chunks."""
        return cls(effects.Oversize(size, announced), handled, **where)

    @classmethod
    def bomb(cls, size: int = GIGABYTE, *, handled: bool = True, **where: Unpack[Where]) -> Fault:
        """Send a gzip body that is small on the wire and unpacks to ``size`` bytes."""
        return cls(effects.Bomb(size), handled, **where)

    @classmethod
    def broken_json(cls, *, handled: bool = True, **where: Unpack[Where]) -> Fault:
        """Send JSON that ends halfway, in a reply that is whole for HTTP."""
        return cls(effects.BreakJson(), handled, **where)

    @classmethod
    def not_http(cls, *, handled: bool = False, **where: Unpack[Where]) -> Fault:
        """Send bytes that are no HTTP reply."""
        return cls(effects.NotHttp(), handled, **where)

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
        """Reply with an HTTP error. ``retry_after`` is in seconds, or an HTTP date.

        Raises ValueError if the status is not an error (400 to 599).
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
        """Redirect the client. By default to this sandbox, whose records show whether it followed."""
        return cls.reply(_page(status, "Moved", {"Location": location}), handled=handled, **where)

    @classmethod
    def reply(cls, answer: Answer, *, handled: bool = True, **where: Unpack[Where]) -> Fault:
        """Reply with this answer instead of the service's own."""
        return cls(effects.Replace(answer), handled, **where)


def _page(status: int, title: str, headers: Mapping[str, str] | None = None) -> Answer:
    html = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(status, html.encode(), {"Content-Type": "text/html; charset=utf-8", **(headers or {})})


@attrs.define
class _Rule:
    """A fault with the number of calls so far and a random generator."""

    fault: Fault
    chance: random.Random
    matched: int = 0
    struck: int = 0

    def strikes(self, name: str, token: str | None) -> bool:
        fault = self.fault
        if not fault.matches(name, token) or self.struck == fault.times:
            return False
        self.matched += 1
        strikes = self.matched > fault.after and self.chance.random() < fault.rate
        self.struck += strikes
        return strikes


class FaultRules:
    """The rules in force. The first rule that strikes takes the call, and later rules do not count it."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self._seeds = random.Random(seed)
        self._rules: list[_Rule] = []
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Append rules."""
        self._rules += [_Rule(fault, random.Random(self._seeds.random())) for fault in faults]

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def pick(self, name: str, token: str | None) -> Fault | None:
        """Return the fault for this call, or None."""
        return next((rule.fault for rule in self._rules if rule.strikes(name, token)), None)


def wire_faults(**where: Unpack[Where]) -> Mapping[str, Fault]:
    """Return every fault by a readable name, for a parametrised test: ``wire_faults(on="createJob")``.

    A fault that can strike before or after the service handles the call is included in both variants.
    """
    return MappingProxyType(dict(_catalogue(where)))


def _catalogue(where: Where) -> Iterator[tuple[str, Fault]]:
    yield from _without_reply(where)
    yield from _malformed(where)
    for status in (400, 403, 404, 429, 500, 502, 503, 504):
        yield f"{status}-not-handled", Fault.status(status, **where)
    yield "429-retry-after", Fault.status(429, retry_after=1, **where)
    yield "503-retry-after", Fault.status(503, retry_after=1, **where)
    yield "500-handled", Fault.status(500, handled=True, **where)
    yield "502-handled", Fault.status(502, handled=True, **where)
    yield "504-handled", Fault.status(504, handled=True, **where)
    yield "redirect-302", Fault.redirect(status=302, **where)
    yield "redirect-307", Fault.redirect(status=307, **where)


def _without_reply(where: Where) -> Iterator[tuple[str, Fault]]:
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


def _malformed(where: Where) -> Iterator[tuple[str, Fault]]:
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
"""Every fault by its readable name, each on every call."""
