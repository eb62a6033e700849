"""Whether a provider may be asked: pure, and the caller passes the time.

A provider is healthy until it fails too often. Then it cools: nobody asks it for a time, and after that
exactly one attempt, the probe, finds out whether it works again. A solve that has nobody else to ask may send
the probe earlier. One that is only busy needs no probe: after its pause all may ask it. One that refuses the
account is out: no waiting mends that.
"""

from __future__ import annotations

import math
from enum import IntEnum

import attrs

from captchahub._policy.error_table import FAILURES, HealthEffect
from captchahub._policy.outcome_window import OutcomeWindow
from captchahub.results import ProviderState
from captchahub.settings import HealthSettings

__all__ = ["Health", "Pass"]

# How soon after a failure somebody who has nobody else to ask may send a probe, and the longest pause between
# two such probes, in seconds; it doubles from one to the other. An order that is known not to arrive costs
# nothing, any other one perhaps its price.
_FREE_PAUSES = (1.0, 5.0)

_PAID_PAUSES = (2.0, 10.0)


@attrs.frozen
class Pass:
    """Leave for one attempt. ``is_probe`` where it is to find out whether the provider works again.

    ``is_early`` where that is before its cooldown is over.
    """

    generation: int
    revivals: int
    is_probe: bool
    is_early: bool = False


class _Proof(IntEnum):
    """What shows that a provider that was left alone may be asked by all; the larger includes the smaller."""

    TIME = 0
    """No more than that its pause is over."""
    JOB = 1
    """It creates the job of a probe."""
    ANSWER = 2
    """It answers a probe."""


@attrs.frozen
class _Episode:
    """What is known of the time in which a provider is left alone.

    ``probes`` is how many have failed. Who has nobody else to ask may send a probe from ``early`` on; who
    otherwise never could, from ``earliest`` on.
    """

    proof: _Proof = _Proof.TIME
    probes: int = 0
    early: float = math.inf
    earliest: float = math.inf

    def after(self, effect: HealthEffect, now: float, *, probes: int, pause: float, most: float) -> _Episode:
        """How it goes on after a failure.

        ``pause`` is what the service asked for, ``most`` the longest one between two probes, in seconds.
        """
        first, longest = _FREE_PAUSES if effect is HealthEffect.UNREACHED else _PAID_PAUSES
        doubled = min(first * 2.0 ** min(probes, 10), longest)
        early = now + min(max(doubled, pause), most)
        # A probe that may be paid for is never sent before its time.
        earliest = now + min(max(first, pause), most) if effect is HealthEffect.UNREACHED else early
        proof = max(self.proof, _Proof.ANSWER if effect is HealthEffect.FAILED else _Proof.JOB)
        return _Episode(proof, probes, early, earliest)

    def not_before(self, moment: float) -> _Episode:
        """The same, where the service asked not to be asked before a moment."""
        return attrs.evolve(self, early=max(self.early, moment), earliest=max(self.earliest, moment))


_NO_SAMPLES = OutcomeWindow()

_EPISODE = _Episode()


@attrs.frozen
class Health:
    """What is known of one provider, and whether it may be asked. Times are those the caller passes."""

    rules: HealthSettings
    state: ProviderState = ProviderState.HEALTHY
    reason: str | None = None
    """What put it into this state; None while it is healthy."""
    since: float | None = None
    """When it was put into this state, None where it always was."""
    until: float | None = None
    """When it may be tried again, None where that is not a matter of time."""
    _in_a_row: int = 0
    _samples: OutcomeWindow = _NO_SAMPLES
    _episode: _Episode = _EPISODE
    # A pass of an earlier generation speaks of a state that is over; one from before a revival, of a provider
    # that a person has mended since.
    _generation: int = 0
    _revivals: int = 0

    @property
    def opens_at(self) -> float | None:
        """From when it may be asked; infinity while another's probe is out, None where no waiting helps."""
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
        """From when a solve may ask it that has nobody else to ask, and can order until ``latest``."""
        if self.state is not ProviderState.COOLING or self.until is None:
            return self.opens_at
        return min(self.until, max(self._episode.earliest, min(self._episode.early, latest)))

    def seen_at(self, now: float) -> Health:
        """The same at a time: one that was only busy is healthy once its pause is over."""
        is_over = self._is_due(now) and self._episode.proof is _Proof.TIME
        return self._healed(now) if is_over else self

    def state_at(self, now: float) -> ProviderState:
        """How it stands at a time: once it has cooled, it waits for its probe."""
        if not self._is_due(now):
            return self.state
        return ProviderState.HEALTHY if self._episode.proof is _Proof.TIME else ProviderState.HALF_OPEN

    def _is_due(self, now: float) -> bool:
        return self.state is ProviderState.COOLING and self.until is not None and self.until <= now

    def admits(self, now: float, *, is_early: bool = False) -> bool:
        """Whether it may be asked now; ``is_early`` where it is by one that has nobody else to ask."""
        opens_at = self.opens_early_at(-math.inf) if is_early else self.opens_at
        return opens_at is not None and opens_at <= now

    def admit(self, now: float, *, is_early: bool = False) -> tuple[Health, Pass | None]:
        """The health from now on, and a pass for one attempt, None where it may not be asked now."""
        if not self.admits(now, is_early=is_early):
            return self, None
        seen = self.seen_at(now)
        if seen is not self:
            return seen.admit(now)
        if self.state is ProviderState.HEALTHY:
            return self, Pass(self._generation, self._revivals, is_probe=False)
        probed = self._moved(ProviderState.HALF_OPEN, self.since, self.reason, episode=self._episode)
        is_before = not self._is_due(now)
        return probed, Pass(self._generation + 1, self._revivals, is_probe=True, is_early=is_before)

    def allows(self, given: Pass, now: float) -> bool:
        """Whether the attempt of this pass may send an order now, whatever happened since it got the pass."""
        if given.is_probe and given.generation == self._generation:
            return True
        # A provider that has cooled admits an attempt only as its probe, and this pass is for none.
        return self.state_at(now) is ProviderState.HEALTHY

    def created(self, given: Pass, now: float) -> Health:
        """After a job of this pass was created: proof enough, unless its jobs are what failed."""
        is_proof = self._episode.proof is not _Proof.ANSWER
        if given.is_probe and given.generation == self._generation and is_proof:
            return self._healed(now)
        return self

    def after(
        self,
        given: Pass,
        effect: HealthEffect,
        now: float,
        *,
        reason: str = "",
        retry_after: float | None = None,
    ) -> Health:
        """After the attempt of this pass ended. ``retry_after`` is what the service asked for, in seconds."""
        if effect is HealthEffect.REFUSED:
            return self._refused(given, now, reason)
        if effect in (HealthEffect.SERVICE_BUSY, HealthEffect.RATE_LIMITED):
            return self._paused(given, effect, now, reason, retry_after)
        if given.generation != self._generation:
            return self
        if given.is_probe:
            return self._probed(effect, now, reason, retry_after)
        return self._counted(effect, now, reason, retry_after)

    def revived(self, now: float) -> Health:
        """After a person, or a look at the balance, said that all is well again."""
        return attrs.evolve(self._healed(now), revivals=self._revivals + 1)

    def _refused(self, given: Pass, now: float, reason: str) -> Health:
        if given.revivals != self._revivals or self.state is ProviderState.OUT:
            return self
        return self._moved(ProviderState.OUT, now, reason)

    def _paused(
        self, given: Pass, effect: HealthEffect, now: float, reason: str, retry_after: float | None
    ) -> Health:
        # While a probe is out, what it finds is newer than what an earlier attempt was told.
        is_outdated = self.state is ProviderState.HALF_OPEN and given.generation != self._generation
        if self.state is ProviderState.OUT or is_outdated:
            return self
        until = now + (self.rules.busy_cooldown if retry_after is None else retry_after)
        proof = self._proof_after(effect)
        if self.state is not ProviderState.COOLING:
            return self._moved(ProviderState.COOLING, now, reason, until=until, episode=_Episode(proof))
        episode = attrs.evolve(self._episode.not_before(until), proof=max(proof, self._episode.proof))
        return attrs.evolve(self, until=max(until, self.until or 0.0), episode=episode)

    def _proof_after(self, effect: HealthEffect) -> _Proof:
        """What reopens it after the pause that it asked for."""
        if self._episode.proof is _Proof.ANSWER:
            return _Proof.ANSWER
        # Whoever takes no order for want of a worker can be reached, whatever was wrong before.
        return _Proof.TIME if effect is HealthEffect.SERVICE_BUSY else _Proof.JOB

    def _probed(self, effect: HealthEffect, now: float, reason: str, retry_after: float | None) -> Health:
        if effect in (HealthEffect.WORKED, HealthEffect.ANSWERED):
            return self._healed(now)
        if effect in FAILURES:
            return self._failed(effect, now, reason, retry_after, probes=self._episode.probes + 1)
        # The probe came to nothing, so that the next attempt is one.
        return self._moved(ProviderState.COOLING, self.since, self.reason, until=now, episode=self._episode)

    def _counted(self, effect: HealthEffect, now: float, reason: str, retry_after: float | None) -> Health:
        failed = effect in FAILURES
        if effect is not HealthEffect.WORKED and not failed:
            return self
        in_a_row = self._in_a_row + 1 if failed else 0
        samples = self._samples.with_one(failed=failed, now=now, window=self.rules.window)
        why = self._too_much(in_a_row, samples) if failed else None
        if why is None:
            return attrs.evolve(self, in_a_row=in_a_row, samples=samples)
        return self._failed(effect, now, f"{why}, the last one {reason}", retry_after, probes=0)

    def _failed(
        self, effect: HealthEffect, now: float, reason: str, retry_after: float | None, *, probes: int
    ) -> Health:
        cooldown = self.rules.cooldown
        episode = self._episode.after(effect, now, probes=probes, pause=retry_after or 0.0, most=cooldown)
        return self._moved(ProviderState.COOLING, now, reason, until=now + cooldown, episode=episode)

    def _too_much(self, in_a_row: int, samples: OutcomeWindow) -> str | None:
        """Which rule so many failures have broken, None for none."""
        rules = self.rules
        if in_a_row >= rules.failures:
            return f"{in_a_row} failures in a row"
        if samples.total >= rules.min_samples and samples.failed > rules.error_rate * samples.total:
            return f"{samples.failed} of {samples.total} attempts failed within {rules.window:g} s"
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
        episode: _Episode = _EPISODE,
    ) -> Health:
        """In another state, where the counting begins anew; passes given until now speak of the old one."""
        return attrs.evolve(
            Health(self.rules, state, reason, since, until),
            episode=episode,
            generation=self._generation + 1,
            revivals=self._revivals,
        )
