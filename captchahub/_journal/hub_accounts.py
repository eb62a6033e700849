"""Which of the journal's accounts one hub has, and has had."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from captchahub._journal.accounts_table import OwnAccounts, add, find, mark_key
from captchahub._journal.database import Connection, OutcomeUnknown, T
from captchahub._journal.grouped_work import GroupedWork, Item
from captchahub._journal.writer import Writer

if TYPE_CHECKING:
    from captchahub._policy.account_identity import AccountIdentity


class HubAccounts:
    """The accounts of a hub by the names of its providers, and their numbers once the journal knows them.

    Its mappings are replaced and never changed, because works read them in the writer's thread.
    """

    def __init__(self, writer: Writer) -> None:
        self.identities: Mapping[str, AccountIdentity] = {}
        self._writer = writer
        self._ever: Mapping[AccountIdentity, None] = {}
        self._own: tuple[Mapping[str, AccountIdentity], OwnAccounts] | None = None

    def replace(self, identities: Mapping[str, AccountIdentity]) -> None:
        """Use these accounts from now on."""
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
        ever = self._ever

        def numbered(connection: Connection) -> tuple[OwnAccounts, T]:
            key = mark_key(connection)
            numbers = {
                one: add(connection, one.plugin, one.address, one.digests(key))
                for one in dict.fromkeys((*identities.values(), *ever))
            }
            had = frozenset(chain.from_iterable(numbers[one] for one in ever))
            own = OwnAccounts({name: numbers[one] for name, one in identities.items()}, had)
            return own, work(connection, own)

        try:
            own, done = await self._writer.write(numbered)
        except OutcomeUnknown as error:
            _, done = error.done
            raise OutcomeUnknown(str(error), done) from error
        # Not before the commit: a number that was given in a transaction which fails is given again, to
        # another account.
        if identities is self.identities and ever is self._ever:
            self._own = identities, own
        return done

    async def write_grouped(
        self,
        together: Callable[[Connection, Sequence[tuple[OwnAccounts, Item]]], Sequence[T | Exception]],
        item: Item,
        identities: Mapping[str, AccountIdentity],
    ) -> T:
        """Write the work of an item, which gets these accounts by their numbers, together with others."""
        if self._own is not None and self._own[0] is identities:
            return await self._writer.write(GroupedWork(together, (self._own[1], item)))
        return await self.write(
            lambda connection, own: GroupedWork(together, (own, item))(connection), identities
        )

    def look_up(self, connection: Connection) -> OwnAccounts:
        """Return the accounts as far as the journal knows them, and write nothing."""
        key = mark_key(connection)
        found = {name: find(connection, one.digests(key)) for name, one in self.identities.items()}
        had = chain.from_iterable(find(connection, one.digests(key)) for one in self._ever)
        return OwnAccounts(found, frozenset(had))
