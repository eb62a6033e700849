"""Monitors one process's calls: their intervals, their number, and the answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextvars import ContextVar

import attrs

from captchahub.results import ProviderState
from tests.simulation.call_outcomes import BLOCKED, BUSY
from tests.simulation.service import Service

__all__ = ["PICTURE", "CallMonitor", "HealthSnapshot", "Order"]

PICTURE: ContextVar[int | None] = ContextVar("PICTURE", default=None)
"""The number of the picture of the current solve."""

# Rounding, in seconds.
_SLACK = 0.05
# How long an address is blocked, in seconds.
_BLOCK = 300.0


@attrs.frozen
class HealthSnapshot:
    """The health of a provider in a hub. ``episode`` differs after each change; ``since`` is its time.

    ``is_elsewhere`` is whether another process has found that the account is refused.
    """

    state: ProviderState
    episode: tuple[int, int]
    since: float
    is_elsewhere: bool


@attrs.define
class Order:
    """A call that creates a job. ``call_outcome`` is None if no reply came. Times are in seconds."""

    service: Service
    gate: int | None
    picture: int | None
    sent: float
    ended: float | None = None
    call_outcome: str | None = None


class CallMonitor:
    """Records the calls of one process, and reports calls that break the services' rules.

    ``health_snapshot`` returns a provider's health in the process's hub. A call that was admitted before the
    health got worse may be sent up to ``late`` seconds later.
    """

    def __init__(
        self, name: str, health_snapshot: Callable[[str], HealthSnapshot | None], late: float
    ) -> None:
        self.answers: dict[tuple[str, int], float] = {}
        """When the answer of a job arrived, by provider and number."""
        self.polled: dict[tuple[str, int], float] = {}
        """When it last polled a job."""
        self._name = name
        self._health_snapshot = health_snapshot
        self._late = late
        self._orders: dict[str, list[Order]] = defaultdict(list)
        self._looks: dict[str, list[Order]] = defaultdict(list)
        self._probes: set[tuple[str, tuple[int, int]]] = set()

    def order(self, service: Service) -> Order:
        """Record that a call to create a job is sent."""
        now = service.world.loop.time()
        health_snapshot = self._health_snapshot(service.name)
        order = Order(
            service, None if health_snapshot is None else health_snapshot.episode[0], PICTURE.get(), now
        )
        self._see_probe(service, now)
        self._see_pause(order)
        self._orders[service.name].append(order)
        return order

    def look(self, service: Service) -> Order:
        """Record that a call is sent before any job can be created, such as for the price list."""
        look = Order(service, None, None, service.world.loop.time())
        self._looks[service.name].append(look)
        return look

    def end(self, order: Order, call_outcome: str | None) -> None:
        """Record the outcome of a call."""
        order.ended, order.call_outcome = order.service.world.loop.time(), call_outcome

    def was_turned_away(self, provider: str, picture: int, since: float) -> bool:
        """Return whether every call to create a job for a picture since a time met a busy provider."""
        orders = self._orders[provider]
        call_outcomes = {
            order.call_outcome for order in orders if order.picture == picture and order.sent >= since
        }
        return call_outcomes == {BUSY}

    def is_blocked(self, provider: str, since: float) -> bool:
        """Return whether a provider blocked this address after a time."""
        return any(
            order.call_outcome == BLOCKED and order.ended is not None and order.ended + _BLOCK > since
            for order in (*self._orders[provider], *self._looks[provider])
        )

    def _see_pause(self, new: Order) -> None:
        """Check that a busy or blocking provider gets no job for as long as its documentation says."""
        service = new.service
        pauses = {BUSY: service.service_type.pause, BLOCKED: _BLOCK}
        for order in self._orders[service.name]:
            if order.ended is None or new.gate is None or order.gate != new.gate:
                continue
            waited = new.sent - order.ended
            if self._late < waited < pauses.get(order.call_outcome or "", 0.0) - _SLACK:
                early = f"{self._name} created a job at {service} {waited:.1f} s after it was asked to wait"
                service.world.report_violation(f"{early}: {order.call_outcome}")

    def _see_probe(self, service: Service, now: float) -> None:
        """Check that only one attempt at a time probes a provider, over all solves."""
        health_snapshot = self._health_snapshot(service.name)
        if (
            health_snapshot is None
            or health_snapshot.state is ProviderState.HEALTHY
            or now < health_snapshot.since + self._late
        ):
            return
        probe = service.name, health_snapshot.episode
        if health_snapshot.state is not ProviderState.HALF_OPEN or probe in self._probes:
            service.world.report_violation(
                f"{self._name} created a job at {service.name}, which was {health_snapshot}, no probe"
            )
        service.world.count("probe")
        self._probes.add(probe)

    def poll(self, service: Service, job_id: int) -> None:
        """Record a poll, which must not come sooner after the last one than the service allows."""
        now, key = service.world.loop.time(), (service.name, job_id)
        last = self.polled.get(key)
        job = service.jobs.get(job_id)
        if job is not None and now < job.created_at + service.service_type.wait - _SLACK:
            service.world.report_violation(
                f"{self._name} polled job {job_id} of {service.name} right after its create"
            )
        # Another process may have taken the job over, even from a living one, and this one may have it back.
        is_polled_once = service.world.has_reliable_leases and job_id not in service.attached
        if last is not None and now < last + service.service_type.pace - _SLACK and is_polled_once:
            early = f"{self._name} polled job {job_id} of {service.name}"
            service.world.report_violation(f"{early} again after {now - last:.2f} s")
        self.polled[key] = now

    def answer(self, service: Service, job_id: int) -> None:
        """Record that the answer has arrived."""
        self.answers.setdefault((service.name, job_id), service.world.loop.time())

    def longest_pause(
        self, services: Sequence[Service], begin: float, end: float, others: Sequence[float] = ()
    ) -> float:
        """Return the longest time without any job at the services with one name, in seconds.

        ``others`` are the times at which other processes have created jobs.
        """
        name = services[0].name
        orders = (*self._orders[name], *self._looks[name])
        busy = [(order.sent, end if order.ended is None else order.ended) for order in orders]
        jobs = [job for one in services for job in one.jobs.values() if one.taken_from[job.id] == self._name]
        busy += [(job.created_at, _polled_until(job.created_at, job.ready_at)) for job in jobs]
        busy += [(at, at) for at in others]
        longest, free_from = 0.0, begin
        for since, until in sorted(busy):
            longest = max(longest, min(since, end) - free_from)
            free_from = max(free_from, until)
        return max(longest, end - free_from)


def _polled_until(created: float, ready: float) -> float:
    """Return the latest time at which the answer is known, because polls become less frequent."""
    return ready + 0.1 * (ready - created) + 12
