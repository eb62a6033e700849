"""When to ask for an answer again: pure, and it learns from the jobs that are done."""

from __future__ import annotations

import attrs

__all__ = ["Durations", "next_pause"]

_KEPT = 32
_EARLY = 0.1
# Asking again after a tenth of the time already waited delays no answer by more than that tenth.
_GROWTH = 0.1
# An answer that was there at the first question came earlier; how much earlier is not known.
_ASSUMED = 0.8
# The last question before a deadline leaves this much time for its reply, in seconds.
_LAST_CALL = 1.0


@attrs.frozen
class Durations:
    """How long the latest jobs of one kind took at one provider, each never more than the truth."""

    seconds: tuple[float, ...] = ()

    def with_job(self, *, asked_before: float | None, done: float) -> Durations:
        """The same with one more job, found done ``done`` seconds after it was created.

        ``asked_before`` is when it was last found working, None where it never was.
        """
        known = done * _ASSUMED if asked_before is None else asked_before
        return Durations((*self.seconds, known)[-_KEPT:])

    def first_pause(self, *, gap: float, left: float) -> float:
        """How long to wait before the first question: until the fastest jobs are done, in seconds.

        ``gap`` and ``left`` are as for :func:`next_pause`.
        """
        wanted = sorted(self.seconds)[int(len(self.seconds) * _EARLY)] if self.seconds else gap
        return _fitted(wanted, gap, left)


def next_pause(*, waited: float, gap: float, left: float, asked_for: float | None = None) -> float:
    """How long to wait before the next question, in seconds.

    ``waited`` is the time since the job was created, ``left`` the time until nobody wants the answer any
    more, ``gap`` the shortest pause that the service allows, ``asked_for`` a pause that it demanded. The
    result is never shorter than ``gap``, and where it can be it leaves time for one last question.
    """
    return _fitted(max(waited * _GROWTH, asked_for or 0.0), gap, left)


def _fitted(pause: float, gap: float, left: float) -> float:
    return max(gap, min(pause, left - _LAST_CALL))
