"""How a hub gets and gives back the slots of an account. Runs in an open transaction."""

from __future__ import annotations

from collections.abc import Callable

from captchahub._journal import slots_table
from captchahub._journal.accounts_table import OwnAccounts
from captchahub._journal.database import Connection
from captchahub._policy.shared_slots import SlotClaim, SlotRequest, slots_for


class SlotLeases:
    """The leases of one hub on slots, each with a number of its own.

    ``expire`` removes the leases of hubs that are dead at a time.
    """

    def __init__(self, owner: str, expire: Callable[[Connection, float], None]) -> None:
        self._owner = owner
        self._expire = expire

    def renew(
        self,
        connection: Connection,
        own: OwnAccounts,
        provider: str,
        request: SlotRequest,
        *,
        lease: int,
        now: float,
    ) -> tuple[int, bool]:
        """Return how many slots the hub may use from now on, and whether something was written.

        The slots that it holds until then are not free for others until its next request.
        """
        before = slots_table.find(connection, owner=self._owner, lease=lease)
        since = None if before is None else before.waiting_since

        def allowed() -> int:
            others = slots_table.others(connection, own, provider, owner=self._owner, lease=lease, now=now)
            return slots_for(request, others, now, since)

        slots = allowed()
        if slots < request.needed:
            self._expire(connection, now)
            slots = allowed()
        held = max(slots, request.held)
        if slots >= request.needed:
            since = None
        elif since is None or before is None or held > before.held:
            # Who got one waits for the next one behind the others.
            since = now
        if held == 0 and since is None:
            if before is not None:
                slots_table.remove(connection, owner=self._owner, lease=lease)
            return slots, before is not None
        is_same = before is not None and (before.held, before.waiting_since) == (held, None)
        if is_same and since is None:
            return slots, False
        claim = SlotClaim(held, request.needed, since, asked_at=now)
        slots_table.replace(connection, own.number(provider), claim, owner=self._owner, lease=lease)
        return slots, True
