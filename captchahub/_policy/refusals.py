"""What processes know from each other about an account that its service refuses. Pure."""

from __future__ import annotations

import attrs


@attrs.frozen
class Refusals:
    """What the processes of a journal have found out about an account."""

    found: str | None
    """The class of the error with which the service refuses it to another process, or None."""
    revived_at: float | None
    """When a process last learned that it is well again, in seconds since 1970, or None."""
