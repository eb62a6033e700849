"""Jobs of a solver, run by a worker in the process of the test."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import attrs
import psycopg
import pytest
from captchahub_procrastinate import Answer, SchemaMissing, SolveFailed, Solver, SolverJob
from procrastinate import App, PsycopgConnector, exceptions
from procrastinate.testing import InMemoryConnector

from captchahub import ImageToText, PhoneSlide, SolveCancelled, TaskError
from captchahub.testing import Fault, Sandbox
from tests.postgres_server import new_schema

Database = psycopg.Connection[tuple[object, ...]]


class Queue:
    """An app with a solver, and the outcomes that its callback received."""

    def __init__(self, address: str, configuration: Path, **options: Any) -> None:
        self.app = App(connector=PsycopgConnector(conninfo=address, min_size=1, max_size=2))
        self.solver = Solver(configuration, **options)
        self.solver.register(self.app)
        self.outcomes: list[dict[str, object]] = []

        @self.app.task(name="received")
        async def received(outcome: dict[str, object]) -> None:
            self.outcomes.append(outcome)

        self.callback = received

    async def work(self) -> None:
        """Run all jobs that are due."""
        await self.app.run_worker_async(wait=False, listen_notify=False, install_signal_handlers=False)

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[None]:
        """Run jobs in the background."""
        worker = asyncio.create_task(
            self.app.run_worker_async(
                fetch_job_polling_interval=0.02,
                abort_job_polling_interval=0.02,
                shutdown_graceful_timeout=0,
                install_signal_handlers=False,
            )
        )
        try:
            yield
        finally:
            worker.cancel()
            await asyncio.wait([worker])

    async def maintain(self) -> None:
        """Run the job that workers run each minute."""
        await self.app.configure_task("captchahub:maintain").defer_async(timestamp=0)
        await self.work()


@asynccontextmanager
async def opened(queue: Queue) -> AsyncGenerator[Queue]:
    async with queue.app.open_async():
        yield queue
        await queue.solver.close()


Queues = Callable[..., Queue]


@pytest.fixture
def queue_of(server: str, database: Database, configure: Callable[..., Path]) -> Queues:
    """A function that makes a queue with options of the solver."""
    assert database is not None

    def make(provider: dict[str, object] | None = None, **options: Any) -> Queue:
        return Queue(server, configure(**(provider or {})), **options)

    return make


def counted(database: Database, table: str = "captchahub_pictures") -> object:
    statement = {
        "captchahub_pictures": "SELECT count(*) FROM captchahub_pictures",
        "captchahub_answers": "SELECT count(*) FROM captchahub_answers",
        "procrastinate_jobs": "SELECT count(*) FROM procrastinate_jobs",
    }
    row = database.execute(cast("Any", statement[table])).fetchone()
    assert row is not None
    return row[0]


def status_of(database: Database, job: SolverJob[Any]) -> object:
    row = database.execute("SELECT status::text FROM procrastinate_jobs WHERE id = %s", (job.id,)).fetchone()
    return None if row is None else row[0]


class TestAnAnswer:
    def test_is_a_typed_result_and_comes_to_the_callback(
        self, queue_of: Queues, sandbox: Sandbox, database: Database
    ) -> None:
        text, slide = sandbox.draw_text("x7kp2"), sandbox.draw_slide()

        async def main() -> None:
            async with opened(queue_of()) as queue:
                task = ImageToText(text.image, length=5, charset="xyz kp 0123456789", case_sensitive=False)
                first = await queue.solver.defer_async(task, callback=queue.callback, label="login")
                second = await queue.solver.defer_async(slide.task(), callback="received")
                assert counted(database) == 2
                await queue.work()
                answer = await queue.solver.result_async(first)
                assert (answer.solution.text, answer.label, answer.job) == ("x7kp2", "login", first.id)
                assert (answer.provider, answer.job_id) == ("omo", sandbox.jobs[0].id)
                drag = (await queue.solver.result_async(SolverJob(second.id, PhoneSlide))).solution
                assert slide.accepts(drag)
                assert drag.screen is not None
                assert Answer.read(queue.outcomes[0], ImageToText) == answer
                assert Answer.read(queue.outcomes[1], PhoneSlide).solution == drag
                with pytest.raises(ValueError, match="of a phone-slide task"):
                    Answer.read(queue.outcomes[1], ImageToText)

        asyncio.run(main())
        assert counted(database) == 0

    def test_is_returned_to_blocking_code_as_well(
        self, queue_of: Queues, sandbox: Sandbox, database: Database
    ) -> None:
        queue = queue_of()
        with queue.app.open():
            job = queue.solver.defer(sandbox.draw_text("x7kp2").task())
            with pytest.raises(TimeoutError):
                queue.solver.result(job, timeout=0.06)

        async def work() -> None:
            async with opened(queue):
                await queue.work()

        asyncio.run(work())
        with queue.app.open():
            assert queue.solver.result(job).solution.text == "x7kp2"
            database.execute("UPDATE captchahub_answers SET expires_at = now() - interval '1 second'")
            with pytest.raises(SolveFailed, match="answer_lifetime"):
                queue.solver.result(job)
            with pytest.raises(LookupError, match="no job 4711"):
                queue.solver.result(SolverJob(4711, ImageToText))

    def test_is_kept_if_the_worker_deletes_its_jobs(
        self, queue_of: Queues, sandbox: Sandbox, database: Database
    ) -> None:
        async def main() -> None:
            async with opened(queue_of()) as queue:
                queue.app.worker_defaults["delete_jobs"] = "always"
                job = await queue.solver.defer_async(sandbox.draw_text("x7kp2").task())
                await queue.work()
                assert (counted(database, "procrastinate_jobs"), counted(database)) == (0, 0)
                assert (await queue.solver.result_async(job)).solution.text == "x7kp2"

        asyncio.run(main())

    def test_is_not_ordered_again_for_a_job_that_is_run_again(
        self, queue_of: Queues, sandbox: Sandbox, database: Database
    ) -> None:
        async def main() -> None:
            async with opened(queue_of()) as queue:
                job = await queue.solver.defer_async(sandbox.draw_text().task(), callback=queue.callback)
                await queue.work()
                # As if the worker had died after it stored the answer.
                database.execute("UPDATE procrastinate_jobs SET status = 'todo' WHERE id = %s", (job.id,))
                await queue.work()
                assert status_of(database, job) == "succeeded"
                assert (len(queue.outcomes), len(sandbox.calls_to("createJob"))) == (1, 1)

        asyncio.run(main())


class TestAFailedJob:
    def test_tells_why_and_keeps_no_picture(
        self, queue_of: Queues, sandbox: Sandbox, database: Database
    ) -> None:
        async def main() -> None:
            async with opened(queue_of()) as queue:
                picture = sandbox.draw_text().image
                sandbox.script(picture, None)
                job = await queue.solver.defer_async(ImageToText(picture), callback=queue.callback)
                await queue.work()
                with pytest.raises(SolveFailed, match="JobFailed") as failed:
                    await queue.solver.result_async(job)
                assert (failed.value.job, failed.value.error) == (job.id, "AllProvidersFailed")
                with pytest.raises(SolveFailed):
                    Answer.read(queue.outcomes[0], ImageToText)
                assert (status_of(database, job), counted(database)) == ("failed", 0)
                # Retried by hand, for which there is no picture.
                await queue.app.job_manager.retry_job_by_id_async(job.id, retry_at=datetime.now(UTC))
                await queue.work()
                assert status_of(database, job) == "failed"
                assert len(sandbox.calls_to("createJob")) == 1

        asyncio.run(main())


class TestAPictureIsDeleted:
    def test_when_its_job_is_cancelled(self, queue_of: Queues, sandbox: Sandbox, database: Database) -> None:
        async def main() -> None:
            async with opened(queue_of()) as queue:
                jobs = [await queue.solver.defer_async(sandbox.draw_text().task()) for _ in range(2)]
                assert counted(database) == 2
                await queue.app.job_manager.cancel_job_by_id_async(jobs[0].id)
                await queue.app.job_manager.cancel_job_by_id_async(jobs[1].id, delete_job=True)
                assert counted(database) == 0
                with pytest.raises(SolveCancelled, match="cancelled"):
                    await queue.solver.result_async(jobs[0])
                with pytest.raises(LookupError):
                    await queue.solver.result_async(jobs[1])

        asyncio.run(main())

    def test_when_its_job_is_aborted_in_mid_solve(
        self, queue_of: Queues, sandbox: Sandbox, database: Database
    ) -> None:
        with Sandbox(sandbox.emulation, job_time=3600) as slow:

            async def main() -> None:
                async with opened(queue_of(slow.settings())) as queue, queue.working():
                    job = await queue.solver.defer_async(slow.draw_text().task(), callback=queue.callback)
                    await asyncio.to_thread(slow.wait_for_calls, "getJobResult")
                    assert counted(database) == 1
                    await queue.app.job_manager.cancel_job_by_id_async(job.id, abort=True)
                    with pytest.raises(SolveCancelled, match="aborted"):
                        await queue.solver.result_async(job, timeout=20)
                    assert (counted(database), queue.outcomes) == (0, [])

            asyncio.run(main())

    def test_when_its_job_is_not_run_in_time(
        self, queue_of: Queues, sandbox: Sandbox, database: Database
    ) -> None:
        async def main() -> None:
            async with opened(queue_of(picture_lifetime=60)) as queue:
                await queue.solver.defer_async(sandbox.draw_text().task())
                later = datetime.now(UTC) + timedelta(hours=1)
                await queue.solver.defer_async(sandbox.draw_text().task(), schedule_at=later)
                database.execute("UPDATE captchahub_pictures SET expires_at = expires_at - interval '61 s'")
                # Each defer deletes what has expired. The second is due in an hour.
                last = await queue.solver.defer_async(sandbox.draw_text().task(), callback=queue.callback)
                assert counted(database) == 2
                database.execute("UPDATE captchahub_pictures SET expires_at = now() - interval '1 s'")
                await queue.maintain()
                assert (counted(database), counted(database, "captchahub_answers")) == (0, 2)
                with pytest.raises(SolveFailed, match="picture_lifetime") as failed:
                    await queue.solver.result_async(last)
                assert failed.value.error == "PictureDeleted"
                assert [one["job"] for one in queue.outcomes] == [last.id]
                assert sandbox.calls == []

        asyncio.run(main())


class TestAnotherAttempt:
    def test_follows_an_error_that_passes(
        self, queue_of: Queues, sandbox: Sandbox, database: Database
    ) -> None:
        async def main() -> None:
            async with opened(queue_of()) as queue:
                sandbox.add_faults(Fault.status(429, on="createJob", times=1))
                job = await queue.solver.defer_async(sandbox.draw_text("x7kp2").task(), timeout=1)
                await queue.work()
                assert (status_of(database, job), counted(database)) == ("todo", 1)
                database.execute("UPDATE procrastinate_jobs SET scheduled_at = now()")
                await queue.solver.close()  # and its memory of the pause
                await queue.work()
                assert (await queue.solver.result_async(job)).solution.text == "x7kp2"

        asyncio.run(main())

    def test_does_not_follow_a_job_that_may_still_be_done_because_it_could_be_paid_for_twice(
        self, queue_of: Queues, sandbox: Sandbox, database: Database
    ) -> None:
        with Sandbox(sandbox.emulation, job_time=3600) as slow:

            async def main() -> None:
                async with opened(queue_of(slow.settings())) as queue:
                    job = await queue.solver.defer_async(slow.draw_text().task(), timeout=1)
                    await queue.work()
                    with pytest.raises(SolveFailed, match="JobTimeout"):
                        await queue.solver.result_async(job)
                    assert (status_of(database, job), counted(database)) == ("failed", 0)

            asyncio.run(main())

    def test_is_made_by_the_next_worker_if_this_one_stops(
        self, queue_of: Queues, sandbox: Sandbox, database: Database
    ) -> None:
        with Sandbox(sandbox.emulation, job_time=3600) as slow:

            async def main() -> None:
                async with opened(queue_of(slow.settings())) as queue:
                    job = await queue.solver.defer_async(slow.draw_text("x7kp2").task())
                    async with queue.working():
                        await asyncio.to_thread(slow.wait_for_calls, "getJobResult")
                    assert (status_of(database, job), counted(database)) == ("todo", 1)
                    slow.finish_jobs()
                    await queue.work()
                    assert (await queue.solver.result_async(job)).solution.text == "x7kp2"
                assert len(slow.calls_to("createJob")) == 1

            asyncio.run(main())

    def test_is_not_made_for_ever(self, queue_of: Queues, sandbox: Sandbox, database: Database) -> None:
        async def main() -> None:
            async with opened(queue_of(max_attempts=2)) as queue:
                job = await queue.solver.defer_async(sandbox.draw_text().task(), callback=queue.callback)
                database.execute("UPDATE procrastinate_jobs SET status = 'doing', attempts = 1")
                await queue.maintain()
                with pytest.raises(SolveFailed, match="2 workers ended") as failed:
                    await queue.solver.result_async(job)
                assert failed.value.error == "WorkerLost"
                assert (status_of(database, job), len(queue.outcomes), counted(database)) == ("failed", 1, 0)

        asyncio.run(main())


def test_the_jobs_of_each_minute_do_not_pile_up(queue_of: Queues, database: Database) -> None:
    async def main() -> None:
        async with opened(queue_of()) as queue:
            for _ in range(3):
                await queue.maintain()

    asyncio.run(main())
    assert counted(database, "procrastinate_jobs") == 1


class TestNothingIsStored:
    def test_for_what_is_no_task(self, queue_of: Queues, sandbox: Sandbox, database: Database) -> None:
        @attrs.frozen
        class Unknown(ImageToText):
            kind = "unknown"

        picture = sandbox.draw_text().image

        async def main() -> None:
            async with opened(queue_of()) as queue:
                defer: Callable[..., Any] = queue.solver.defer_async
                for error, words, task, options in (
                    (TaskError, "pass a task", picture, {}),
                    (TaskError, "pass a task", None, {}),
                    (TaskError, r"task_types=\[Unknown\]", Unknown(picture), {}),
                    (TaskError, "NUL", ImageToText(picture, hint="a\0b"), {}),
                    (TaskError, "surrogate", ImageToText(picture), {"label": "\ud800"}),
                    (TypeError, "label", ImageToText(picture), {"label": 7}),
                    (TypeError, "timeout", ImageToText(picture), {"timeout": "60"}),
                    (ValueError, "timeout", ImageToText(picture), {"timeout": 0}),
                    (TypeError, "callback", ImageToText(picture), {"callback": print}),
                    (TypeError, "AsyncConnection", ImageToText(picture), {"connection": database}),
                ):
                    with pytest.raises(error, match=words):
                        await defer(task, **options)

        asyncio.run(main())
        assert (counted(database), counted(database, "procrastinate_jobs")) == (0, 0)

    def test_by_a_transaction_that_is_rolled_back(
        self, queue_of: Queues, sandbox: Sandbox, database: Database
    ) -> None:
        queue = queue_of()
        task = sandbox.draw_text().task()
        with database.transaction() as transaction:
            queue.solver.defer(task, connection=database, queueing_lock="one")
            with pytest.raises(exceptions.AlreadyEnqueued):
                queue.solver.defer(task, connection=database, queueing_lock="one")
            assert counted(database) == 1
            raise psycopg.Rollback(transaction)
        assert (counted(database), counted(database, "procrastinate_jobs")) == (0, 0)

    def test_without_the_tables(
        self, queue_of: Queues, sandbox: Sandbox, configure: Callable[..., Path]
    ) -> None:
        task = sandbox.draw_text().task()
        with new_schema() as address:
            queue = Queue(address, configure())
            with queue.app.open():
                with pytest.raises(SchemaMissing, match="schema --apply"):
                    queue.solver.apply_schema()
                with pytest.raises(SchemaMissing, match="schema --apply"):
                    queue.solver.defer(task)
                queue.app.schema_manager.apply_schema()
                with pytest.raises(SchemaMissing, match="apply_schema"):
                    queue.solver.defer(task)
                with psycopg.connect(address) as connection:
                    row = connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone()
                assert row == (0,)

    def test_by_a_solver_without_an_app(self, sandbox: Sandbox) -> None:
        solver, task = Solver("none.yaml"), sandbox.draw_text().task()
        with pytest.raises(RuntimeError, match="register"):
            solver.defer(task)
        app = App(connector=InMemoryConnector())
        solver.register(app)
        with pytest.raises(RuntimeError, match="registered"):
            solver.register(app)
        with pytest.raises(TypeError, match="InMemoryConnector"):
            solver.defer(task)
        with pytest.raises(ValueError, match="max_attempts"):
            Solver("none.yaml", max_attempts=0)


def test_no_log_has_the_picture_or_a_secret(
    queue_of: Queues, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    picture = sandbox.draw_text().image

    async def main() -> None:
        async with opened(queue_of()) as queue:
            await queue.solver.defer_async(ImageToText(picture))
            sandbox.script(picture, None)
            await queue.work()

    asyncio.run(main())
    text = "\n".join(
        str(record.__dict__) for record in caplog.records if record.name.startswith("procrastinate")
    )
    assert "captchahub:solve" in text
    assert str(sandbox.settings()["api_token"]) not in text
    for written in (repr(picture.data[8:40])[2:-1], picture.data[8:40].hex()):
        assert written not in text
