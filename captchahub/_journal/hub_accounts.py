"""Which of the journal's accounts one hub has, and has had."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from captchahub._journal.accounts_table import OwnAccounts, add, find, mark_key
from captchahub._journal.database import Connection
from captchahub._journal.writer import Writer

if TYPE_CHECKING:
    from captchahub._policy.account_identity import AccountIdentity

__all__ = ["HubAccounts"]

T = TypeVar("T")


class HubAccounts:
    """The accounts of a hub by the names of its providers, and their numbers once the journal knows them.

    Its mappings are replaced and never changed, because works read them in the writer's thread.
    """

    def __init__(self, writer: Writer) -> None:
        self.identities: Mapping[str, AccountIdentity] = {}
        self._writer = writer
        self._ever: Mapping[AccountIdentity, None] = {}
        self._numbers: Mapping[AccountIdentity, tuple[int, ...]] = {}
        self._own: tuple[Mapping[str, AccountIdentity], OwnAccounts] | None = None

    def replace(self, identities: Mapping[str, AccountIdentity]) -> None:
        """Have these accounts from now on."""
        self.identities = identities
        # What was spent at an account while the hub had it still counts for the hub's budget.
        self._ever = {**self._ever, **dict.fromkeys(identities.values())}
        self._own = None

    def including(self, provider: str, identity: AccountIdentity | None) -> Mapping[str, AccountIdentity]:
        """Return the accounts with that of a solve, which a reload may have replaced since it began."""
        if identity is None or self.identities.get(provider) == identity:
            return self.identities
        return {**self.identities, provider: identity}

    async def write(
        self, work: Callable[[Connection, OwnAccounts], T], identities: Mapping[str, AccountIdentity]
    ) -> T:
        """Write a work that gets these accounts by their numbers. A new account is given a number."""
        if self._own is not None and self._own[0] is identities:
            own = self._own[1]
            return await self._writer.write(lambda connection: work(connection, own))
        ever, numbers = self._ever, dict(self._numbers)
        unknown = [one for one in (*identities.values(), *ever) if one not in numbers]

        def numbered() -> OwnAccounts:
            had = frozenset(number for one in ever for number in numbers[one])
            return OwnAccounts({name: numbers[one] for name, one in identities.items()}, had)

        def whole(connection: Connection) -> T:
            key = mark_key(connection)
            for one in unknown:
                numbers[one] = add(connection, one.plugin, one.address, one.digests(key))
            return work(connection, numbered())

        done = await self._writer.write(whole)
        # Not before the commit: a number that was given in a transaction which fails is given again, to
        # another account.
        self._numbers = {**self._numbers, **numbers}
        if identities is self.identities and ever is self._ever:
            self._own = identities, numbered()
        return done

    def look_up(self, connection: Connection) -> OwnAccounts:
        """Return the accounts as far as the journal knows them, and write nothing."""
        key = mark_key(connection)
        found = {name: find(connection, one.digests(key)) for name, one in self.identities.items()}
        return OwnAccounts(found, frozenset())
