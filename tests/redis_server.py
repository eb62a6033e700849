"""A Redis server for tests, where the system has one: ``apt-get install redis-server``."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres_server import end_with_parent, free_port

PROGRAM = shutil.which("redis-server")

# One that does not answer by then is broken, in seconds.
_PATIENCE = 30.0


@contextmanager
def started_redis(folder: Path) -> Generator[str]:
    """Yield the address of an empty server on a free port of 127.0.0.1, which keeps nothing."""
    assert PROGRAM is not None
    port = free_port()
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "save": "",
        "appendonly": "no",
        "maxmemory": "64mb",
        "dir": str(folder),
        "logfile": str(folder / "redis.log"),
    }
    process = subprocess.Popen(
        [PROGRAM, *(word for name, value in options.items() for word in (f"--{name}", value))],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=end_with_parent,  # noqa: PLW1509 - it takes no lock
    )
    with process:
        try:
            _wait_for(process, port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        else:
            return
