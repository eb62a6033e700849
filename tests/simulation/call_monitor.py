"""One process's calls as a service sees them: how often, how many at once, and which brought an answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextvars import ContextVar

import attrs

from captchahub.results import ProviderState
from tests.simulation.call_outcomes import BLOCKED, BUSY
from tests.simulation.service import Service

__all__ = ["PICTURE", "Order", "Standing", "Watch"]

PICTURE: ContextVar[int | None] = ContextVar("PICTURE", default=None)
"""The number of the picture of which a solve is."""

# Rounding, in seconds.
_SLACK = 0.05
# How long an address is blocked, in seconds.
_BLOCK = 300.0


@attrs.frozen
class Standing:
    """How a provider stands with a hub: ``episode`` is another one after each change, ``since`` a time."""

    state: ProviderState
    episode: tuple[int, int]
    since: float


@attrs.define
class Order:
    """An order on its way, or its end; ``fate`` is None where no reply came. Times are in seconds."""

    service: Service
    gate: int | None
    picture: int | None
    sent: float
    ended: float | None = None
    fate: str | None = None


class Watch:
    """What one process asks of the services. It blames what no polite client does.

    ``standing`` tells how a provider stands with the process's hub now. What was let through before it got
    worse may leave up to ``late`` seconds after that.
    """

    def __init__(self, name: str, standing: Callable[[str], Standing | None], late: float) -> None:
        self.answers: dict[tuple[str, int], float] = {}
        """When the answer of a job came in, by provider and number."""
        self.asked: dict[tuple[str, int], float] = {}
        """When it last asked for a job."""
        self._name = name
        self._standing = standing
        self._late = late
        self._orders: dict[str, list[Order]] = defaultdict(list)
        self._looks: dict[str, list[Order]] = defaultdict(list)
        self._probes: set[tuple[str, tuple[int, int]]] = set()

    def order(self, service: Service) -> Order:
        """Note that an order leaves."""
        now = service.town.loop.time()
        standing = self._standing(service.name)
        order = Order(service, None if standing is None else standing.episode[0], PICTURE.get(), now)
        self._see_probe(service, now)
        self._see_pause(order)
        self._orders[service.name].append(order)
        return order

    def look(self, service: Service) -> Order:
        """Note that a call leaves without which there is no order, such as one for the price list."""
        look = Order(service, None, None, service.town.loop.time())
        self._looks[service.name].append(look)
        return look

    def end(self, order: Order, fate: str | None) -> None:
        """Note what came of one."""
        order.ended, order.fate = order.service.town.loop.time(), fate

    def was_turned_away(self, provider: str, picture: int, since: float) -> bool:
        """Whether all orders for a picture since a time, one at least, found a provider without a worker."""
        orders = self._orders[provider]
        fates = {order.fate for order in orders if order.picture == picture and order.sent >= since}
        return fates == {BUSY}

    def is_blocked(self, provider: str, since: float) -> bool:
        """Whether a provider served nobody from here after a time, as it said."""
        return any(
            order.fate == BLOCKED and order.ended is not None and order.ended + _BLOCK > since
            for order in (*self._orders[provider], *self._looks[provider])
        )

    def _see_pause(self, new: Order) -> None:
        """See that one which said that it takes no orders now is left alone for as long as its pages say."""
        service = new.service
        pauses = {BUSY: service.make.pause, BLOCKED: _BLOCK}
        for order in self._orders[service.name]:
            if order.ended is None or new.gate is None or order.gate != new.gate:
                continue
            waited = new.sent - order.ended
            if self._late < waited < pauses.get(order.fate or "", 0.0) - _SLACK:
                told = f"{self._name} ordered at {service} {waited:.1f} s after it was told to wait"
                service.town.blame(f"{told}: {order.fate}")

    def _see_probe(self, service: Service, now: float) -> None:
        """See that one attempt at a time, for all solves, finds out whether a provider works again."""
        standing = self._standing(service.name)
        if standing is None or standing.state is ProviderState.HEALTHY or now < standing.since + self._late:
            return
        probe = service.name, standing.episode
        if standing.state is not ProviderState.HALF_OPEN or probe in self._probes:
            service.town.blame(f"{self._name} ordered at {service.name}, which was {standing}, no probe")
        service.town.count("probe")
        self._probes.add(probe)

    def question(self, service: Service, job_id: int) -> None:
        """Note a question for a job: it must not come sooner after the last one than its service asks for."""
        now, key = service.town.loop.time(), (service.name, job_id)
        last = self.asked.get(key)
        job = service.jobs.get(job_id)
        if job is not None and now < job.created_at + service.make.wait - _SLACK:
            service.town.blame(f"{self._name} asked for job {job_id} of {service.name} right after its order")
        # Another one may have taken the job over, from a living process too, and this one from that again.
        is_asked_once = service.town.has_reliable_leases and job_id not in service.attached
        if last is not None and now < last + service.make.pace - _SLACK and is_asked_once:
            told = f"{self._name} asked for job {job_id} of {service.name}"
            service.town.blame(f"{told} again after {now - last:.2f} s")
        self.asked[key] = now

    def answer(self, service: Service, job_id: int) -> None:
        """Note that the answer has come in."""
        self.answers.setdefault((service.name, job_id), service.town.loop.time())

    def longest_pause(self, services: Sequence[Service], begin: float, end: float) -> float:
        """The longest time in which nothing was ordered or under way at services of a name, in seconds."""
        name = services[0].name
        orders = (*self._orders[name], *self._looks[name])
        busy = [(order.sent, end if order.ended is None else order.ended) for order in orders]
        jobs = [job for one in services for job in one.jobs.values() if one.taken_from[job.id] == self._name]
        busy += [(job.created_at, _asked_until(job.created_at, job.ready_at)) for job in jobs]
        longest, free_from = 0.0, begin
        for since, until in sorted(busy):
            longest = max(longest, min(since, end) - free_from)
            free_from = max(free_from, until)
        return max(longest, end - free_from)


def _asked_until(created: float, ready: float) -> float:
    """When the answer is known at the latest: questions come ever more seldom."""
    return ready + 0.1 * (ready - created) + 12
