"""A database with the queue and a journal, the sandbox, and the configuration of a hub for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import yaml
from captchahub_procrastinate import Solver
from procrastinate import App, SyncPsycopgConnector

from captchahub.testing import Sandbox, load_emulation
from tests.journal.stores import Place, empty_tables, place_of
from tests.postgres_server import new_schema


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a schema with the tables, which all tests of this process use."""
    with new_schema() as address:
        app = App(connector=SyncPsycopgConnector(conninfo=address))
        solver = Solver("none.yaml")
        solver.register(app)
        with app.open():
            app.schema_manager.apply_schema()
            solver.apply_schema()
            solver.apply_schema()
        yield address


@pytest.fixture
def database(server: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection to that schema, whose tables are empty."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("TRUNCATE procrastinate_jobs, captchahub_answers, procrastinate_workers CASCADE")
        yield connection


@pytest.fixture(scope="session")
def journal_tables() -> Iterator[Place]:
    """The place of a journal in the same database, which all tests of this process use."""
    with place_of("postgres", None) as place:
        yield place


@pytest.fixture
def journal(journal_tables: Place) -> Place:
    """The place of a journal, which is empty."""
    with closing(journal_tables.opened()) as store:
        assert store.transact([empty_tables]) == [None]
    return journal_tables


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(load_emulation("omocaptcha")) as running:
        yield running


@pytest.fixture
def configure(tmp_path: Path, sandbox: Sandbox, journal: Place) -> Callable[..., Path]:
    """A function that writes the YAML file of a hub for the sandbox, with more keys of the provider."""

    def write(**more: object) -> Path:
        path = tmp_path / "captchahub.yaml"
        omo = {"plugin": "omocaptcha", **sandbox.settings(), **more}
        path.write_text(yaml.safe_dump({"providers": {"omo": omo}, "journal": journal.configured}))
        return path

    return write
