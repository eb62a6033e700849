"""The accounts that a journal knows, and whose a job is: each a function of an open transaction.

A job is of the account that it was ordered with, whatever the provider is called. Only a job that was written
before accounts were, of account 0, goes by that name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import cast

import attrs

from captchahub._policy.account_identity import AccountIdentity
from captchahub.jobs import JobEntry

__all__ = ["NOBODYS", "OF_HUB", "OF_PROVIDER", "OwnAccounts", "own_accounts"]

OF_HUB = "(account = 0 OR instr(:accounts, ' ' || account || ' '))"
"""The condition of SQL for what may be a hub's, with the values of :meth:`Own.of_hub`."""

OF_PROVIDER = """(account = 0 AND provider = :provider
    OR instr(:accounts, ' ' || account || ' ') AND NOT instr(:aside, ' ' || provider || ' '))"""
"""The same for what may be that of one provider, with the values of :meth:`Own.of`."""


@attrs.frozen
class OwnAccounts:
    """The accounts that a hub has.

    ``identities`` and ``numbers`` are by the names of its providers: an account has several numbers where its
    name and its token became known apart from each other, and the first is that of new jobs. ``had`` are the
    numbers of all accounts that the hub has or had before it read its configuration anew.
    """

    identities: Mapping[str, AccountIdentity]
    numbers: Mapping[str, tuple[int, ...]]
    had: frozenset[int]

    def number(self, provider: str) -> int:
        """That of new jobs of a provider."""
        return self.numbers.get(provider, (0,))[0]

    def of(self, provider: str) -> Mapping[str, str]:
        """What :data:`OF_PROVIDER` is given.

        What was ordered with the account under a name that the hub has not got is the provider's as well;
        what was ordered under another name that the hub has for the same account is that one's. A provider
        that the hub has not got may be any of its accounts.
        """
        mine = self.numbers.get(provider) or self._now
        aside = [name for name, theirs in self.numbers.items() if name != provider and {*mine} & {*theirs}]
        return {"provider": provider, "accounts": _listed(mine), "aside": _listed(aside)}

    @property
    def of_hub(self) -> Mapping[str, str]:
        """What :data:`OF_HUB` is given for the accounts that the hub has now."""
        return {"accounts": _listed(self._now)}

    @property
    def _now(self) -> tuple[int, ...]:
        return tuple(number for numbers in self.numbers.values() for number in numbers)

    @property
    def of_hub_so_far(self) -> Mapping[str, str]:
        """The same for those as well that it had."""
        return {"accounts": _listed(self.had)}

    def name_of(self, entry: JobEntry) -> str | None:
        """What the hub calls the account of a job, None where it has not got it."""
        if entry.account is None:
            return entry.provider if entry.provider in self.numbers else None
        if entry.account in self.numbers.get(entry.provider, ()):
            return entry.provider
        return next((name for name, numbers in self.numbers.items() if entry.account in numbers), None)

    def identity_of(self, entry: JobEntry) -> AccountIdentity | None:
        """The account of a job, None where nobody knows it or the hub has not got it."""
        name = None if entry.account is None else self.name_of(entry)
        return None if name is None else self.identities[name]

    def named(self, entry: JobEntry) -> JobEntry:
        """A job with that name."""
        return attrs.evolve(entry, configured_as=self.name_of(entry))


NOBODYS = OwnAccounts({}, {}, frozenset())
"""No account at all."""


def own_accounts(
    connection: sqlite3.Connection,
    identities: Mapping[str, AccountIdentity],
    had: Iterable[AccountIdentity] = (),
) -> OwnAccounts:
    """The accounts of a hub, by the names of its providers. New ones are written down."""
    (key,) = connection.execute("SELECT key FROM mark_key").fetchone()
    every = dict.fromkeys((*identities.values(), *had))
    numbers = {identity: _numbers(connection, identity, key) for identity in every}
    return OwnAccounts(
        identities,
        {name: numbers[identity] for name, identity in identities.items()},
        frozenset(number for each in numbers.values() for number in each),
    )


def _numbers(connection: sqlite3.Connection, identity: AccountIdentity, key: bytes) -> tuple[int, ...]:
    digests = identity.digests(key)
    found = [_number(connection, digest) for digest in digests]
    known = [number for number in found if number is not None]
    if not known:
        added = connection.execute(
            "INSERT INTO accounts (plugin, address) VALUES (?, ?)", (identity.plugin, identity.address)
        )
        known = [cast("int", added.lastrowid)]
    connection.executemany(
        "INSERT INTO account_marks VALUES (?, ?)",
        [(digest, known[0]) for digest, number in zip(digests, found, strict=True) if number is None],
    )
    # Each once, in their order.
    return tuple(dict.fromkeys(known))


def _number(connection: sqlite3.Connection, digest: bytes) -> int | None:
    row = connection.execute("SELECT account FROM account_marks WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else int(row[0])


def _listed(values: Iterable[object]) -> str:
    # A list that the oldest SQLite can look into as well.
    return f" {' '.join(map(str, values))} "
