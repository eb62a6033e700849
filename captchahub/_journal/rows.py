"""Rows of the journal as entries, and what a new job is written with."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import attrs

from captchahub._journal.accounts_table import OwnAccounts
from captchahub._policy.budgets import from_units
from captchahub._policy.job_token import Token
from captchahub.errors import JournalError
from captchahub.frames import WHOLE, Frame, frame_of
from captchahub.jobs import JobEntry as Entry
from captchahub.jobs import JobState
from captchahub.tasks import OptionValue

__all__ = ["NewJob", "by_id", "get", "read_entries", "token_params"]


def token_params(job: Token, provider: str, own: OwnAccounts) -> Mapping[str, str]:
    """What a statement is given that looks for the job of a token at a provider."""
    whole = {"kind": job.kind, "job_id": json.dumps(job.job_id), "fingerprint": job.fingerprint}
    return {**whole, **own.of(provider)}


def get(connection: sqlite3.Connection, entry_id: int) -> Entry | None:
    """One job, None where the journal does not have it (any more)."""
    return next(iter(read_entries(connection.execute("SELECT * FROM jobs WHERE id = ?", (entry_id,)))), None)


def by_id(connection: sqlite3.Connection, ids: Iterable[int]) -> list[Entry]:
    """Those of some jobs that the journal has."""
    found = (get(connection, entry_id) for entry_id in ids)
    return [entry for entry in found if entry is not None]


@attrs.frozen
class NewJob:
    """What is about to be sent to a provider. ``price`` is None where nobody knows it."""

    submission: str
    provider: str
    kind: str
    fingerprint: str
    options: Mapping[str, OptionValue]
    price: Decimal | None
    price_source: str | None
    currency: str | None
    is_shared: bool
    frame: Frame = WHOLE


_PLAIN = (
    "id",
    "submission",
    "provider",
    "kind",
    "fingerprint",
    "price_source",
    "currency",
    "error",
    "owner",
    "ordered_at",
    "updated_at",
)

# What a query may find beside the job's own row.
_BESIDE = ("held_until", "plugin", "address")


def read_entries(found: sqlite3.Cursor) -> list[Entry]:
    """The rows of ``jobs`` that a query found."""
    found.row_factory = sqlite3.Row
    return [_entry(row) for row in found]


def _entry(row: sqlite3.Row) -> Entry:
    try:
        return Entry(
            **{name: row[name] for name in _PLAIN},
            state=JobState(row["state"]),
            options=json.loads(row["options"]),
            job_id=_decoded(row["job_id"]),
            price=None if row["price"] is None else from_units(row["price"]),
            charge=from_units(row["charge"]),
            answer=_decoded(row["answer"]),
            frame=WHOLE if row["frame"] is None else frame_of(json.loads(row["frame"])),
            is_shared=bool(row["is_shared"]),
            is_by_hand=bool(row["is_by_hand"]),
            is_given=bool(row["is_given"]),
            account=row["account"] or None,
            **{name: row[name] for name in _BESIDE if name in row.keys()},  # noqa: SIM118 - a Row
        )
    except (LookupError, TypeError, ValueError) as error:
        raise JournalError(f"job {row[0]} of the journal is damaged: {error}") from error


def _decoded(text: str | None) -> Any:  # as it was written
    return None if text is None else json.loads(text)
