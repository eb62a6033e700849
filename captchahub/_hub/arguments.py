"""Checks arguments of the hubs, whose callers need not use a type checker.

Each function returns the checked value, or raises an error that says what to pass.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from captchahub.errors import ConfigError
from captchahub.jobs import JobEntry, JobState

if TYPE_CHECKING:
    from captchahub._journal.journal import JobFilter

# The largest integer of SQLite, to which a number of jobs is passed.
_MAX_COUNT = 2**63 - 1


def checked_path(path: object) -> Path:
    """Check the path of a configuration."""
    if isinstance(path, (str, PurePath)):
        # The message does not quote the text, which can hold a token.
        if "\n" in str(path):
            raise ConfigError(
                "from_yaml takes the path of a file, and this is the text of one: parse it, and pass the "
                "result to from_mapping"
            )
        return Path(path)
    found = type(path).__name__
    if isinstance(path, os.PathLike):
        return checked_path(os.fspath(path))  # pyright: ignore[reportUnknownArgumentType]  # text or bytes
    instead = ""
    if isinstance(path, Mapping):
        instead = "; use from_mapping for a mapping"
    elif isinstance(path, io.IOBase):
        instead = "; pass the path of that file"
    raise TypeError(f"from_yaml takes the path of a file, not {found}{instead}")


def checked_state(state: object) -> JobState:
    """Check a state of a job."""
    if not isinstance(state, JobState):
        raise TypeError(f"state must be a JobState, such as JobState.AMBIGUOUS, not {state!r:.40}")
    return state


def checked_count(name: str, number: object) -> int:
    """Check the argument of this name, which is a number of things."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"{name} must be a whole number of 1 or more, not {number!r:.40}")
    return min(number, _MAX_COUNT)


def checked_label(label: object) -> str | None:
    """Check the label of a task."""
    if not (label is None or isinstance(label, str)):
        raise TypeError(f"label must be a text, such as the name of a file, or None, not {label!r:.40}")
    return label


def checked_filter(
    state: object, provider: object, is_given: object, since: object, limit: object
) -> JobFilter:
    """Check which jobs are wanted."""
    # sqlite3 comes with it, and to import a hub needs none of it.
    from captchahub._journal.journal import JobFilter  # noqa: PLC0415 - see above

    if not (provider is None or isinstance(provider, str)):
        raise TypeError(f"provider must be the name of a provider, or None, not {provider!r:.40}")
    if not (is_given is None or isinstance(is_given, bool)):
        raise TypeError(f"is_given must be True, False or None, not {is_given!r:.40}")
    return JobFilter(
        None if state is None else checked_state(state),
        provider,
        is_given,
        checked_since(since),
        checked_count("limit", limit),
    )


def checked_job(job: object) -> JobEntry:
    """Check a job of the journal."""
    if not isinstance(job, JobEntry):
        raise TypeError(f"job must be one that hub.jobs() returned, not {job!r:.40}")
    return job


def checked_cost(cost: object) -> Decimal | None:
    """Check the cost of a job, or None if unknown."""
    if cost is None:
        return None
    if not isinstance(cost, Decimal):
        raise TypeError(f"cost must be a Decimal, such as Decimal('0.0005'), or None, not {cost!r:.40}")
    if not cost.is_finite() or cost < 0:
        raise ValueError(f"cost must be an amount of 0 or more, not {cost}")
    return cost


def checked_zone(zone: object) -> tzinfo:
    """Check a time zone."""
    if not isinstance(zone, tzinfo):
        raise TypeError(f"zone must be a tzinfo, such as ZoneInfo('Europe/Berlin'), not {zone!r:.40}")
    return zone


def checked_since(since: object) -> float:
    """Return a time as seconds since 1970, or 0 for None."""
    if since is None:
        return 0.0
    if not isinstance(since, datetime):
        raise TypeError(f"since must be a datetime, such as datetime.now(UTC), not {since!r:.40}")
    try:
        return since.timestamp()
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"since must be a time that this system supports, not {since}") from error


def checked_timeout(timeout: float | None) -> float | None:
    """Check a time in seconds; None stands for the default."""
    if timeout is None:
        return None
    try:
        seconds = float(timeout)
    except (OverflowError, TypeError, ValueError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"timeout must be a positive number of seconds, or None, not {timeout!r:.40}")
    return seconds
