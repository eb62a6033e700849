"""How the service writes what all calls have in common: task types, flags, job ids.

The service's own pages document the flag ``error``. Programs that use it have also received ``success``, next
to ``error`` or instead of it.
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
# A number of 18 digits always fits into 64 bits, which is what databases store.
_JOB_ID: Final = re.compile(r"0*[1-9][0-9]*")
_JOB_ID_DIGITS: Final = 18


def flag(value: object) -> bool | None:
    """Return a flag that is sent as a boolean, a number or a text, or None if it is none of them."""
    return value if isinstance(value, bool) else _FLAGS.get(text_of(value).lower())


def is_failure(answer: Mapping[str, object]) -> bool | None:
    """Whether the answer says that the call failed, or None if it does not say."""
    error, success = flag(answer.get("error")), flag(answer.get("success"))
    if error is None and success is None:
        return None
    return error is True or success is False


def job_id(value: object) -> JobId | None:
    """Return a job id unchanged: a positive integer, or one as text. None for anything else."""
    found = job_id_of(value)
    is_number = found is not None and _JOB_ID.fullmatch(str(found)) and len(str(found)) <= _JOB_ID_DIGITS
    return found if is_number else None
