"""What can become of one call on its way to a service and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

import attrs

from captchahub.errors import ProviderError, ServiceUnavailable
from captchahub.provider import Reply
from captchahub.testing import json_reply

__all__ = ["BLOCKED", "BUSY", "DENIED", "FINE", "LONGEST_PAUSE", "OUTAGES", "REFUSED", "Fate", "any_fate"]

DENIED = "account refused"
"""The name of a fate by which the service says, in its own words, that it does not serve the account."""
REFUSED = "refusing connections"
"""The name of an outage in which it is known that no call arrives."""
BLOCKED = "address blocked"
"""The name of a fate by which the service says that it serves nobody from there for some minutes."""
BUSY = "busy"
"""The name of an outage in which a service is up, and has no worker for an order."""
FINE = "fine"
"""The name of a fate by which nothing goes wrong."""
LONGEST_PAUSE = 7
"""How long a busy service asks to be left alone at most, in seconds."""


@attrs.frozen
class Fate:
    """When a call arrives (twice, or never) and how long its reply takes, in seconds; None for a lost one.

    The service has done what it was asked where ``is_handled``, also where the client is told something
    ``instead``.
    """

    name: str
    there: tuple[float, ...]
    back: float | None
    is_handled: bool = True
    instead: Reply | ProviderError | None = None


Maker = Callable[[Random], Fate]


def _told(name: str, *instead: Reply | ProviderError, is_handled: bool) -> Maker:
    def fate(chance: Random) -> Fate:
        way = chance.uniform(0.01, 1.0)
        return Fate(name, (way,), way, is_handled, chance.choice(instead))

    return fate


def _failure(message: str, code: str) -> Reply:
    # In one of the ways of each make of service; their plugins understand all of them.
    omo = {"error": True, "success": False, "message": message}
    return json_reply({**omo, "errorId": 1, "errorCode": code, "errorDescription": message})


_BROKEN = (
    ServiceUnavailable("the connection broke"),
    Reply(502, b"<html>Bad Gateway</html>"),
    Reply(504, b""),
    Reply(500, b'{"message": "oops"}'),
)
_GARBAGE = (
    Reply(200, b"<html>maintenance</html>"),
    Reply(200, b'{"error": fal'),
    json_reply({"error": False}),
)
_LIMITING = (
    Reply(429, b""),
    Reply(429, b"", {"Retry-After": str(LONGEST_PAUSE)}),
    _failure("Too many requests.", "ERROR_RATE_LIMIT"),
)
# A service that says so is up, and all its workers have their hands full.
_BUSY = (
    _failure("System is busy.", "ERROR_NO_SLOT_AVAILABLE"),
    _failure("No available workers.", "ERROR_NO_SLOT_AVAILABLE"),
    _failure("Hệ thống đang bận.", "ERROR_NO_SLOT_AVAILABLE"),
)
_REFUSING = (
    _failure("Internal server error", "ERROR_INTERNAL_SERVER_ERROR"),
    Reply(503, b"down"),
)
_BLOCKING = (_failure("Your IP is temporarily blocked.", "ERROR_IP_BANNED"),)
_DENYING = (_failure("Invalid api token.", "ERROR_KEY_DOES_NOT_EXIST"),)
# Of a firewall before the service, which knows nothing of the account.
_WALL = (Reply(403, b"<html>blocked</html>"),)

_refused = _told("not sent", ServiceUnavailable("nobody listens", nothing_created=True), is_handled=False)
_broken_before = _told("broken before it was handled", *_BROKEN, is_handled=False)
_broken_after = _told("broken after it was handled", *_BROKEN, is_handled=True)
_garbage_before = _told("garbage, not handled", *_GARBAGE, is_handled=False)
_garbage_after = _told("garbage, handled", *_GARBAGE, is_handled=True)
_limited = _told("too many requests", *_LIMITING, is_handled=False)
_busy = _told(BUSY, *_BUSY, is_handled=False)
_refusing = _told("refused for now", *_REFUSING, is_handled=False)
_blocked = _told(BLOCKED, *_BLOCKING, is_handled=False)
_denied = _told(DENIED, *_DENYING, is_handled=False)
_walled = _told("page of a firewall", *_WALL, is_handled=False)


def _lost(chance: Random) -> Fate:
    return Fate("request lost", (), None)


def _reply_lost(chance: Random) -> Fate:
    return Fate("reply lost", (chance.uniform(0.01, 1.0),), None)


def _late(chance: Random) -> Fate:
    return Fate("request late", (chance.uniform(1.0, 45.0),), 0.1)


def _slow(chance: Random) -> Fate:
    return Fate("reply slow", (0.1,), chance.uniform(1.0, 45.0))


def _twice(chance: Random) -> Fate:
    first = chance.uniform(0.01, 1.0)
    return Fate("request twice", (first, first + chance.uniform(0.01, 20.0)), 0.1)


OUTAGES: Mapping[str, Maker] = {
    REFUSED: _refused,
    "black hole": _lost,
    "bad gateway": _broken_before,
    "bad gateway, and it works behind": _broken_after,
    "replies lost": _reply_lost,
    "too many requests": _limited,
    BUSY: _busy,
    "overloaded": _refusing,
    "firewall": _walled,
}
"""What becomes of each call while a service has a bad time."""

_OFTEN = (
    _refused,
    _broken_before,
    _broken_after,
    _garbage_before,
    _garbage_after,
    _limited,
    _busy,
    _refusing,
    _walled,
    _lost,
    _reply_lost,
    _late,
    _slow,
)


def any_fate(chance: Random, *, last: Reply | None, is_poll: bool) -> Fate:
    """Something bad. A poll can also come twice, or be answered by the last reply to it once more."""
    drawn = chance.random()
    if drawn < 0.01:
        return _denied(chance)
    if not is_poll and drawn < 0.03:
        return _blocked(chance)
    if is_poll and drawn < 0.1:
        return _twice(chance)
    if is_poll and drawn < 0.25 and last is not None:
        return Fate("reply of before", (0.1,), 0.1, is_handled=False, instead=last)
    return chance.choice(_OFTEN)(chance)
