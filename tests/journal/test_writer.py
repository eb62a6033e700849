"""The writer's thread: few commits for many works, in their order, and what is left of them at the end."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from captchahub._journal.database import Connection
from captchahub._journal.sqlite import SqliteDatabase
from captchahub._journal.writer import DatabaseWriter
from captchahub.errors import HubClosed
from tests.virtual_services import T


class Counting(SqliteDatabase):
    """Counts the works of each commit, the first of which waits until it may go on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.sizes: list[int] = []
        self.may_go_on = threading.Event()

    def transact(self, works: Sequence[Callable[[sqlite3.Connection], T]]) -> list[T | Exception]:
        """See :meth:`SqliteDatabase.transact`."""
        assert self.may_go_on.wait(30)
        self.sizes.append(len(works))
        return super().transact(works)


@pytest.fixture
def database(tmp_path: Path) -> Counting:
    return Counting(tmp_path / "jobs.db")


def sign_on(connection: Connection) -> int:
    return connection.execute("INSERT INTO owners VALUES (hex(randomblob(8)), 0)").rowcount


def signed_on(connection: Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM owners").fetchone()[0])


def failing(connection: Connection) -> int:
    sign_on(connection)
    raise LookupError("there is no such thing")


def test_what_waits_during_a_commit_goes_into_the_next_one(database: Counting) -> None:
    async def main() -> None:
        writer = DatabaseWriter(database, thread=True)
        writing = [asyncio.ensure_future(writer.write(sign_on)) for _ in range(50)]
        await asyncio.sleep(0)
        database.may_go_on.set()
        assert await asyncio.gather(*writing) == [1] * 50
        await writer.aclose()

    asyncio.run(main())
    assert sum(database.sizes) == 50
    assert len(database.sizes) <= 2


@pytest.mark.parametrize("thread", [True, False])
def test_a_read_finds_what_was_written_before_it(database: Counting, thread: bool) -> None:
    async def main() -> None:
        writer = DatabaseWriter(database, thread=thread)
        database.may_go_on.set()
        _, found = await asyncio.gather(writer.write(sign_on), writer.read(signed_on))
        assert found == 1
        assert await writer.read(signed_on) == 1
        await writer.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("thread", [True, False])
def test_a_work_that_raises_raises_at_its_caller(database: Counting, thread: bool) -> None:
    async def main() -> None:
        writer = DatabaseWriter(database, thread=thread)
        database.may_go_on.set()
        for method in (writer.write, writer.read):
            with pytest.raises(LookupError, match="no such thing"):
                await method(failing)
        assert await writer.read(signed_on) == 0
        await writer.aclose()

    asyncio.run(main())


def test_what_was_begun_is_committed_though_its_caller_is_cancelled(database: Counting) -> None:
    async def main() -> None:
        writer = DatabaseWriter(database, thread=True)
        writing = asyncio.ensure_future(writer.write(sign_on))
        await asyncio.sleep(0)
        writing.cancel()
        database.may_go_on.set()
        assert await writer.read(signed_on) == 1
        assert writing.cancelled()
        await writer.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("thread", [True, False])
def test_a_closed_one_takes_nothing(database: Counting, thread: bool) -> None:
    async def main() -> None:
        writer = DatabaseWriter(database, thread=thread)
        await writer.aclose()
        for method in (writer.write, writer.read):
            with pytest.raises(HubClosed):
                await method(signed_on)

    asyncio.run(main())
