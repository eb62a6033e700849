"""The accounts that a journal knows, and which jobs belong to which.

Each function runs in an open transaction.

A job belongs to the account that it was created with, whatever the provider is called. Only a job that was
written before the journal knew accounts, of account 0, is found by the provider's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import attrs

from captchahub._journal.database import Connection

if TYPE_CHECKING:
    from captchahub.jobs import JobEntry

# A statement with a list of its own length would be compiled for each length, and SQLite 3.26 can't look into
# JSON unless that was compiled in. So a list is a text with a space around each value.
OF_HUB = "(account = 0 OR instr(:accounts, ' ' || account || ' ') > 0)"
"""The SQL condition for the jobs that may belong to a hub, with the values of :attr:`OwnAccounts.hub`."""

OF_PROVIDER = """(account = 0 AND provider = :provider
    OR instr(:accounts, ' ' || account || ' ') > 0 AND instr(:other_names, ' ' || provider || ' ') = 0)"""
"""The same for the jobs of one provider, with the values of :meth:`OwnAccounts.of`."""


def _listed(values: Iterable[object]) -> str:
    return f" {' '.join(map(str, values))} "


def _values_now(own: OwnAccounts) -> Mapping[str, str]:
    return {"accounts": _listed(number for numbers in own.numbers.values() for number in numbers)}


def _values_ever(own: OwnAccounts) -> Mapping[str, str]:
    return {"accounts": _listed(own.ever)}


@attrs.frozen
class OwnAccounts:
    """The accounts of a hub, by their numbers in the journal.

    ``numbers`` are by the names of the providers. An account has several numbers if its name and its token
    became known apart from each other; the first one is that of new jobs. ``ever`` are the numbers of all
    accounts that the hub has had, also before its configuration was reloaded.
    """

    numbers: Mapping[str, tuple[int, ...]]
    ever: frozenset[int]
    # Every solve needs them, so they are made once.
    hub: Mapping[str, str] = attrs.field(init=False, default=attrs.Factory(_values_now, takes_self=True))
    """The values for :data:`OF_HUB` that mean the accounts which the hub has now."""
    hub_ever: Mapping[str, str] = attrs.field(
        init=False, default=attrs.Factory(_values_ever, takes_self=True)
    )
    """The values for :data:`OF_HUB` that mean all accounts which the hub has had."""

    def number(self, provider: str) -> int:
        """Return the number for new jobs of a provider."""
        return self.numbers.get(provider, (0,))[0]

    def of(self, provider: str) -> Mapping[str, str]:
        """Return the values for :data:`OF_PROVIDER`.

        A job of the account under a name that the hub does not have belongs to the provider as well. Under
        another name that the hub has for the same account, it belongs to that one. A provider that the hub
        does not have may be any of its accounts.
        """
        mine = self.numbers.get(provider)
        others = [
            name
            for name, theirs in self.numbers.items()
            if name != provider and (not mine or not {*mine}.isdisjoint(theirs))
        ]
        accounts = _listed(mine) if mine else self.hub["accounts"]
        return {"provider": provider, "accounts": accounts, "other_names": _listed(others)}

    def name_of(self, provider: str, account: int | None) -> str | None:
        """Return what the hub calls an account, or None if it does not have it.

        ``provider`` is what another hub calls it. It is decisive if the number of the account is unknown.
        """
        if account is None:
            return provider if provider in self.numbers else None
        if account in self.numbers.get(provider, ()):
            return provider
        return next((name for name, numbers in self.numbers.items() if account in numbers), None)

    def named(self, entry: JobEntry) -> JobEntry:
        """Return a job with that name."""
        return attrs.evolve(entry, configured_as=self.name_of(entry.provider, entry.account))


NO_ACCOUNTS = OwnAccounts({}, frozenset())
"""No account: only the jobs of account 0 match."""


def mark_key(connection: Connection) -> bytes:
    """Return the key of this journal that the marks of accounts are hashed with."""
    (key,) = connection.execute("SELECT key FROM mark_key").fetchone()
    return cast("bytes", key)


def find(connection: Connection, digests: Iterable[bytes]) -> tuple[int, ...]:
    """Return the numbers of the account with these marks, each once and in the order of the marks."""
    sql = "SELECT account FROM account_marks WHERE digest = :digest"
    rows = (connection.execute(sql, {"digest": digest}).fetchone() for digest in digests)
    return tuple(dict.fromkeys(int(row[0]) for row in rows if row is not None))


def add(connection: Connection, plugin: str, address: str, digests: Sequence[bytes]) -> tuple[int, ...]:
    """Return the numbers of the account with these marks, and write down what of it is new."""
    numbers = find(connection, digests)
    if not numbers:
        sql = "INSERT INTO accounts (plugin, address) VALUES (:plugin, :address)"
        numbers = (cast("int", connection.execute(sql, {"plugin": plugin, "address": address}).lastrowid),)
    for digest in digests:
        # A mark that is known already stays with its account.
        sql = "INSERT INTO account_marks (digest, account) VALUES (:digest, :account) ON CONFLICT DO NOTHING"
        connection.execute(sql, {"digest": digest, "account": numbers[0]})
    return numbers
