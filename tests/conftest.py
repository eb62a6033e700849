"""Shared fixtures, such as a sandbox."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import settings

from captchahub.testing import Sandbox, load_emulation
from tests.http_peers import TlsServer
from tests.installed_distributions import PackageFolder
from tests.measurement import Property, first_examples_measured, leave_forked_processes_out, unmeasured
from tests.quick_omo import QuickOmo

# No test may touch the journal of the person who runs the tests.
# A worker of xdist has a folder in that of the session, because a worker that
# is stopped has no time to remove its own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
STATE = (
    Path(tempfile.mkdtemp(prefix="captchahub-state-"))
    if WORKER is None
    else Path(os.environ["XDG_STATE_HOME"], WORKER)
)
os.environ["XDG_STATE_HOME"] = str(STATE)
# Where the workers find what they share: see tests/postgres_server.py.
os.environ.setdefault("CAPTCHAHUB_TEST_FOLDER", str(STATE))
if WORKER is not None:
    leave_forked_processes_out()
# How many examples a property is tried with, unless its test says so. CAPTCHAHUB_EXAMPLES=5000 searches for
# long; ``make check`` sets 100. An example has no deadline, because the speed of the machine says nothing
# about the code.
settings.register_profile(
    "captchahub", max_examples=int(os.environ.get("CAPTCHAHUB_EXAMPLES", "50")), deadline=None
)
settings.load_profile("captchahub")


def pytest_collection_finish() -> None:
    """Exclude the collected tests, hundreds of thousands of objects that stay, from garbage collections."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Leave a test that searches out of the measurement of coverage."""
    with nullcontext() if item.get_closest_marker("search") is None else unmeasured():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Leave all but the first examples of a property out of the measurement of coverage."""
    searched: Property | None = getattr(pyfuncitem.obj, "hypothesis", None)
    with nullcontext() if searched is None else first_examples_measured(searched):
        return (yield)


def pytest_unconfigure() -> None:
    """Remove the directory of the session, with those of its workers."""
    # Not by atexit, which would also remove it when a forked child ends.
    if WORKER is None:
        shutil.rmtree(STATE, ignore_errors=True)


@pytest.fixture
def quick() -> QuickOmo:
    return QuickOmo()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The OMOcaptcha sandbox; its jobs are done at once."""
    with Sandbox(load_emulation("omocaptcha")) as running:
        yield running


@pytest.fixture
def configured(sandbox: Sandbox) -> Callable[..., dict[str, object]]:
    """A configuration with one provider a name, each with an account in the sandbox whose token is the name.

    Keywords are keys of every provider.
    """

    def configure(*names: str, **keys: object) -> dict[str, object]:
        accounts = {name: sandbox.settings(name, balance="1000") for name in names}
        return {
            "providers": {name: {"plugin": "omocaptcha", **own, **keys} for name, own in accounts.items()}
        }

    return configure


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of an empty schema on a PostgreSQL server, which the first test that needs it starts."""
    # Imported here, because most workers need no PostgreSQL.
    from tests.postgres_server import new_schema  # noqa: PLC0415

    with new_schema() as address:
        yield address


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[TlsServer]:
    """A server on https, whose authority no one trusts yet."""
    server = TlsServer(tmp_path)
    yield server
    server.close()


@pytest.fixture
def mypy_cache() -> Iterator[str]:
    """The folder in which ``make mypy`` keeps what it knows of the library, for one test at a time."""
    with Path(os.environ["CAPTCHAHUB_TEST_FOLDER"], "mypy").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield str(Path(__file__).parents[1] / ".mypy_cache")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageFolder:
    """A place for distributions that are installed while the test lasts."""
    root = tmp_path / "packages"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))  # pyright: ignore[reportUnknownMemberType]  # pytest's gap
    return PackageFolder(root)
