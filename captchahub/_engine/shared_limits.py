"""Keeps the limits of accounts together with the other processes that share the journal."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import Context

from captchahub._engine.leased_turns import LeasedTurns
from captchahub._journal.journal import Journal
from captchahub._policy.refusals import Refusals
from captchahub._policy.shared_slots import SlotRequest, pause_for, wanted, wanted_later
from captchahub._providers.account import Account, RemoteAccount
from captchahub._providers.admission import Admission
from captchahub._providers.registry import ProviderRegistry
from captchahub._support.background import BackgroundTasks
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub.errors import CaptchaHubError
from captchahub.results import ProviderState
from captchahub.settings import HubSettings

# How long slots stay with a hub that does not use them, and how often it looks whether others wait for some,
# in seconds. A look writes nothing unless something has changed.
_LOOK_INTERVAL = 1.0

# The same if it has no slot, because the service refuses the account.
_LOOK_INTERVAL_WHILE_OUT = 5.0


class SharedLimits:
    """Shares the slots and refusals of the hub's accounts at services, as far as its settings want that."""

    def __init__(
        self,
        accounts: ProviderRegistry,
        journal: Journal,
        chance: Callable[[], float],
    ) -> None:
        self._accounts = accounts
        self._journal = journal
        self._background = BackgroundTasks()
        self._chance = chance
        self._numbers = itertools.count(1)
        # By their admissions, which live on when an account is built again with other limits.
        self._shared: dict[Admission, SharedAccount] = {}

    def follow(self, settings: HubSettings) -> None:
        """Share the limits of the accounts of now from now on, or no limits."""
        before, self._shared = self._shared, {}
        for account in self._accounts.values():
            if not isinstance(account, RemoteAccount) or not settings.shared_limits:
                continue
            shared = before.pop(account.admission, None)
            if shared is None:
                shared = SharedAccount(self._numbers, account, self._journal, self._background, self._chance)
            shared.follow(account)
            self._shared[account.admission] = shared
        for shared in before.values():
            shared.end(is_gone=settings.shared_limits)

    async def record_revival(self, account: Account) -> None:
        """Let other processes use an account again that a person or its balance says is well."""
        if account.admission in self._shared:
            await self._journal.record_revival(account.name, account.remote().identity)

    async def aclose(self) -> None:
        """Stop asking the journal. What is leased ends with the hub."""
        await self._background.aclose(0.0)


class SharedAccount:
    """The slots of one account that this hub has leased, and what other processes know of the account.

    It asks the journal when more slots are needed, and looks at intervals as long as it has some, or the
    account is out. ``numbers`` has those of its leases and grants in the journal.
    """

    def __init__(
        self,
        numbers: Iterator[int],
        account: RemoteAccount,
        journal: Journal,
        background: BackgroundTasks,
        chance: Callable[[], float],
    ) -> None:
        self._lease = next(numbers)
        self._account = account
        self._slots = account.admission.slots
        self._journal = journal
        self._background = background
        self._chance = chance
        self._refusals = 0
        self._wake = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._recorded = 0
        """The most slots that the journal may say are held here."""
        self._has_failed = False
        self._is_over = False
        self._is_gone = False
        self._looked = -math.inf
        self._slots.share(self._change_lease)
        account.admission.on_use_while_out = self._look_soon
        self._turns = LeasedTurns(account, journal, background, chance, numbers)
        account.admission.shared_turns = self._turns

    def follow(self, account: RemoteAccount) -> None:
        """Keep to the settings of an account that is built again."""
        self._account = self._turns.account = account

    def end(self, *, is_gone: bool) -> None:
        """Share no more, and give back what is leased.

        If the account is gone, its last attempts still count.
        """
        admission = self._account.admission
        admission.on_use_while_out = None
        if is_gone:
            self._is_gone = True
        else:
            self._is_over = True
            self._slots.share(None)
            admission.shared_turns = None
            # What others have found does not count any more.
            admission.take_refusals(Refusals(None, None), self._journal.now)
        self._change_lease(needs_more=False)

    def _change_lease(self, needs_more: bool) -> None:  # noqa: FBT001 - as Slots calls it
        if self._keeping is None or self._keeping.done():
            # In a context of its own, because it outlives the attempt that begins it.
            self._keeping = asyncio.get_running_loop().create_task(self._keep(), context=Context())
            self._background.track(self._keeping)
        elif not needs_more or not self._refusals:
            # A hub that was refused asks again after its pause, however many attempts wait.
            self._wake.set()

    def _look_soon(self) -> None:
        """Look whether the account can be used again, but not for each solve that wants it."""
        if now() >= self._looked + _LOOK_INTERVAL:
            self._looked = now()
            self._change_lease(needs_more=False)

    async def _keep(self) -> None:
        """Renew the lease as long as there is one, an attempt waits for a slot, or the account is out."""
        self._refusals = 0
        while True:
            self._wake.clear()
            was_over = self._is_over
            await self._renew()
            slots = self._slots
            is_idle = not (slots.leased or slots.taken or slots.is_waited_for)
            has_lease = self._recorded > 0
            is_out = self._account.admission.health.state is ProviderState.OUT and not self._is_gone
            if (was_over or (is_idle and not is_out)) and not has_lease:
                return
            self._refusals = self._refusals + 1 if slots.needed > slots.leased else 0
            pause = _LOOK_INTERVAL_WHILE_OUT if is_idle else _LOOK_INTERVAL
            if self._refusals:
                pause = pause_for(self._refusals, self._chance())
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    @property
    def _held(self) -> int:
        """How many slots are not free for others: those that this hub may use, and those that it does use."""
        return max(self._slots.leased, self._slots.taken)

    async def _renew(self) -> None:
        """Lease as many slots as are needed now."""
        request = self._request()
        # A commit may succeed and yet report a failure.
        self._recorded = max(self._recorded, request.wanted)
        self._slots.is_asking = True
        try:
            granted, refusals = await self._journal.lease_slots(
                self._lease, self._account.name, self._account.identity, request
            )
        except CaptchaHubError as error:
            if not self._has_failed:
                name = self._account.name
                log.warning("%s: the journal does not say how many slots are free: %s", name, error)
            self._has_failed = True
            if self._slots.taken == 0:
                # Otherwise an attempt that ends leaves its slot to one that waits.
                self._slots.refuse(str(error))
            return
        finally:
            self._slots.is_asking = False
        self._has_failed = False
        self._recorded = max(granted, request.held)
        if self._is_over:
            return
        self._account.admission.take_refusals(refusals, self._journal.now)
        self._slots.lease(granted)
        if self._held < request.held:
            # Until now they could be used here. So it is only the next request that leaves them to others.
            self._wake.set()

    def _request(self) -> SlotRequest:
        """Return what is needed now. Slots are kept that were needed since the last look."""
        slots = self._slots
        if self._is_over:
            return SlotRequest(limit=0, held=0, needed=0, wanted=0)
        needed, peak = slots.needed, slots.peak
        slots.peak = needed
        if needed > slots.leased:
            want = wanted(peak, slots.limit)
        else:
            want = wanted_later(slots.leased, peak, slots.limit)
            if want < slots.leased:
                # Before it is written: others may use them from then on.
                slots.lease(want)
        return SlotRequest(slots.limit, self._held, needed, max(want, needed))
