"""How the service writes what every call has in common: task types, yes and no, job ids.

The service's own pages say ``error``; programs that use it also met ``success`` beside or instead of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from captchahub.provider import JobId
from captchahub.words import job_id_of, text_of

__all__ = ["BALANCE", "CALLS", "CREATE", "POLL", "SERVICES", "TYPE_IDS", "flag", "is_failure", "job_id"]

CREATE: Final = "createJob"
POLL: Final = "getJobResult"
BALANCE: Final = "getBalance"
SERVICES: Final = "getService"
CALLS: Final = (CREATE, POLL, BALANCE, SERVICES)

TYPE_IDS: Final[Mapping[str, str]] = {"image-to-text": "30", "phone-slide": "24"}
"""The service's ``type_job_id``, by task kind."""

_FLAGS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}
# Up to 18 digits fit a signed 64-bit number, which is what databases keep.
_JOB_ID: Final = re.compile(r"0*[1-9][0-9]*")
_JOB_ID_DIGITS: Final = 18


def flag(value: object) -> bool | None:
    """A yes or no, written as true, 1 or text; None where it is neither."""
    return value if isinstance(value, bool) else _FLAGS.get(text_of(value).lower())


def is_failure(answer: Mapping[str, object]) -> bool | None:
    """Whether the answer says that the call failed; None where it does not say."""
    error, success = flag(answer.get("error")), flag(answer.get("success"))
    if error is None and success is None:
        return None
    return error is True or success is False


def job_id(value: object) -> JobId | None:
    """A job's id, unchanged: a whole number above 0 or such a number as text; None for anything else."""
    found = job_id_of(value)
    is_number = found is not None and _JOB_ID.fullmatch(str(found)) and len(str(found)) <= _JOB_ID_DIGITS
    return found if is_number else None
