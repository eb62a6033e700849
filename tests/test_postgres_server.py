"""The PostgreSQL server that tests use: see tests/postgres_server.py."""

from __future__ import annotations

from psycopg import sql

from tests.postgres_server import execute, new_schema, shared_server


def test_each_test_has_a_schema_of_its_own(postgres: str) -> None:
    execute(postgres, sql.SQL("CREATE TABLE jobs (id bigint)"))
    with new_schema() as other:
        execute(other, sql.SQL("CREATE TABLE jobs (id bigint)"))
        execute(other, sql.SQL("INSERT INTO jobs VALUES (1)"))
        assert execute(postgres, sql.SQL("SELECT id FROM jobs")) == []
        (schema,) = execute(other, sql.SQL("SELECT current_schema()"))
    found = "SELECT FROM information_schema.schemata WHERE schema_name = %s"
    assert execute(shared_server(), sql.SQL(found), *schema) == []
