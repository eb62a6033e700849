"""Hubs that learn from an SQLite file soon that an equal task of another process has ended."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path

import attrs
import pytest

from captchahub import HubClosed, ImageToText, JobState, TextSolution
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._journal import jobs_table
from captchahub._journal.accounts_table import NO_ACCOUNTS
from captchahub._journal.database import Connection
from captchahub._journal.liveness import heartbeat
from captchahub._journal.rows import NewJob
from captchahub._journal.sqlite import SqliteDatabase
from captchahub._journal.sqlite_listener import SqliteListener
from captchahub._journal.watchers import Watchers
from captchahub._journal.writer import DatabaseWriter
from captchahub._plugins.manager import Plugins
from captchahub.testing import Sandbox, load_emulation
from tests.quick_omo import QuickOmo

JOB = NewJob("s", "omo", "image-to-text", "f", {}, None, None, None, is_shared=True)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Its jobs are done when a test says so."""
    with Sandbox(load_emulation("omocaptcha"), job_time=1000) as running:
        yield running


def never() -> float:
    """As a random number for the pauses of a solve, it makes them last for hours."""
    return 1e5


@attrs.frozen
class Pair:
    """Two hubs with one file: the second one solves the task as well, and waits for the job of the first."""

    owner: Engine
    other: Engine
    solving: asyncio.Task[str]
    waiting: asyncio.Task[str]
    text: str


@asynccontextmanager
async def pair_of(sandbox: Sandbox, path: Path) -> AsyncGenerator[Pair]:
    drawn = sandbox.draw_text()
    account = {"plugin": "omocaptcha", **sandbox.settings("one", balance="1000")}
    plugins = Plugins([QuickOmo()])
    settings = read_mapping({"providers": {"omo": account}, "journal": str(path)}, plugins)
    owner, other = Engine(settings, plugins=plugins), Engine(settings, plugins=plugins, chance=never)

    async def text_of(engine: Engine) -> str:
        result = await engine.solve(ImageToText(drawn.image), 1e6, share=True)
        assert isinstance(result.solution, TextSolution)
        return result.solution.text

    def signed_on() -> int:
        with closing(sqlite3.connect(path)) as connection:
            return len(connection.execute("SELECT id FROM owners").fetchall())

    tasks: list[asyncio.Task[str]] = []
    try:
        async with asyncio.timeout(30):
            solving = asyncio.ensure_future(text_of(owner))
            await asyncio.to_thread(sandbox.wait_for_jobs, timeout=20)
            waiting = asyncio.ensure_future(text_of(other))
            tasks += solving, waiting
            # It signs on when it finds the other's job.
            while signed_on() < 2:  # noqa: ASYNC110 - the file sets no event
                await asyncio.sleep(0.01)
            yield Pair(owner, other, solving, waiting, drawn.text)
    finally:
        await owner.aclose()
        await other.aclose()
        await asyncio.gather(*tasks, return_exceptions=True)


class TestAnEqualTask:
    # The one that waits would look into the journal again hours later.
    def test_gets_the_answer_when_another_hub_has_it(self, sandbox: Sandbox, tmp_path: Path) -> None:
        async def main() -> None:
            async with pair_of(sandbox, tmp_path / "jobs.db") as pair:
                sandbox.finish_jobs()
                assert [await pair.solving, await pair.waiting] == [pair.text] * 2
                assert len(sandbox.jobs) == 1

        asyncio.run(main())

    def test_goes_on_with_the_job_that_another_hub_leaves(self, sandbox: Sandbox, tmp_path: Path) -> None:
        async def main() -> None:
            async with pair_of(sandbox, tmp_path / "jobs.db") as pair:
                await pair.owner.aclose()
                polls = len(sandbox.calls_to("getJobResult"))
                sandbox.finish_jobs()
                assert await pair.waiting == pair.text
                assert len(sandbox.calls_to("getJobResult")) > polls
                assert len(sandbox.jobs) == 1

        asyncio.run(main())

    def test_ends_when_its_hub_is_closed(self, sandbox: Sandbox, tmp_path: Path) -> None:
        async def main() -> None:
            async with pair_of(sandbox, tmp_path / "jobs.db") as pair:
                await pair.other.aclose()
                with pytest.raises(HubClosed):
                    await pair.waiting

        asyncio.run(main())


class TestTheListener:
    """With another connection to the file, as another process has one."""

    @staticmethod
    def run(
        path: Path,
        main: Callable[[SqliteListener, Watchers, SqliteDatabase], Coroutine[object, object, None]],
    ) -> None:
        async def listened() -> None:
            watchers, writer = Watchers(), DatabaseWriter(SqliteDatabase(path), thread=True)
            with (
                closing(SqliteDatabase(path)) as other,
                closing(SqliteListener(writer, watchers)) as listener,
            ):
                async with asyncio.timeout(20):
                    await main(listener, watchers, other)
            await writer.aclose()

        asyncio.run(listened())

    def test_calls_only_those_whose_job_has_ended(self, tmp_path: Path) -> None:
        async def main(listener: SqliteListener, watchers: Watchers, other: SqliteDatabase) -> None:
            jobs = {name: begin(other, name) for name in ("one", "two", "three")}
            looks: asyncio.Queue[str] = asyncio.Queue()
            with ExitStack() as watching:
                for name in ("one", "two"):
                    watching.enter_context(watchers.watch(name, partial(looks.put_nowait, name)))
                listener.listen()
                listener.listen()
                # One that has ended before it was looked at.
                watching.enter_context(watchers.watch("none", partial(looks.put_nowait, "none")))
                assert await looks.get() == "none"
                for name in ("three", "two", "one"):
                    end(other, jobs[name])
                    if name != "three":
                        assert await looks.get() == name
                assert looks.empty()

        self.run(tmp_path / "jobs.db", main)

    def test_ends_when_no_solve_waits_and_begins_again(self, tmp_path: Path) -> None:
        async def main(listener: SqliteListener, watchers: Watchers, other: SqliteDatabase) -> None:
            before = asyncio.all_tasks()
            for name in ("one", "two"):
                job, looked = begin(other, name), asyncio.Event()
                with watchers.watch(name, looked.set):
                    listener.listen()
                    end(other, job)
                    await looked.wait()
                await asyncio.wait(asyncio.all_tasks() - before)

        self.run(tmp_path / "jobs.db", main)

    def test_bears_a_file_that_is_gone(self, tmp_path: Path) -> None:
        path = tmp_path / "jobs.db"

        async def main(listener: SqliteListener, watchers: Watchers, _other: SqliteDatabase) -> None:
            before = asyncio.all_tasks()
            path.rename(tmp_path / "moved.db")
            with watchers.watch("one", lambda: None):
                listener.listen()
                await asyncio.wait(asyncio.all_tasks() - before)

        self.run(path, main)


def begin(database: SqliteDatabase, fingerprint: str) -> int:
    """Write down a job that is created, and return its row."""

    def work(connection: Connection) -> int:
        job = attrs.evolve(JOB, fingerprint=fingerprint)
        heartbeat(connection, "other", math.inf)
        (entry_id,) = jobs_table.insert_intents(connection, [job], NO_ACCOUNTS, owner="other", now=1.0)
        jobs_table.mark_created(connection, entry_id, 7, owner="other", now=1.0)
        return entry_id

    (entry_id,) = database.transact([work])
    assert isinstance(entry_id, int)
    return entry_id


def end(database: SqliteDatabase, entry_id: int) -> None:
    """Write down that a job has failed."""
    settle = partial(jobs_table.settle, entry_id=entry_id, state=JobState.FAILED, owner="other", now=2.0)
    assert database.transact([settle]) == [True]
