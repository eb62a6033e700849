"""The possible outcomes of one call to a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

import attrs

from captchahub.errors import ProviderError, ServiceUnavailable
from captchahub.provider import Reply
from captchahub.testing import json_reply

__all__ = [
    "BLOCKED",
    "BUSY",
    "DENIED",
    "FINE",
    "LONGEST_PAUSE",
    "OUTAGES",
    "REFUSED",
    "CallOutcome",
    "any_call_outcome",
]

DENIED = "account refused"
"""The outcome in which the service's own error refuses the account."""
REFUSED = "refusing connections"
"""The outage in which calls certainly do not arrive."""
BLOCKED = "address blocked"
"""The outcome in which the service blocks the client's address for some minutes."""
BUSY = "busy"
"""The outage in which the service has no free worker."""
FINE = "fine"
"""The outcome without a fault."""
LONGEST_PAUSE = 7
"""The longest Retry-After of a busy service, in seconds."""


@attrs.frozen
class CallOutcome:
    """When a call arrives (twice, or never), and how long its reply takes in seconds, or None if it is lost.

    ``is_handled`` says whether the service handles the call, even if the client gets another reply
    ``instead``.
    """

    name: str
    there: tuple[float, ...]
    back: float | None
    is_handled: bool = True
    instead: Reply | ProviderError | None = None


Maker = Callable[[Random], CallOutcome]


def _reply(name: str, *instead: Reply | ProviderError, is_handled: bool) -> Maker:
    def call_outcome(chance: Random) -> CallOutcome:
        way = chance.uniform(0.01, 1.0)
        return CallOutcome(name, (way,), way, is_handled, chance.choice(instead))

    return call_outcome


def _failure(message: str, code: str) -> Reply:
    # In the formats of all types of services: each plugin reads its own fields.
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
# A service that replies so is up, and all its workers are busy.
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
# Of a firewall before the service, which does not know the account.
_WALL = (Reply(403, b"<html>blocked</html>"),)

_refused = _reply("not sent", ServiceUnavailable("not listening", nothing_created=True), is_handled=False)
_broken_before = _reply("broken before it was handled", *_BROKEN, is_handled=False)
_broken_after = _reply("broken after it was handled", *_BROKEN, is_handled=True)
_garbage_before = _reply("garbage, not handled", *_GARBAGE, is_handled=False)
_garbage_after = _reply("garbage, handled", *_GARBAGE, is_handled=True)
_limited = _reply("too many requests", *_LIMITING, is_handled=False)
_busy = _reply(BUSY, *_BUSY, is_handled=False)
_refusing = _reply("refused for now", *_REFUSING, is_handled=False)
_blocked = _reply(BLOCKED, *_BLOCKING, is_handled=False)
_denied = _reply(DENIED, *_DENYING, is_handled=False)
_walled = _reply("page of a firewall", *_WALL, is_handled=False)


def _lost(chance: Random) -> CallOutcome:
    return CallOutcome("request lost", (), None)


def _reply_lost(chance: Random) -> CallOutcome:
    return CallOutcome("reply lost", (chance.uniform(0.01, 1.0),), None)


def _late(chance: Random) -> CallOutcome:
    return CallOutcome("request late", (chance.uniform(1.0, 45.0),), 0.1)


def _slow(chance: Random) -> CallOutcome:
    return CallOutcome("reply slow", (0.1,), chance.uniform(1.0, 45.0))


def _twice(chance: Random) -> CallOutcome:
    first = chance.uniform(0.01, 1.0)
    return CallOutcome("request twice", (first, first + chance.uniform(0.01, 20.0)), 0.1)


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
"""The outcome of each call during an outage."""

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


def any_call_outcome(chance: Random, *, last: Reply | None, is_poll: bool) -> CallOutcome:
    """Return a random fault. A poll can also arrive twice, or get the previous reply again."""
    drawn = chance.random()
    if drawn < 0.01:
        return _denied(chance)
    if not is_poll and drawn < 0.03:
        return _blocked(chance)
    if is_poll and drawn < 0.1:
        return _twice(chance)
    if is_poll and drawn < 0.25 and last is not None:
        return CallOutcome("reply of before", (0.1,), 0.1, is_handled=False, instead=last)
    return chance.choice(_OFTEN)(chance)
