"""Jobs as the journal records them, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import Enum

import attrs

from captchahub.errors import ProviderError
from captchahub.frames import WHOLE, Frame
from captchahub.tasks import OptionValue, Solution

__all__ = ["Collected", "JobEntry", "JobState", "Spend"]


class JobState(Enum):
    """The state of a job in the journal."""

    INTENT = "intent"
    """The price is reserved; the create call is about to be sent, or was just sent."""
    CREATED = "created"
    """The service returned an id, so the answer can be polled."""
    SOLVED = "solved"
    """The answer was received."""
    FAILED = "failed"
    """The job ended without an answer, or with one that cannot be right."""
    EXPIRED = "expired"
    """The service no longer knows the job."""
    NOT_SENT = "not_sent"
    """The create call was certainly not sent. Nothing is charged."""
    REFUSED = "refused"
    """The service refused the job. Nothing is charged."""
    AMBIGUOUS = "ambiguous"
    """The service may have the job, but its id is unknown. ``hub.resolve()`` records what became of it."""


@attrs.frozen
class JobEntry:
    """One job of the journal, as a hub sees it.

    ``id`` is the journal's number of the job, ``job_id`` the service's id. ``submission`` is the same for all
    jobs of one solve. ``provider`` is the name of the provider in the hub that created the job. ``kind``,
    ``fingerprint`` and ``options`` are those of the task. ``price`` is what was reserved, in ``currency``;
    ``price_source`` says where it comes from: ``configuration``, ``reply`` or ``list``. Times are in seconds
    since 1970.
    """

    id: int
    submission: str
    state: JobState
    provider: str
    kind: str
    fingerprint: str
    options: Mapping[str, OptionValue]
    job_id: int | str | None
    price: Decimal | None
    price_source: str | None
    currency: str | None
    charge: Decimal
    """What the ledger counts for the job now, in ``currency``."""
    answer: Mapping[str, object] | None
    error: str | None
    owner: str | None
    """The id of the hub that works on the job or did so last, or None if the job waits for a hub."""
    is_shared: bool
    """Whether equal tasks may use the answer of this job instead of creating another."""
    is_by_hand: bool
    """Whether ``hub.resolve()`` recorded the outcome."""
    ordered_at: float
    """When the price was reserved, just before the create call."""
    updated_at: float
    """When the entry last changed."""
    frame: Frame = WHOLE
    """Where the picture that was sent lies in the picture of the task."""
    held_until: float | None = None
    """When another hub may take the job over if its owner has died; None if no hub works on it."""
    is_given: bool = True
    """False if the job is solved and no caller has received the answer yet; ``hub.resume()`` yields it."""
    account: int | None = None
    """The journal's number of the account that created the job, or None if an older version wrote it."""
    plugin: str | None = None
    """The name of the plugin of that account."""
    address: str | None = None
    """The URL of the service of that account."""
    configured_as: str | None = None
    """The name of the provider of this hub that has that account, or None if no provider has."""

    @property
    def is_of_other_account(self) -> bool:
        """Whether no provider of this hub has the account of the job, so that this hub cannot poll it."""
        return self.account is not None and self.configured_as is None


@attrs.frozen
class Spend:
    """What the jobs of one day cost at one provider, for one task kind. ``amount`` is in ``currency``."""

    day: date
    provider: str
    kind: str
    currency: str | None
    amount: Decimal
    jobs: int
    """The number of jobs that the service accepted or may have accepted."""
    account: int | None = None
    """The journal's number of the account, or None if an older version wrote the jobs."""


@attrs.frozen
class Collected:
    """What became of a job that an earlier solve left behind: its answer, or why there is none.

    ``entry`` is the job as it was found in the journal; it may already contain the answer. ``solution`` is
    not checked, because the task is not known. ``cost`` is in ``entry.currency``, or None if unknown.
    ``error`` is None if there is a solution.
    """

    entry: JobEntry
    solution: Solution | None = None
    cost: Decimal | None = None
    error: ProviderError | None = None
