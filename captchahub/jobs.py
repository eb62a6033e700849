"""Jobs as the journal records them, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum

import attrs

from captchahub.errors import ProviderError
from captchahub.frames import WHOLE, Frame
from captchahub.tasks import OptionValue, Solution

__all__ = ["BudgetStatus", "Collected", "JobEntry", "JobState", "Period", "Spend"]


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


_FREE = {JobState.NOT_SENT, JobState.REFUSED}


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
    """What the ledger counts for the job now, in ``currency``; see also :attr:`cost`."""
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
    label: str | None = None
    """The caller's own name of the task, such as the name of its file; None if it was given none."""
    configured_as: str | None = None
    """The name of the provider of this hub that has that account, or None if no provider has."""

    @property
    def cost(self) -> Decimal | None:
        """What the job cost or may have cost, in ``currency``, or None if its price is unknown."""
        is_known = self.price is not None or self.charge or self.state in _FREE
        return self.charge if is_known else None

    @property
    def is_of_other_account(self) -> bool:
        """Whether no provider of this hub has the account of the job, so that this hub cannot poll it."""
        return self.account is not None and self.configured_as is None


@attrs.frozen
class Spend:
    """What the jobs of one day cost at one provider, for one task kind.

    ``amount`` is in ``currency``. It does not contain the jobs that are counted in ``unpriced``.
    """

    day: date
    provider: str
    kind: str
    currency: str | None
    amount: Decimal
    jobs: int
    """The number of jobs that the service accepted or may have accepted."""
    account: int | None = None
    """The journal's number of the account, or None if an older version wrote the jobs."""
    unpriced: int = 0
    """How many of these jobs have no known price, as far as the journal still keeps them."""


class Period(Enum):
    """The period that a budget is for."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


@attrs.frozen
class BudgetStatus:
    """What is spent of a budget in its present period.

    ``provider`` is the provider that it limits, or None for all providers together. ``until`` is when the
    next period begins, or None if the budget has no period. Amounts are in the currency of the accounts.
    """

    provider: str | None
    limit: Decimal
    per: Period
    spent: Decimal
    until: datetime | None = None

    @property
    def left(self) -> Decimal:
        """What can still be spent; 0 if more than the limit is spent."""
        return max(self.limit - self.spent, Decimal(0))


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
