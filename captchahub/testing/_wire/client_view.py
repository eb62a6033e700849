"""What a client is told of a fault on the wire, for transports without a wire: pure."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from captchahub.errors import MalformedReply, ProviderError, ServiceUnavailable
from captchahub.provider import Reply
from captchahub.testing._wire import effects
from captchahub.testing.emulation import Answer
from captchahub.testing.faults import Fault

__all__ = ["Hang", "Slow", "Step", "as_seen"]


@attrs.frozen
class Hang:
    """The service takes the request and never replies."""


@attrs.frozen
class Slow:
    """The service replies after some seconds."""

    seconds: float
    reply: Reply | ProviderError


Step = Reply | ProviderError | Hang | Slow

_BROKEN = "the connection was closed before the whole reply was there"

_TOO_LARGE = "the reply is larger than is read"

_ENDS: Mapping[type[effects.Effect], Step] = {
    effects.Drop: ServiceUnavailable(_BROKEN),
    effects.Reset: ServiceUnavailable(_BROKEN),
    effects.Truncate: ServiceUnavailable(_BROKEN),
    effects.Hang: Hang(),
    # Both take longer than anybody waits.
    effects.Drip: Hang(),
    effects.Garble: ServiceUnavailable("the reply is not HTTP"),
    effects.OnlyInterim: ServiceUnavailable("the reply never came, only interim ones"),
    effects.Oversize: MalformedReply(_TOO_LARGE),
    effects.Bomb: MalformedReply(_TOO_LARGE),
}


def as_seen(fault: Fault, own: Answer) -> Step:
    """What comes of a call that is hit; ``own`` is the service's answer, empty where it had no call."""
    effect = fault.effect
    if type(effect) in _ENDS:
        return _ENDS[type(effect)]
    answer = effect.reply(own)
    if isinstance(effect, effects.WrongLength):
        # A client that waits for bytes that never come, or one that reads a part.
        if effect.by > 0:
            return Hang()
        answer = attrs.evolve(answer, body=answer.body[: effect.by])
    reply = Reply(answer.status, answer.body, answer.headers)
    return Slow(effect.seconds, reply) if isinstance(effect, effects.Late) else reply
