"""What the emulated services do with accounts, pictures and jobs, independently of the protocol.

Each function does one thing or raises :class:`Refused`, which the emulation of each protocol translates into
its own reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from captchahub.errors import TaskError
from captchahub.images import Image
from captchahub.tasks import TextSolution
from captchahub.testing.emulation import UNKNOWN_PICTURE, Account, JobRecord, World, unpack_base64
from captchahub_createtask.dialects import Dialect

__all__ = [
    "PRICE",
    "Refused",
    "answer_of",
    "check_picture",
    "create_job",
    "find_account",
    "find_job",
    "read_picture",
]

PRICE: Final = Decimal("0.0007")
"""The price of one picture at every emulated service."""

REFUSALS: Final[Mapping[str, tuple[int, str]]] = {
    "ERROR_KEY_DOES_NOT_EXIST": (1, "The account key was not found."),
    "ERROR_ZERO_CAPTCHA_FILESIZE": (3, "The picture is missing or too small."),
    "ERROR_TOO_BIG_CAPTCHA_FILESIZE": (4, "The picture is too large."),
    "ERROR_ZERO_BALANCE": (10, "The balance is not enough."),
    "ERROR_CAPTCHA_UNSOLVABLE": (12, "No worker could read the picture."),
    "ERROR_NO_SUCH_METHOD": (14, "There is no such call."),
    "ERROR_IMAGE_TYPE_NOT_SUPPORTED": (15, "This is not a picture."),
    "ERROR_NO_SUCH_CAPCHA_ID": (16, "There is no such task, or no longer."),
    "ERROR_TASK_ABSENT": (22, "The task is missing."),
    "ERROR_TASK_NOT_SUPPORTED": (23, "There is no task of this type."),
    "ERROR_IP_BLOCKED": (21, "The address is blocked for a time: the job was polled too soon."),
    "ERROR_RATE_LIMIT": (40, "The job was polled too soon."),
    "ERROR_TOO_MUCH_REQUESTS": (40, "The job was polled too soon."),
    "ERROR_INVALID_TASK_DATA": (41, "A field has a value that it cannot have."),
}
"""All refusals by their code, with the number and the text that are sent with it."""


class Refused(Exception):
    """The service refuses the call.

    ``code`` is a key of :data:`REFUSALS`, and ``words`` replace its usual description.
    """

    def __init__(self, code: str, words: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.number, usual = REFUSALS[code]
        self.words = words or usual


def find_account(key: str | None, world: World) -> Account:
    """Return the account with a key. Raises Refused if there is none."""
    account = world.accounts.get(key or "")
    if account is None:
        raise Refused("ERROR_KEY_DOES_NOT_EXIST")
    return account


def read_picture(packed: object, dialect: Dialect) -> bytes:
    """Return the picture in a base64 text. Raises Refused as :func:`check_picture` does."""
    if not isinstance(packed, str) or not packed:
        raise Refused("ERROR_ZERO_CAPTCHA_FILESIZE")
    data = unpack_base64(packed)
    if data is None:
        raise Refused("ERROR_IMAGE_TYPE_NOT_SUPPORTED")
    check_picture(data, dialect)
    return data


def check_picture(data: bytes, dialect: Dialect) -> None:
    """Raise Refused if the data is not a picture, or exceeds the limits of the dialect."""
    _check_bytes(data, dialect)
    _check_sides(data, dialect)


def _check_bytes(data: bytes, dialect: Dialect) -> None:
    if dialect.min_bytes is not None and len(data) < dialect.min_bytes:
        raise Refused("ERROR_ZERO_CAPTCHA_FILESIZE")
    if dialect.max_bytes is not None and len(data) > dialect.max_bytes:
        raise Refused("ERROR_TOO_BIG_CAPTCHA_FILESIZE")


def _check_sides(data: bytes, dialect: Dialect) -> None:
    try:
        image = Image.from_bytes(data)
    except TaskError:
        raise Refused("ERROR_IMAGE_TYPE_NOT_SUPPORTED") from None
    if dialect.max_side is not None and max(image.width, image.height) > dialect.max_side:
        raise Refused("ERROR_TOO_BIG_CAPTCHA_FILESIZE")


def create_job(account: Account, picture: bytes, world: World) -> JobRecord:
    """Create and charge a job. Raises Refused if the balance is too low."""
    job = world.create_job(account, "image-to-text", picture, PRICE)
    if job is None:
        raise Refused("ERROR_ZERO_BALANCE")
    return job


def find_job(number: int, account: Account, world: World) -> JobRecord:
    """Return the job with a number. Raises Refused if this account has no such job."""
    job = world.find_job(account, number)
    if job is None:
        raise Refused("ERROR_NO_SUCH_CAPCHA_ID")
    return job


def answer_of(job: JobRecord, world: World) -> str | None:
    """Return the text of a job and count it as delivered, or None if the job is not done.

    Raises Refused if the job failed, and TypeError if its solution is not a text.
    """
    if job.state(world.now()) == "working":
        return None
    if job.solution is None:
        raise Refused("ERROR_CAPTCHA_UNSOLVABLE", UNKNOWN_PICTURE if job.is_unknown else None)
    if not isinstance(job.solution, TextSolution):
        raise TypeError(f"these services answer with text, not with a {type(job.solution).__name__}")
    job.delivered += 1
    return job.solution.text
