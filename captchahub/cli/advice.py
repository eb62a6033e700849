"""What to do about an error, in commands of this program: the library's own advice names calls of Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial

from captchahub.cli.invocation import command
from captchahub.errors import HOW_TO_REPORT, INSTEAD_OF_WAITING, AllProvidersFailed, Attempt, JournalError
from captchahub.hub import Hub
from captchahub.jobs import JobEntry, JobState

__all__ = ["advise_commands", "in_commands"]

# A job is looked for among this many, the newest ones.
_RECENT = 1000

_REVIVE = re.compile(r"call hub\.revive\([^)]*\)")


def advise_commands(error: Exception | None, hub: Hub, fingerprint: str | None) -> None:
    """Replace the advice of each attempt of a failed solve by one with commands.

    ``fingerprint`` is that of the task. The commands name the job's number in the journal if it is there.
    """
    if not isinstance(error, AllProvidersFailed):
        return
    for attempt in error.attempts:
        if attempt.error is not None:
            number = partial(_number_of, attempt, hub, fingerprint)
            attempt.error.advice = in_commands(attempt.error.advice, number)


def in_commands(advice: str, number: Callable[[], str]) -> str:
    """Return advice with commands in place of calls; ``number`` returns the job's number in the journal."""
    if HOW_TO_REPORT in advice:
        report = command("jobs", "report", number(), "--wrong")
        advice = advice.replace(HOW_TO_REPORT, f"report the answer if the service accepts reports: {report}")
    if "settle it with hub.resolve()" in advice:
        resolve = command("jobs", "resolve", number(), "STATE")
        advice = advice.replace("settle it with hub.resolve()", f"settle it with {resolve}")
    advice = advice.replace(INSTEAD_OF_WAITING, "allow more time, or try again when it has ended")
    return _REVIVE.sub("start the command again", advice)


def _number_of(attempt: Attempt, hub: Hub, fingerprint: str | None) -> str:
    try:
        jobs: Iterable[JobEntry] = hub.jobs(provider=attempt.provider, limit=_RECENT)
    except JournalError:
        return "N"
    if attempt.job_id is None:
        # The service may have the job, but its id did not arrive.
        jobs = (job for job in jobs if (job.fingerprint, job.state) == (fingerprint, JobState.AMBIGUOUS))
    else:
        jobs = (job for job in jobs if job.job_id == attempt.job_id)
    return next((str(job.id) for job in jobs), "N")
