"""Real workers, which run the programs of the README."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from captchahub.testing import Sandbox, load_emulation
from tests.journal.stores import Place
from tests.postgres_server import execute
from tests.promises.fleet import end_leases

README = (Path(__file__).parents[1] / "README.md").read_text()
CAPTCHAS, PROGRAM = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
SCHEMA, APPLY, WORKER = re.findall(r"^```text\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)[0].splitlines()

# A job that is repeated is found by polling.
QUICK = {"PROCRASTINATE_WORKER_FETCH_JOB_POLLING_INTERVAL": "0.1"}

ALIVE = sql.SQL("SELECT count(*) FROM {}.owners WHERE alive_until > extract(epoch FROM now())")

Database = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def environment(server: str, tmp_path: Path) -> Mapping[str, str]:
    """The environment of programs that import captchas.py, use and the database."""
    (tmp_path / "captchas.py").write_text(CAPTCHAS)
    where = conninfo_to_dict(server)
    names = {"user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE", "options": "PGOPTIONS"}
    names |= {"host": "PGHOST", "port": "PGPORT"}
    address = {names[name]: str(value) for name, value in where.items() if name in names}
    return {**os.environ, **address, "PYTHONPATH": str(tmp_path), "PYTHONUNBUFFERED": "1", **QUICK}


@contextmanager
def started(
    folder: Path, environment: Mapping[str, str], *command: str | Path
) -> Generator[subprocess.Popen[str]]:
    """A program, which does not outlive the test."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_worker_that_is_killed_is_followed_by_another_which_pays_nothing(
    environment: Mapping[str, str],
    configure: Callable[..., Path],
    tmp_path: Path,
    database: Database,
    journal: Place,
) -> None:
    with Sandbox(load_emulation("omocaptcha"), job_time=3600) as service:
        configure(**service.settings())
        (tmp_path / "program.py").write_text(PROGRAM)
        picture = service.draw_text("x7kp2").image
        (tmp_path / "captcha.png").write_bytes(picture.data)
        worker = ("-m", *WORKER.replace("--app", "--verbose --app").split())
        with (
            started(tmp_path, environment, "program.py", "captcha.png") as program,
            started(tmp_path, environment, *worker) as first,
        ):
            service.wait_for_calls("getJobResult", timeout=30)
            first.kill()
            logs = first.communicate()[0]
            # As after a minute.
            end_leases(journal)
            database.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '31 s'")
            database.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, args)"
                " VALUES ('captchahub', 'captchahub:maintain', '{\"timestamp\": 0}')"
            )
            polls = len(service.calls_to("getJobResult"))
            with started(tmp_path, environment, *worker) as second:
                service.wait_for_calls("getJobResult", polls + 1, timeout=30)
                service.finish_jobs()
                assert program.communicate()[0] == "x7kp2 omo None\n"
                assert second.stdout is not None
                seen = list(iter(second.stdout.readline, "log in with x7kp2\n"))
                second.send_signal(signal.SIGTERM)
                logs += "".join(seen) + second.communicate()[0]
                assert second.returncode == 0
        assert len(service.calls_to("createJob")) == 1
        assert database.execute("SELECT count(*) FROM captchahub_pictures").fetchone() == (0,)
        # The hub was closed.
        assert execute(journal.address, ALIVE.format(sql.Identifier(journal.schema))) == [(0,)]
        assert "captchahub:solve" in logs
        secrets = (str(service.settings()["api_token"]), environment["PGPASSWORD"])
        assert [one for one in (*secrets, picture.data.hex()[:32]) if one in logs] == []


def test_the_readme_makes_the_tables() -> None:
    assert SCHEMA.startswith("procrastinate --app=captchas.app schema --apply")
    assert "solver.apply_schema()" in APPLY
