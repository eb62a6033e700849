"""The plugin's two tables, and each statement that reads or writes them.

A trigger deletes the picture in the transaction in which its job ends, so no way of ending a job leaves it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import LiteralString

import attrs
from procrastinate.exceptions import ConnectorException
from psycopg import errors
from psycopg.types.json import Jsonb

from captchahub import CaptchaHubError

__all__ = ["SCHEMA", "SchemaMissing", "Statement"]

SCHEMA: LiteralString = """
SELECT pg_advisory_xact_lock(hashtext('captchahub_procrastinate'));

CREATE TABLE IF NOT EXISTS captchahub_pictures (
    job_id bigint PRIMARY KEY REFERENCES procrastinate_jobs (id) ON DELETE CASCADE,
    picture bytea NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS captchahub_pictures_expires_at ON captchahub_pictures (expires_at);

CREATE TABLE IF NOT EXISTS captchahub_answers (
    job_id bigint PRIMARY KEY,
    outcome jsonb NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS captchahub_answers_expires_at ON captchahub_answers (expires_at);

CREATE OR REPLACE FUNCTION captchahub_delete_picture() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Not in a WHEN clause, which would prevent changes of the column in a migration of Procrastinate.
    IF NEW.status::text NOT IN ('todo', 'doing') THEN
        DELETE FROM captchahub_pictures WHERE job_id = NEW.id;
    END IF;
    RETURN NULL;
END;
$$;
DROP TRIGGER IF EXISTS captchahub_delete_picture ON procrastinate_jobs;
CREATE TRIGGER captchahub_delete_picture AFTER UPDATE ON procrastinate_jobs
    FOR EACH ROW EXECUTE FUNCTION captchahub_delete_picture();
"""
"""The SQL that makes the plugin's tables. It may be run again, and after Procrastinate's own schema."""


class SchemaMissing(CaptchaHubError):
    """The database lacks the tables of Procrastinate or of this plugin. Nothing was stored."""


_MISSING = (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedObject)


@contextmanager
def schema_checked() -> Generator[None]:
    """Raise SchemaMissing for a table or function that the database does not have."""
    try:
        yield
    except _MISSING as error:
        raise _missing() from error
    except ConnectorException as error:
        if isinstance(error.__cause__, _MISSING):
            raise _missing() from error
        raise


def _missing() -> SchemaMissing:
    return SchemaMissing(
        "the database lacks tables: run 'procrastinate schema --apply', then solver.apply_schema(); if they "
        "are in another schema of the database, add it to search_path"
    )


@attrs.frozen
class Statement:
    """A statement with its values."""

    sql: LiteralString
    values: tuple[object, ...] = ()


DELETE_EXPIRED = (
    Statement("DELETE FROM captchahub_pictures WHERE expires_at < now()"),
    Statement("DELETE FROM captchahub_answers WHERE expires_at < now()"),
)


def store_picture(job_id: int, picture: bytes, at: datetime | None, lifetime: float) -> tuple[Statement, ...]:
    """Return what stores the picture of a new job that starts at a time, by default now."""
    return (
        *DELETE_EXPIRED,
        # Of a job that had the same number before the database was made anew.
        Statement("DELETE FROM captchahub_answers WHERE job_id = %s", (job_id,)),
        Statement(
            "INSERT INTO captchahub_pictures (job_id, picture, expires_at)"
            " VALUES (%s, %s, GREATEST(now(), %s::timestamptz) + make_interval(secs => %s))",
            (job_id, picture, at, lifetime),
        ),
    )


def find_picture(job_id: int) -> Statement:
    """Return the query for one row: the picture or NULL, and the outcome of the job or NULL."""
    return Statement(
        "SELECT (SELECT picture FROM captchahub_pictures WHERE job_id = %s AND expires_at >= now()),"
        " (SELECT outcome FROM captchahub_answers WHERE job_id = %s)",
        (job_id, job_id),
    )


def store_outcome(job_id: int, outcome: dict[str, object], lifetime: float) -> Statement:
    """Return what stores the outcome of a job. It returns a row only if the job had none."""
    return Statement(
        "INSERT INTO captchahub_answers (job_id, outcome, expires_at)"
        " VALUES (%s, %s, now() + make_interval(secs => %s)) ON CONFLICT DO NOTHING RETURNING job_id",
        (job_id, Jsonb(outcome), lifetime),
    )


def find_outcome(job_id: int) -> Statement:
    """Return the query for one row: the outcome or NULL, and the status of the job or NULL."""
    return Statement(
        "SELECT (SELECT outcome FROM captchahub_answers WHERE job_id = %s AND expires_at >= now()),"
        " (SELECT status::text FROM procrastinate_jobs WHERE id = %s)",
        (job_id, job_id),
    )


def only_worker() -> Statement:
    """Return the query for one row: whether this transaction alone has the lock of the plugin."""
    return Statement("SELECT pg_try_advisory_xact_lock(hashtext('captchahub_procrastinate'))")


def delete_ended_jobs(task_name: str, before: int) -> Statement:
    """Return what deletes the earlier jobs of a task that have ended, or whose worker has."""
    return Statement(
        "DELETE FROM procrastinate_jobs WHERE task_name = %s AND id < %s AND status::text <> 'todo'"
        " AND (status::text <> 'doing' OR worker_id IS NULL)",
        (task_name, before),
    )
