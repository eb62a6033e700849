"""When to ask for an answer again: pure, and it learns from the jobs that are done."""

from __future__ import annotations

import attrs

__all__ = ["Durations", "next_pause", "time_to_ask"]

_KEPT = 32
_EARLY = 0.1
# Asking again after a tenth of the time already waited delays no answer by more than that tenth.
_GROWTH = 0.1
# An answer that was there at the first question came earlier; how much earlier is not known.
_ASSUMED = 0.8
_LAST_CALL = 1.0


@attrs.frozen
class Durations:
    """How long the latest jobs of one kind took at one provider, guessed with care for the fast ones."""

    seconds: tuple[float, ...] = ()

    def with_job(self, *, asked_before: float | None, done: float) -> Durations:
        """The same with one more job, found done ``done`` seconds after it was created.

        ``asked_before`` is when it was last found working, None where it never was.
        """
        known = done * _ASSUMED if asked_before is None else asked_before
        return Durations((*self.seconds, known)[-_KEPT:])

    def first_pause(self, *, gap: float, left: float) -> float:
        """How long to wait before the first question: until the fastest jobs are done, in seconds.

        ``gap`` and ``left`` are as for :func:`next_pause`. The gap is one between two questions, so the first
        may come sooner where little time is left.
        """
        wanted = sorted(self.seconds)[int(len(self.seconds) * _EARLY)] if self.seconds else gap
        # Where there is hardly time for one question, half of it goes to the job.
        return max(0.0, min(max(gap, wanted), max(left - time_to_ask(gap), left / 2)))


def time_to_ask(gap: float) -> float:
    """What the last question before a deadline leaves for its reply, in seconds.

    It is the least that must be left for an order, too: a job that can't be asked for is money for nothing.
    """
    return min(gap, _LAST_CALL)


def next_pause(*, waited: float, gap: float, left: float, asked_for: float | None = None) -> float:
    """How long to wait before the next question, in seconds.

    ``waited`` is the time since the job was created, ``left`` the time until nobody wants the answer any
    more, ``gap`` the shortest pause that the service allows, ``asked_for`` a pause that it demanded. The
    result is never shorter than ``gap``, and where it can be it leaves time for one last question.
    """
    latest = left - time_to_ask(gap)
    pause = max(gap, min(max(waited * _GROWTH, asked_for or 0.0), latest))
    # Where no other question fits in after this one, it is the last, and comes as late as it can.
    return max(pause, latest) if latest - pause < gap else pause
