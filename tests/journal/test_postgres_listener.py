"""Hubs that learn from PostgreSQL at once that an equal task of another hub has ended."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any, cast

import attrs
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from captchahub import HubClosed, ImageToText, JobState, TextSolution
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._journal import claims, jobs_table
from captchahub._journal.accounts_table import NO_ACCOUNTS
from captchahub._journal.database import Connection, Work
from captchahub._journal.postgres import PostgresDatabase
from captchahub._journal.postgres_listener import PostgresListener
from captchahub._journal.rows import NewJob
from captchahub._journal.watchers import Watchers
from captchahub._plugins.manager import Plugins
from captchahub.provider import Secret
from captchahub.testing import Sandbox, load_emulation
from tests.journal.stores import Place, needs_postgres, place_of
from tests.postgres_server import execute, with_options
from tests.quick_omo import QuickOmo

pytestmark = needs_postgres

LISTENING = "application_name = %s AND query LIKE 'LISTEN%%'"
COUNT = sql.SQL(f"SELECT count(*) FROM pg_stat_activity WHERE {LISTENING}")
END = sql.SQL(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {LISTENING}")
NOTIFY = sql.SQL("SELECT pg_notify(%s, %s)")
JOB = NewJob("s", "omo", "image-to-text", "f", {}, None, None, None, is_shared=True)


@pytest.fixture
def place() -> Iterator[Place]:
    with place_of("postgres", None) as place:
        yield place


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Its jobs are done when a test says so."""
    with Sandbox(load_emulation("omocaptcha"), job_time=1000) as running:
        yield running


def never() -> float:
    """As a random number for the pauses of a solve, it makes them last for hours."""
    return 1e5


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "captchahub listener"]


def listening(place: Place) -> int:
    """Return how many connections listen."""
    return cast("int", execute(place.address, COUNT, place.schema)[0][0])


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(is_so):  # noqa: ASYNC110 - the server sets no event
            await asyncio.sleep(0.01)


class Fleet:
    """Two hubs: the task of the second one waits for the job of the first."""

    def __init__(self, sandbox: Sandbox, place: Place) -> None:
        self.sandbox = sandbox
        self.place = place
        drawn = sandbox.draw_text()
        self.task = ImageToText(drawn.image)
        self.solution = TextSolution(drawn.text)
        self.engines: list[Engine] = []

    def hub(self, *, pooler: bool = False, **options: Any) -> Engine:
        # The name by which the server lists the connections of this test.
        url = with_options(self.place.address, application_name=self.place.schema)
        account = {"plugin": "omocaptcha", **self.sandbox.settings("one", balance="1000")}
        journal = {"url": url, "schema": self.place.schema, "pooler": pooler}
        plugins = Plugins([QuickOmo()])
        settings = read_mapping({"providers": {"omo": account}, "journal": journal}, plugins)
        self.engines.append(Engine(settings, plugins=plugins, **options))
        return self.engines[-1]

    async def begin(self, owner: Engine, other: Engine) -> Sequence[asyncio.Task[Any]]:
        """Return the solves of both hubs, when the first one's job exists and the second one listens."""
        solving = asyncio.ensure_future(owner.solve(self.task, 1e6, share=True))
        await asyncio.to_thread(self.sandbox.wait_for_jobs, timeout=20)
        waiting = asyncio.ensure_future(other.solve(self.task, 1e6, share=True))
        await until(lambda: listening(self.place) == 1)
        return solving, waiting


@asynccontextmanager
async def fleet_of(sandbox: Sandbox, place: Place) -> AsyncGenerator[Fleet]:
    fleet = Fleet(sandbox, place)
    try:
        async with asyncio.timeout(30):
            yield fleet
    finally:
        for engine in fleet.engines:
            await engine.aclose()
        assert threads() == []


class TestAnEqualTask:
    # The one that waits would look into the journal again hours later.
    @pytest.mark.parametrize("pooler", [False, True])
    def test_gets_the_answer_when_another_hub_has_it(
        self, sandbox: Sandbox, place: Place, pooler: bool
    ) -> None:
        async def main() -> None:
            async with fleet_of(sandbox, place) as fleet:
                both = await fleet.begin(fleet.hub(pooler=pooler), fleet.hub(chance=never))
                sandbox.finish_jobs()
                results = await asyncio.gather(*both)
                assert [result.solution for result in results] == [fleet.solution] * 2
                assert len(sandbox.jobs) == 1

        asyncio.run(main())

    def test_goes_on_with_the_job_that_another_hub_leaves(self, sandbox: Sandbox, place: Place) -> None:
        async def main() -> None:
            async with fleet_of(sandbox, place) as fleet:
                solving, waiting = await fleet.begin(fleet.hub(), fleet.hub(chance=never))
                polls = len(sandbox.calls_to("getJobResult"))
                solving.cancel()
                await asyncio.wait([solving])
                sandbox.finish_jobs()
                assert (await waiting).solution == fleet.solution
                assert len(sandbox.calls_to("getJobResult")) > polls
                assert len(sandbox.jobs) == 1

        asyncio.run(main())

    def test_gets_the_answer_though_the_connection_was_lost(self, sandbox: Sandbox, place: Place) -> None:
        async def main() -> None:
            async with fleet_of(sandbox, place) as fleet:
                both = await fleet.begin(fleet.hub(), fleet.hub())
                execute(place.address, END, place.schema)
                await until(lambda: listening(place) == 0)
                sandbox.finish_jobs()
                results = await asyncio.gather(*both)
                assert [result.solution for result in results] == [fleet.solution] * 2

        asyncio.run(main())

    def test_gets_the_answer_behind_a_pooler_without_listening(self, sandbox: Sandbox, place: Place) -> None:
        async def main() -> None:
            async with fleet_of(sandbox, place) as fleet:
                owner, other = fleet.hub(), fleet.hub(pooler=True)
                solving = asyncio.ensure_future(owner.solve(fleet.task, None, share=True))
                await asyncio.to_thread(sandbox.wait_for_jobs, timeout=20)
                waiting = asyncio.ensure_future(other.solve(fleet.task, None, share=True))
                # It signs on when it looks into the journal.
                owners = sql.SQL("SELECT id FROM {}.owners").format(sql.Identifier(place.schema))
                await until(lambda: len(execute(place.address, owners)) == 2)
                sandbox.finish_jobs()
                results = await asyncio.gather(solving, waiting)
                assert [result.solution for result in results] == [fleet.solution] * 2
                assert (listening(place), threads()) == (0, [])

        asyncio.run(main())

    def test_leaves_no_connection_when_its_hub_is_closed(self, sandbox: Sandbox, place: Place) -> None:
        async def main() -> None:
            async with fleet_of(sandbox, place) as fleet:
                owner, other = fleet.hub(), fleet.hub(chance=never)
                solving, waiting = await fleet.begin(owner, other)
                await other.aclose()
                assert threads() == []
                with pytest.raises(HubClosed):
                    await waiting
                await until(lambda: listening(place) == 0)
                sandbox.finish_jobs()
                assert (await solving).solution == fleet.solution

        asyncio.run(main())


class TestTheListener:
    """Without a hub. It calls the watchers each time when it has connected."""

    @staticmethod
    def run(
        place: Place,
        main: Callable[[PostgresListener, asyncio.Queue[str]], Any],
        watchers: Watchers | None = None,
        **options: Any,
    ) -> None:
        async def listened() -> None:
            address = make_conninfo(place.address, application_name=place.schema)
            all_watchers = watchers or Watchers()
            with closing(PostgresListener(address, place.schema, all_watchers, **options)) as listener:
                looks: asyncio.Queue[str] = asyncio.Queue()
                with all_watchers.watch("mine", partial(looks.put_nowait, "mine")):
                    async with asyncio.timeout(20):
                        await main(listener, looks)
            assert threads() == []

        asyncio.run(listened())

    def test_says_only_what_is_watched(self, place: Place) -> None:
        watchers = Watchers()

        async def main(listener: PostgresListener, looks: asyncio.Queue[str]) -> None:
            listener.listen()
            await looks.get()
            with watchers.watch("another", partial(looks.put_nowait, "another")):
                for fingerprint in ("unknown", "another", "mine"):
                    execute(place.address, NOTIFY, place.schema, fingerprint)
                assert [await looks.get(), await looks.get()] == ["another", "mine"]
            execute(place.address, NOTIFY, place.schema, "another")
            execute(place.address, NOTIFY, place.schema, "mine")
            assert await looks.get() == "mine"

        self.run(place, main, watchers)

    def test_connects_again_and_looks(self, place: Place) -> None:
        async def main(listener: PostgresListener, looks: asyncio.Queue[str]) -> None:
            listener.listen()
            await looks.get()
            execute(place.address, END, place.schema)
            await looks.get()
            execute(place.address, NOTIFY, place.schema, "mine")
            await looks.get()

        self.run(place, main, pause=0.0)

    def test_ends_when_it_is_not_needed_any_more(self, place: Place) -> None:
        async def main(listener: PostgresListener, looks: asyncio.Queue[str]) -> None:
            for _ in range(2):
                listener.listen()
                await looks.get()
                await until(lambda: threads() == [])

        self.run(place, main, kept_for=0.05, pause=0.0)

    def test_bears_a_server_that_refuses(self, place: Place) -> None:
        async def main() -> None:
            address = make_conninfo(place.address, port=1)
            with closing(PostgresListener(address, place.schema, Watchers())) as listener:
                listener.listen()
                listener.listen()
                assert len(threads()) == 1
            listener.listen()
            assert threads() == []

        asyncio.run(main())

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    # Forking with threads is the point.
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_goes_on_after_a_fork(self, place: Place) -> None:
        async def main(listener: PostgresListener, looks: asyncio.Queue[str]) -> None:
            listener.listen()
            await looks.get()
            child = multiprocessing.get_context("fork").Process(target=listener.close)
            child.start()
            await asyncio.to_thread(child.join, 20)
            assert child.exitcode == 0
            # It has connected again.
            await looks.get()
            execute(place.address, NOTIFY, place.schema, "mine")
            await looks.get()

        self.run(place, main)


def test_the_database_notifies_of_shared_jobs_that_end_or_become_free(place: Place) -> None:
    def job(fingerprint: str, work: Callable[..., object], *, is_shared: bool = True) -> Work[object]:
        def reserved(connection: Connection) -> None:
            job = attrs.evolve(JOB, fingerprint=fingerprint, is_shared=is_shared)
            (entry_id,) = jobs_table.insert_intents(connection, [job], NO_ACCOUNTS, owner="me", now=1.0)
            jobs_table.mark_created(connection, entry_id, 7, owner="me", now=1.0)
            work(connection, entry_id)

        return reserved

    def settle(state: JobState) -> Callable[[Connection, int], object]:
        return lambda connection, one: jobs_table.settle(connection, one, state, owner="me", now=2.0)

    def release(connection: Connection, one: int) -> None:
        claims.release(connection, [one], "me")

    with (
        closing(PostgresDatabase(Secret(place.address), schema=place.schema)) as store,
        psycopg.connect(place.address, autocommit=True) as connection,
    ):
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(place.schema)))
        done = store.transact(
            [
                job("solved", settle(JobState.SOLVED)),
                job("failed", settle(JobState.FAILED)),
                job("left", release),
                job("open", lambda *_: None),
                job("not shared", settle(JobState.SOLVED), is_shared=False),
            ]
        )
        assert done == [None] * 5
        execute(place.address, NOTIFY, place.schema, "the last one")
        found = [one.payload for one in connection.notifies(timeout=20, stop_after=4)]
        assert found == ["solved", "failed", "left", "the last one"]
