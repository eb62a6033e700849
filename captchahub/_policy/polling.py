"""When to ask for an answer again: pure, and it learns from the jobs that are done."""

from __future__ import annotations

import attrs

__all__ = ["JobDurations", "last_poll_margin", "next_delay", "time_for_reply"]

_KEPT = 32

_EARLY = 0.1

# Asking again after a tenth of the time already waited delays no answer by more than that tenth.
_GROWTH = 0.1

# An answer that was there at the first question came earlier; how much earlier is not known.
_ASSUMED = 0.8

_LAST_CALL = 1.0

# Of two replies one may take so many times as long as the other, and none is sure to take less than this.
_SLOWER = 3.0

_AT_LEAST = 0.5


@attrs.frozen
class JobDurations:
    """How long the latest jobs of one kind took at one provider, guessed with care for the fast ones."""

    seconds: tuple[float, ...] = ()

    def with_job(self, *, asked_before: float | None, done: float) -> JobDurations:
        """The same with one more job, found done ``done`` seconds after it was created.

        ``asked_before`` is when it was last found working, None where it never was.
        """
        known = done * _ASSUMED if asked_before is None else asked_before
        return JobDurations((*self.seconds, known)[-_KEPT:])

    def first_delay(
        self, *, gap: float, left: float, least: float | None = None, spare: float | None = None
    ) -> float:
        """How long to wait before the first question: until the fastest jobs are done, in seconds.

        ``gap``, ``left`` and ``spare`` are as for :func:`next_pause`. ``least`` is the shortest pause after
        the order that the service allows. Where it says nothing of that, the gap is only one between two
        questions, and the first may come sooner where little time is left.
        """
        spare = last_poll_margin(gap) if spare is None else spare
        usual = gap if least is None else least
        wanted = sorted(self.seconds)[int(len(self.seconds) * _EARLY)] if self.seconds else usual
        # Where there is hardly time for one question, half of it goes to the job.
        latest = max(left - spare, left / 2)
        pause = max(0.0, min(max(usual, wanted), latest))
        if latest - pause < gap:
            # No other question fits in after this one.
            pause = max(pause, latest)
        return max(pause, least or 0.0)


def last_poll_margin(gap: float) -> float:
    """What the last question before a deadline leaves for its reply, in seconds.

    It is the least that must be left for an order, too: a job that can't be asked for is money for nothing.
    """
    return min(gap, _LAST_CALL)


def time_for_reply(gap: float, slowest: float | None) -> float:
    """What the last question leaves for its reply, where the slowest one so far took so long, in seconds.

    None stands for a service that has not replied yet. A question that comes later finds more jobs done; one
    that comes too late is cut off with the answer on its way.
    """
    most = last_poll_margin(gap)
    return most if slowest is None else min(most, max(_AT_LEAST, slowest * _SLOWER))


def next_delay(
    *,
    waited: float,
    gap: float,
    left: float,
    asked_for: float | None = None,
    spare: float | None = None,
) -> float:
    """How long to wait before the next question, in seconds.

    ``waited`` is the time since the job was created, ``left`` the time until nobody wants the answer any
    more, ``gap`` the shortest pause that the service allows, ``asked_for`` a pause that it demanded,
    ``spare`` what the last question leaves for its reply. The result is never shorter than ``gap``, and where
    it can be it leaves time for one last question.
    """
    latest = left - (last_poll_margin(gap) if spare is None else spare)
    pause = max(gap, min(max(waited * _GROWTH, asked_for or 0.0), latest))
    # Where no other question fits in after this one, it is the last, and comes as late as it can.
    return max(pause, latest) if latest - pause < gap else pause
