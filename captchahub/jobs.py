"""Jobs as the journal tells them, and what they cost."""

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
    """How far a job has come."""

    INTENT = "intent"
    """It may be sent from now on."""
    CREATED = "created"
    """The service gave it an id; its answer can be collected."""
    SOLVED = "solved"
    """The answer is there."""
    FAILED = "failed"
    """It ended without an answer, or with one that can't be right."""
    EXPIRED = "expired"
    """The service does not know it any more."""
    NOT_SENT = "not_sent"
    """The service never had it."""
    REFUSED = "refused"
    """The service did not take it, and charges nothing."""
    AMBIGUOUS = "ambiguous"
    """The service may have it, and nobody knows its id: ``hub.resolve()`` is for what a person finds out."""


@attrs.frozen
class JobEntry:
    """One job of the journal, as a hub sees it.

    ``provider`` is what the hub that ordered it called its account. ``id`` is the journal's own number of it,
    ``job_id`` the service's. ``submission`` is the same for the jobs of one solve. ``fingerprint`` is that of
    the task. ``price`` is what was reserved, in ``currency``, and ``price_source`` who said so:
    ``configuration``, ``reply`` or ``list``. Times are seconds since 1970.
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
    """What the ledger counts for it now."""
    answer: Mapping[str, object] | None
    error: str | None
    owner: str | None
    """Who works on it, or did so last; None where it waits for somebody."""
    is_shared: bool
    is_by_hand: bool
    """Whether a person, and not the library, said what became of it."""
    ordered_at: float
    updated_at: float
    frame: Frame = WHOLE
    """Where the picture that was sent lies in the task's own."""
    held_until: float | None = None
    """Until when it is its owner's at the latest, should that be dead; None where it is nobody's."""
    is_given: bool = True
    """False where it is solved and nobody has got the answer yet: ``hub.resume()`` gives it."""
    account: int | None = None
    """The journal's number of the account it was ordered with; None where an older version wrote it."""
    plugin: str | None = None
    """The plugin of that account."""
    address: str | None = None
    """Where that account is."""
    configured_as: str | None = None
    """The provider of this hub that is that account; None where it has none."""

    @property
    def is_of_other_account(self) -> bool:
        """Whether it is of an account that this hub has not got, so that nothing here asks for it."""
        return self.account is not None and self.configured_as is None


@attrs.frozen
class Spend:
    """What the orders of one day cost: at a provider, for a task kind."""

    day: date
    provider: str
    kind: str
    currency: str | None
    amount: Decimal
    jobs: int
    """The orders that the service has taken, or may have."""
    account: int | None = None
    """The journal's number of the account; None where an older version wrote it."""


@attrs.frozen
class Collected:
    """What came of a job that was left behind: its answer, or why there is none.

    ``entry`` is the job as it was found in the journal, which may have the answer already. The answer is not
    checked, for the task is not there.
    """

    entry: JobEntry
    solution: Solution | None = None
    cost: Decimal | None = None
    error: ProviderError | None = None
