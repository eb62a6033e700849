"""A job as a short text, which another process or machine turns back into a ticket.

It contains no secret.
"""

from __future__ import annotations

import json

import attrs

from captchahub.frames import WHOLE, Frame, frame_of
from captchahub.provider import JobId
from captchahub.words import fields_of, job_id_of

_VERSION = 1


@attrs.frozen
class Token:
    """A job at a provider. ``str(token)`` is JSON.

    ``fingerprint`` is that of the task. ``frame`` is where the picture that was sent lies in the picture of
    the task.
    """

    provider: str
    kind: str
    job_id: JobId
    fingerprint: str
    frame: Frame = WHOLE
    account: tuple[str, ...] = ()
    """The short digests of its account (see ``AccountIdentity``); none in a token of an older captchahub."""

    def __str__(self) -> str:
        # Defaults are left out, so that a token stays short.
        fields = attrs.asdict(self)
        if self.frame == WHOLE:
            del fields["frame"]
        if not self.account:
            del fields["account"]
        return json.dumps({"captchahub": _VERSION, **fields}, separators=(",", ":"))


def read_token(text: str) -> Token:
    """Return the job of a token. Raises ValueError for any other text, or for a token of a newer version."""
    try:
        fields = fields_of(json.loads(text))
    except (TypeError, ValueError, RecursionError):
        fields = {}
    version = fields.get("captchahub")
    if isinstance(version, int) and version > _VERSION:
        raise ValueError(f"this token is of version {version}, newer than this captchahub: update captchahub")
    provider, kind, fingerprint = (fields.get(name) for name in ("provider", "kind", "fingerprint"))
    job_id = job_id_of(fields.get("job_id"))
    if (
        version != _VERSION
        or job_id is None
        or not isinstance(provider, str)
        or not isinstance(kind, str)
        or not isinstance(fingerprint, str)
    ):
        raise ValueError("this is not the token of a job: pass the text of ticket.token, unchanged")
    # The rest is optional, so a token with an odd value there is as good as one without.
    frame = frame_of(fields_of(fields.get("frame")))
    return Token(provider, kind, job_id, fingerprint, frame, _texts(fields.get("account")))


def _texts(value: object) -> tuple[str, ...]:
    """Return the texts of a list, or none if the value is no list."""
    texts: list[object] = [*value] if isinstance(value, list) else []  # pyright: ignore[reportUnknownArgumentType]  # of anything
    return tuple(text for text in texts if isinstance(text, str))
