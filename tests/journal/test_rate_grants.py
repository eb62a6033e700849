"""The rows that a hub leaves which is busy for long."""

from __future__ import annotations

from contextlib import closing
from functools import partial

import pytest

from captchahub._journal import rate_grants_table
from captchahub._journal.accounts_table import OwnAccounts
from captchahub._journal.database import Connection
from captchahub._policy.shared_rate import RateRequest, SpentGrant
from captchahub.settings import Rate
from tests.journal.stores import new_store

OWN = OwnAccounts({"omo": (7,), "backup": (8,)}, frozenset({7, 8}))
DAY = Rate(100_000, 86_400.0)


def created(connection: Connection, number: int, *, provider: str, owner: str) -> int:
    """Return how many jobs are granted every ten seconds. Three of them were created before."""
    spent = [SpentGrant(number - 1, 3, 10.0 * number - 9.5)] if number > 1 else []
    request = RateRequest(DAY, 4, validity=1.0, has_waited=True, spent=spent)
    grant = partial(rate_grants_table.grant, owner=owner, number=number, now=10.0 * number)
    return grant(connection, OWN, provider, request).jobs


@pytest.mark.usefixtures("each_store")
def test_the_grants_of_a_busy_hub_stay_few_and_count_as_before() -> None:
    with closing(new_store()) as store:
        for owner, provider, grants in (("me", "omo", 120), ("another", "omo", 20), ("me", "backup", 20)):
            first = 1 if provider == "omo" else 1001
            works = [
                partial(created, number=number, provider=provider, owner=owner)
                for number in range(first, first + grants)
            ]
            assert store.transact(works) == [4] * grants
        (rows,) = store.transact(
            [
                lambda connection: list(
                    connection.execute(
                        """
                        SELECT owner, account, count(*), sum(jobs) FROM rate_grants
                        GROUP BY owner, account ORDER BY owner, account
                        """
                    )
                )
            ]
        )
        assert isinstance(rows, list)
        found = {(owner, account): (int(count), int(jobs)) for owner, account, count, jobs in rows}
        # The last one of each has not been corrected yet.
        assert found["another", 7] == (20, 19 * 3 + 4)
        assert found["me", 8] == (20, 19 * 3 + 4)
        count, jobs = found["me", 7]
        assert jobs == 119 * 3 + 4
        assert count <= 102
