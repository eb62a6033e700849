"""The example for Celery: real workers with the prefork pool, a broker, and the sandbox.

The broker is a Redis server where the system has one, and otherwise a folder of files.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from celery import Celery

from captchahub.testing import Sandbox, load_emulation
from tests.cli.test_cli import posix, read_until
from tests.journal.stores import needs_postgres, place_of
from tests.promises.fleet import end_leases
from tests.redis_server import PROGRAM, started_redis

EXAMPLE = Path(__file__).parents[2] / "examples" / "celery"
WORKER = """
import json, os, sys
from celery.signals import worker_process_init
from celery_app import app

@worker_process_init.connect
def report(**_):
    print("process", os.getpid(), file=sys.__stdout__, flush=True)

app.conf.update(json.loads(sys.argv[1]))
app.worker_main(["worker", "--pool=prefork", "--concurrency=1", "--loglevel=INFO"])
"""


def broker_of_files(folder: Path) -> dict[str, object]:
    """The settings of a broker that keeps its messages in files of a folder."""
    places = {"data_folder_in": "messages", "data_folder_out": "messages", "control_folder": "control"}
    for name in set(places.values()):
        (folder / name).mkdir()
    folders = {key: str(folder / name) for key, name in places.items()}
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": {**folders, "polling_interval": 0.02},
    }


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[dict[str, object]]:
    """The settings of a broker on a Redis server, which delivers a message again after half a second."""
    with started_redis(tmp_path) as address:
        yield {"broker_url": address, "broker_transport_options": {"visibility_timeout": 0.5}}


@pytest.fixture
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, object]:
    if PROGRAM is None:
        return broker_of_files(tmp_path)
    settings: dict[str, object] = request.getfixturevalue("redis")
    # This one must not deliver it again: the worker itself does.
    return {**settings, "broker_transport_options": {}}


def configure(folder: Path, sandbox: Sandbox, journal: object) -> None:
    """Write the configuration of the example's hub."""
    omo = {"plugin": "omocaptcha", **sandbox.settings()}
    configuration = {"providers": {"omo": omo}, "journal": journal}
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration))


def send(broker: Mapping[str, object], sandbox: Sandbox) -> None:
    """Send a picture of the text x7kp2."""
    with Celery(set_as_current=False) as client:
        client.conf.update(broker)
        client.send_task("celery_app.read_picture", [sandbox.draw_text("x7kp2").image.data])


@contextmanager
def started_worker(folder: Path, settings: Mapping[str, object]) -> Generator[subprocess.Popen[str]]:
    """A worker, which does not outlive the test, with all processes of its pool."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, json.dumps(settings)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(EXAMPLE), "PYTHONIOENCODING": "utf-8"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@posix
def test_a_task_whose_process_is_killed_is_delivered_again_and_pays_once(
    tmp_path: Path, broker: dict[str, object]
) -> None:
    with Sandbox(load_emulation("omocaptcha"), job_time=3600) as sandbox:
        configure(tmp_path, sandbox, "jobs.db")
        # Before the worker starts: it could take the file of a message that is not complete yet.
        send(broker, sandbox)
        with started_worker(tmp_path, {**broker, "worker_lost_wait": 0.1}) as worker:
            process_id = int(read_until(worker, "process ").split()[-1])
            sandbox.wait_for_calls("getJobResult", timeout=20)
            os.kill(process_id, signal.SIGKILL)
            read_until(worker, "exited with 'signal 9")
            polls = len(sandbox.calls_to("getJobResult"))
            sandbox.wait_for_calls("getJobResult", polls + 1, timeout=20)
            assert len(sandbox.calls_to("createJob")) == 1
            sandbox.finish_jobs()
            assert read_until(worker, "succeeded in").rstrip().endswith(": 'x7kp2'")


@needs_postgres
@posix
@pytest.mark.skipif(PROGRAM is None, reason="redis-server is not installed")
def test_a_task_whose_worker_is_killed_is_delivered_to_another_machine_and_pays_once(
    tmp_path: Path, redis: dict[str, object]
) -> None:
    with (
        Sandbox(load_emulation("omocaptcha"), job_time=3600) as sandbox,
        place_of("postgres", None) as place,
    ):
        folders = [tmp_path / name for name in ("one", "other")]
        for folder in folders:
            folder.mkdir()
            configure(folder, sandbox, place.configured)
        send(redis, sandbox)
        with started_worker(folders[0], redis):
            sandbox.wait_for_calls("getJobResult", timeout=20)
        end_leases(place)
        polls = len(sandbox.calls_to("getJobResult"))
        with started_worker(folders[1], redis) as worker:
            sandbox.wait_for_calls("getJobResult", polls + 1, timeout=20)
            sandbox.finish_jobs()
            assert read_until(worker, "succeeded in").rstrip().endswith(": 'x7kp2'")
        assert len(sandbox.calls_to("createJob")) == 1
