"""The circuit breaker of one provider. Pure: the caller passes the time, and each change is a new value.

The states:

- *healthy*: every attempt may call the provider (a closed circuit).
- *cooling*: after too many failures no attempt may (an open circuit). A solve without any other provider may
  send the probe early.
- *half-open*: the cooldown is over, or a probe is under way. One attempt, the probe, finds out whether the
  provider works again.
- *out*: the service refuses the account. Waiting does not help, so only ``revived`` ends it.

A provider that is only busy needs no probe: after its pause it is healthy again.
"""

from __future__ import annotations

import math
from enum import IntEnum

import attrs

from captchahub._policy.error_table import FAILURES, HealthEffect
from captchahub._policy.refusals import Refusals
from captchahub.results import ProviderState
from captchahub.settings import HealthSettings

# How long after a failure a solve without another provider may send a probe, in seconds: after the first
# failure, and at most. The delay doubles from one to the other. A probe that is known not to arrive is free.
# Any other may cost its price, so an outage costs at most six prices a minute.
_FREE_PROBE_DELAYS = (1.0, 5.0)
_PAID_PROBE_DELAYS = (2.0, 10.0)

# The window moves on by a tenth of its length. So it is at most a tenth too short, and a busy provider needs
# ten numbers instead of one for each attempt.
_SLICES = 10


@attrs.frozen
class HealthPermit:
    """Permission for one attempt to call the provider."""

    generation: int
    """Which stay in a state the attempt belongs to. Results of an earlier one are out of date."""
    revivals: int
    """How often the provider had been revived. A refusal from before the last revival is out of date."""
    is_probe: bool
    """Whether the attempt finds out whether the provider works again."""
    is_early: bool = False
    """Whether the probe is sent before the cooldown is over."""


class _Reopens(IntEnum):
    """What ends a cooldown, the weakest proof first. A stronger proof also ends one that needs a weaker."""

    AFTER_TIME = 0
    """The end of the pause: the service was only busy."""
    ON_JOB = 1
    """A created job: only creates failed."""
    ON_ANSWER = 2
    """The answer of a probe: created jobs failed."""


@attrs.frozen
class _Cooldown:
    """What ends the present cooldown, and when a solve without another provider may send a probe.

    The probes have growing delays, up to ``early_from``. A solve that ends sooner may send one from
    ``earliest`` on.
    """

    reopens: _Reopens = _Reopens.AFTER_TIME
    failed_probes: int = 0
    early_from: float = math.inf
    earliest: float = math.inf

    def after_failure(
        self, effect: HealthEffect, now: float, *, failed_probes: int, requested: float, longest: float
    ) -> _Cooldown:
        """Return the cooldown after a failure.

        ``requested`` is the pause that the service asked for, ``longest`` the most that a probe waits, in
        seconds.
        """
        is_free = effect is HealthEffect.UNREACHED
        first, most = _FREE_PROBE_DELAYS if is_free else _PAID_PROBE_DELAYS
        doubled = min(first * 2.0 ** min(failed_probes, 10), most)
        early_from = now + min(max(doubled, requested), longest)
        # A probe that may cost its price is never sent sooner, even if the solve ends.
        earliest = now + min(max(first, requested), longest) if is_free else early_from
        needed = _Reopens.ON_ANSWER if effect is HealthEffect.FAILED else _Reopens.ON_JOB
        return _Cooldown(max(self.reopens, needed), failed_probes, early_from, earliest)


@attrs.frozen
class _OutcomeWindow:
    """How many attempts succeeded and failed within a window of time.

    ``slices`` has a tuple for each tenth of the window with attempts: its number, successes and failures.
    """

    slices: tuple[tuple[int, int, int], ...] = ()

    def with_one(self, *, failed: bool, now: float, window: float) -> _OutcomeWindow:
        """Return the window with one more attempt, and without what is older than ``window`` seconds."""
        current = math.floor(now * _SLICES / max(window, 0.001))
        kept = [one for one in self.slices if one[0] > current - _SLICES]
        _, succeeded, failures = kept.pop() if kept and kept[-1][0] == current else (current, 0, 0)
        return _OutcomeWindow((*kept, (current, succeeded + (not failed), failures + failed)))

    @property
    def failed(self) -> int:
        """The number of failures."""
        return sum([failures for _, _, failures in self.slices])

    @property
    def total(self) -> int:
        """The number of attempts."""
        return sum([succeeded + failures for _, succeeded, failures in self.slices])


_NO_ATTEMPTS = _OutcomeWindow()

_NO_COOLDOWN = _Cooldown()


@attrs.frozen
class Health:
    """What is known about one provider, and whether an attempt may call it."""

    rules: HealthSettings
    state: ProviderState = ProviderState.HEALTHY
    reason: str | None = None
    """Why it is in this state, or None if it is healthy."""
    since: float | None = None
    """When it came into this state, or None if it always was in it."""
    until: float | None = None
    """When it may be tried again, or None if that does not depend on the time."""
    is_elsewhere: bool = False
    """Whether another process has found that the service refuses the account, and this one has not."""
    _failures_in_a_row: int = 0
    _outcomes: _OutcomeWindow = _NO_ATTEMPTS
    _cooldown: _Cooldown = _NO_COOLDOWN
    # See HealthPermit. Attempts end in any order, and long after the state in which they began.
    _generation: int = 0
    _revivals: int = 0

    @property
    def opens_at(self) -> float | None:
        """From when an attempt may call it: infinity during a probe, or None if waiting does not help."""
        match self.state:
            case ProviderState.HEALTHY:
                return -math.inf
            case ProviderState.COOLING:
                return self.until
            case ProviderState.HALF_OPEN:
                return math.inf
            case ProviderState.OUT:
                return None

    def opens_early_at(self, latest: float) -> float | None:
        """Return from when a solve without another provider may call it.

        ``latest`` is the last time at which the solve can create a job.
        """
        if self.state is not ProviderState.COOLING or self.until is None:
            return self.opens_at
        cooldown = self._cooldown
        return min(self.until, max(cooldown.earliest, min(cooldown.early_from, latest)))

    def seen_at(self, now: float) -> Health:
        """Return the health at a time: a provider that was only busy is healthy after its pause."""
        is_over = self._is_due(now) and self._cooldown.reopens is _Reopens.AFTER_TIME
        return self._healed(now) if is_over else self

    def state_at(self, now: float) -> ProviderState:
        """Return the state at a time: after its cooldown, a provider waits for its probe."""
        needs_probe = self._is_due(now) and self._cooldown.reopens is not _Reopens.AFTER_TIME
        return ProviderState.HALF_OPEN if needs_probe else self.seen_at(now).state

    def _is_due(self, now: float) -> bool:
        return self.state is ProviderState.COOLING and self.until is not None and self.until <= now

    def admits(self, now: float, *, is_early: bool = False) -> bool:
        """Return whether an attempt may call it now.

        ``is_early`` is whether the solve has no other provider, so that it may send an early probe.
        """
        opens_at = self.opens_early_at(-math.inf) if is_early else self.opens_at
        return opens_at is not None and opens_at <= now

    def admit(self, now: float, *, is_early: bool = False) -> tuple[Health, HealthPermit | None]:
        """Return the new health and a permit for one attempt, or None for the permit if there is none now.

        ``is_early`` is as for :meth:`admits`.
        """
        if not self.admits(now, is_early=is_early):
            return self, None
        seen = self.seen_at(now)
        if seen is not self:
            return seen.admit(now)
        if self.state is ProviderState.HEALTHY:
            return self, HealthPermit(self._generation, self._revivals, is_probe=False)
        probed = self._moved(ProviderState.HALF_OPEN, self.since, self.reason, cooldown=self._cooldown)
        is_early_probe = not self._is_due(now)
        permit = HealthPermit(self._generation + 1, self._revivals, is_probe=True, is_early=is_early_probe)
        return probed, permit

    def allows(self, permit: HealthPermit, now: float) -> bool:
        """Return whether the attempt may still create a job, whatever happened since it got its permit."""
        if permit.is_probe and permit.generation == self._generation:
            return True
        # In any other state than healthy, only the present probe may; this permit is not for that.
        return self.state_at(now) is ProviderState.HEALTHY

    def created(self, permit: HealthPermit, now: float) -> Health:
        """Return the health after the attempt created a job, which may end the cooldown."""
        is_present_probe = permit.is_probe and permit.generation == self._generation
        if is_present_probe and self._cooldown.reopens is not _Reopens.ON_ANSWER:
            return self._healed(now)
        return self

    def after(
        self,
        permit: HealthPermit,
        effect: HealthEffect,
        now: float,
        *,
        reason: str = "",
        retry_after: float | None = None,
    ) -> Health:
        """Return the health after the attempt ended.

        ``retry_after`` is the pause that the service asked for, in seconds, or None.
        """
        if effect is HealthEffect.REFUSED:
            # An attempt from before a revival met the account as it was before that.
            is_known = self.state is ProviderState.OUT and not self.is_elsewhere
            is_news = permit.revivals == self._revivals and not is_known
            return self._moved(ProviderState.OUT, now, reason) if is_news else self
        if effect in (HealthEffect.SERVICE_BUSY, HealthEffect.RATE_LIMITED):
            return self._paused(permit, effect, now, reason, retry_after)
        if permit.generation != self._generation:
            return self
        if permit.is_probe:
            return self._probed(effect, now, reason, retry_after)
        return self._counted(effect, now, reason, retry_after)

    def revived(self, now: float) -> Health:
        """Return the health after a person, or a new balance, said that all is well again."""
        return attrs.evolve(self._healed(now), revivals=self._revivals + 1)

    def with_refusals(self, refusals: Refusals, now: float, wall: float) -> Health:
        """Return the health with what other processes have found out about the account.

        ``wall`` is the time of the wall clock at ``now``.
        """
        if self.state is not ProviderState.OUT:
            return self if refusals.found is None else self._refused_elsewhere(refusals.found, now)
        if self.is_elsewhere:
            return self.revived(now) if refusals.found is None else self
        since = -math.inf if self.since is None else wall + self.since - now
        is_over = refusals.revived_at is not None and refusals.revived_at > since
        return self.revived(now) if is_over else self

    def _refused_elsewhere(self, error: str, now: float) -> Health:
        out = self._moved(ProviderState.OUT, now, f"{error}, as another process has found")
        return attrs.evolve(out, is_elsewhere=True)

    def _paused(
        self, permit: HealthPermit, effect: HealthEffect, now: float, reason: str, retry_after: float | None
    ) -> Health:
        # What a probe finds is newer than the reply to an earlier attempt.
        is_outdated = self.state is ProviderState.HALF_OPEN and permit.generation != self._generation
        if self.state is ProviderState.OUT or is_outdated:
            return self
        until = now + (self.rules.busy_cooldown if retry_after is None else retry_after)
        reopens = self._reopens_after_pause(effect)
        if self.state is not ProviderState.COOLING:
            return self._moved(ProviderState.COOLING, now, reason, until=until, cooldown=_Cooldown(reopens))
        # The service may ask several attempts for a pause. The longest one counts, and no probe is sent in
        # it; of what ends it, the strongest proof counts.
        cooldown = attrs.evolve(
            self._cooldown,
            reopens=max(reopens, self._cooldown.reopens),
            early_from=max(self._cooldown.early_from, until),
            earliest=max(self._cooldown.earliest, until),
        )
        return attrs.evolve(self, until=max(until, self.until or 0.0), cooldown=cooldown)

    def _reopens_after_pause(self, effect: HealthEffect) -> _Reopens:
        """Return what ends the pause that the service asked for."""
        if self._cooldown.reopens is _Reopens.ON_ANSWER:
            return _Reopens.ON_ANSWER
        # A service that says it has no free worker can be reached, so that creates no longer fail.
        return _Reopens.AFTER_TIME if effect is HealthEffect.SERVICE_BUSY else _Reopens.ON_JOB

    def _probed(self, effect: HealthEffect, now: float, reason: str, retry_after: float | None) -> Health:
        if effect in (HealthEffect.WORKED, HealthEffect.ANSWERED):
            return self._healed(now)
        if effect in FAILURES:
            failed_probes = self._cooldown.failed_probes + 1
            return self._failed(effect, now, reason, retry_after, failed_probes=failed_probes)
        # The probe found out nothing, for instance because it was cancelled. So the next attempt is the
        # probe.
        return self._moved(ProviderState.COOLING, self.since, self.reason, until=now, cooldown=self._cooldown)

    def _counted(self, effect: HealthEffect, now: float, reason: str, retry_after: float | None) -> Health:
        failed = effect in FAILURES
        if effect is not HealthEffect.WORKED and not failed:
            return self
        in_a_row = self._failures_in_a_row + 1 if failed else 0
        outcomes = self._outcomes.with_one(failed=failed, now=now, window=self.rules.window)
        why = self._broken_rule(in_a_row, outcomes) if failed else None
        if why is None:
            # Not attrs.evolve(), which takes ten times as long; each attempt comes here.
            return Health(
                self.rules,
                self.state,
                self.reason,
                self.since,
                self.until,
                self.is_elsewhere,
                in_a_row,
                outcomes,
                self._cooldown,
                self._generation,
                self._revivals,
            )
        return self._failed(effect, now, f"{why}, the last one {reason}", retry_after, failed_probes=0)

    def _failed(
        self, effect: HealthEffect, now: float, reason: str, retry_after: float | None, *, failed_probes: int
    ) -> Health:
        length = self.rules.cooldown
        cooldown = self._cooldown.after_failure(
            effect, now, failed_probes=failed_probes, requested=retry_after or 0.0, longest=length
        )
        return self._moved(ProviderState.COOLING, now, reason, until=now + length, cooldown=cooldown)

    def _broken_rule(self, in_a_row: int, outcomes: _OutcomeWindow) -> str | None:
        """Return the rule that the failures break, or None for none."""
        rules = self.rules
        if in_a_row >= rules.failures:
            return f"{in_a_row} failures in a row"
        if outcomes.total >= rules.min_samples and outcomes.failed > rules.error_rate * outcomes.total:
            return f"{outcomes.failed} of {outcomes.total} attempts failed within {rules.window:g} s"
        return None

    def _healed(self, now: float) -> Health:
        return self._moved(ProviderState.HEALTHY, now, None)

    def _moved(
        self,
        state: ProviderState,
        since: float | None,
        reason: str | None,
        *,
        until: float | None = None,
        cooldown: _Cooldown = _NO_COOLDOWN,
    ) -> Health:
        """Return the health in another state: counting starts again, and earlier permits are out of date."""
        return attrs.evolve(
            Health(self.rules, state, reason, since, until),
            cooldown=cooldown,
            generation=self._generation + 1,
            revivals=self._revivals,
        )
