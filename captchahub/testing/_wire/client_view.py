"""What a client sees of a fault on the wire, for transports without a network. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from captchahub.errors import MalformedReply, ProviderError, ServiceUnavailable
from captchahub.provider import Reply
from captchahub.testing._wire import effects
from captchahub.testing.emulation import Answer
from captchahub.testing.faults import Fault


@attrs.frozen
class Hang:
    """The service receives the request and never replies."""


@attrs.frozen
class Slow:
    """The service replies after ``seconds``."""

    seconds: float
    reply: Reply | ProviderError


Step = Reply | ProviderError | Hang | Slow

_BROKEN_OFF = "the connection was closed before the whole reply was there"

_TOO_LARGE = "the reply is larger than is read"

_WITHOUT_ANSWER: Mapping[type[effects.Effect], Step] = {
    effects.Drop: ServiceUnavailable(_BROKEN_OFF),
    effects.Reset: ServiceUnavailable(_BROKEN_OFF),
    effects.Truncate: ServiceUnavailable(_BROKEN_OFF),
    effects.NoReply: Hang(),
    # A byte every 50 ms takes longer than any timeout in a test.
    effects.Drip: Hang(),
    effects.NotHttp: ServiceUnavailable("the reply is not HTTP"),
    effects.OnlyInterim: ServiceUnavailable("the reply never came, only interim ones"),
    effects.Oversize: MalformedReply(_TOO_LARGE),
    effects.Bomb: MalformedReply(_TOO_LARGE),
}


def client_view(fault: Fault, own: Answer) -> Step:
    """Return the client's view of a faulty call. ``own`` is the service's answer, empty if it got no call."""
    effect = fault.effect
    if type(effect) in _WITHOUT_ANSWER:
        return _WITHOUT_ANSWER[type(effect)]
    answer = effect.reply(own)
    if isinstance(effect, effects.WrongLength):
        # The client waits for bytes that never come, or reads only a part.
        if effect.by > 0:
            return Hang()
        answer = attrs.evolve(answer, body=answer.body[: effect.by])
    reply = Reply(answer.status, answer.body, answer.headers)
    return Slow(effect.seconds, reply) if isinstance(effect, effects.Late) else reply
