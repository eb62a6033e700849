"""The example for Celery: a real worker with the prefork pool, a broker, and the sandbox.

The broker is one of files. ``CAPTCHAHUB_TEST_REDIS=redis://...`` adds a server, for which the package redis
must be installed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from celery import Celery

from captchahub.testing import Sandbox, load_emulation
from tests.cli.test_cli import posix, read_until

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


def broker_on_redis(_folder: Path) -> dict[str, object]:
    """The settings of a queue of its own on the server that CAPTCHAHUB_TEST_REDIS names."""
    queue = f"captchahub-test-{uuid.uuid4().hex}"
    return {"broker_url": os.environ["CAPTCHAHUB_TEST_REDIS"], "task_default_queue": queue}


BROKERS = [broker_of_files, *([broker_on_redis] if os.environ.get("CAPTCHAHUB_TEST_REDIS") else [])]


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
@pytest.mark.parametrize("broker_in", BROKERS)
def test_a_task_whose_process_is_killed_is_delivered_again_and_pays_once(
    tmp_path: Path, broker_in: Callable[[Path], dict[str, object]]
) -> None:
    broker = broker_in(tmp_path)
    with Sandbox(load_emulation("omocaptcha"), job_time=3600) as sandbox:
        omo = {"plugin": "omocaptcha", **sandbox.settings()}
        configuration = {"providers": {"omo": omo}, "journal": "jobs.db"}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(configuration))
        # Before the worker starts: it could take the file of a message that is not complete yet.
        with Celery(set_as_current=False) as client:
            client.conf.update(broker)
            client.send_task("celery_app.read_picture", [sandbox.draw_text("x7kp2").image.data])
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
