"""A PgBouncer for tests, where the system has one: ``apt-get install pgbouncer``."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.postgres_server import end_with_parent, free_port, user_of_servers

# Debian has it where only root looks for programs.
PROGRAM = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))

needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")

MODES = ("session", "transaction", "statement")

# One that does not answer by then is broken, in seconds.
_PATIENCE = 30.0


class PgBouncer:
    """A pooler before a PostgreSQL server, on a free port of 127.0.0.1.

    The database in an address of it is its mode, such as transaction; each leads to the database of the
    server.
    """

    def __init__(self, server: str, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        found = {name: str(value) for name, value in conninfo_to_dict(server).items()}
        user, password = found["user"], found.get("password", "")
        self._address = f"postgresql://{user}:{password}@127.0.0.1:{self.port}"
        target = f"host={found['host']} port={found.get('port', '5432')} dbname={found['dbname']}"
        (folder / "users").write_text(f'"{user}" "{password}"\n')
        lines = [
            "[databases]",
            *(f"{mode} = {target} pool_mode={mode}" for mode in MODES),
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "auth_type = scram-sha-256",
            f"auth_file = {folder / 'users'}",
            "max_client_conn = 100",
            "default_pool_size = 10",
            # Each in turn, so that a client seldom has the session of its last transaction.
            "server_round_robin = 1",
            # A server that was away is asked again at once.
            "server_login_retry = 0",
        ]
        (folder / "pgbouncer.ini").write_text("\n".join(lines))

    def address(self, mode: str) -> str:
        """Return the address by which clients get the server, pooled in this mode."""
        return f"{self._address}/{mode}"

    def start(self) -> None:
        """Start the pooler, and wait until it answers."""
        assert PROGRAM is not None
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, self._folder / "pgbouncer.ini"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user_of_servers(),
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - it takes no lock
            )
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                psycopg.connect(self.address("session"), connect_timeout=5).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return

    def stop(self) -> None:
        """Stop the pooler at once, which ends the connections of its clients."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
            self._process = None


@contextmanager
def started_pgbouncer(server: str) -> Generator[PgBouncer]:
    """Yield a running pooler before a server."""
    with tempfile.TemporaryDirectory(prefix="captchahub-pgbouncer-") as name:
        folder = Path(name)
        # The user that the pooler runs as reads the files.
        folder.chmod(0o755)
        pooler = PgBouncer(server, folder)
        try:
            pooler.start()
            yield pooler
        finally:
            pooler.stop()
