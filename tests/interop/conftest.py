"""What the released clients are given: a sandbox on https, which they trust, and an account there.

Nothing of a client is replaced. Its address is its own parameter; the certificate's authority is trusted by
the environment variables that requests and httpx look at.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from captchahub.testing import Emulation, Sandbox

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certified(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))  # requests
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))  # httpx
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def serve(certified: ssl.SSLContext, trusted: None) -> Iterator[Callable[..., Sandbox]]:
    """Starts sandboxes in which the account of the key has ten dollars; all are stopped after the test."""
    with ExitStack() as stack:

        def start(emulation: Emulation, *, working_until: str | None = None) -> Sandbox:
            """Jobs are done at once, or after a call of this name has asked for one in vain."""
            job_time = 0.0 if working_until is None else 3600.0
            sandbox = stack.enter_context(Sandbox(emulation, job_time=job_time, tls=certified))
            sandbox.settings(KEY, balance="10")
            if working_until is not None:
                stack.enter_context(ThreadPoolExecutor(1)).submit(finish_after, sandbox, working_until)
            return sandbox

        yield start


def finish_after(sandbox: Sandbox, call: str) -> None:
    sandbox.wait_for_calls(call, timeout=30)
    sandbox.finish_jobs()


@pytest.fixture
def done() -> Iterator[Callable[[Any], Any]]:
    """What a call of a client comes to, be the client a plain or an asynchronous one."""
    with asyncio.Runner() as runner:
        yield lambda outcome: runner.run(outcome) if inspect.iscoroutine(outcome) else outcome
