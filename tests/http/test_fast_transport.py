"""What only the transport in the event loop has to prove: no threads, and no request twice."""

from __future__ import annotations

import asyncio
import importlib.metadata
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from captchahub import AsyncHub, ConfigError, Hub, ServiceUnavailable
from captchahub._http.choice import http_transport, transport_kind
from captchahub._http.transport import HttpTransport
from captchahub.provider import Reply, Request
from captchahub.settings import HttpSettings
from captchahub.testing import Fault, Sandbox, load_emulation
from tests import http_peers

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    if transport_kind(HttpSettings()) != "fast":
        pytest.skip("the package aiohttp is not installed: pip install 'captchahub[fast]'")
    monkeypatch.setattr(http_peers, "kind", "fast")


@contextmanager
def closing_server(replies: int) -> Generator[tuple[str, list[bytes]]]:
    """Run a server that closes each connection after so many replies, having read one request more.

    Yields its address and the requests that it has read.
    """
    requests: list[bytes] = []

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connected, _ = server.accept()
            except OSError:
                return
            with connected:
                for _ in range(replies):
                    requests.append(connected.recv(65536))
                    connected.sendall(REPLY)
                requests.append(connected.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/createJob", requests
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
class TestARequest:
    """Some services create jobs with GET, which HTTP libraries repeat."""

    def test_is_not_repeated_on_a_kept_connection_that_the_server_closes(self, method: str) -> None:
        with closing_server(replies=1) as (url, requests):

            async def run() -> ServiceUnavailable:
                transport = http_peers.new_transport()
                await transport.send(Request(url, method=method), timeout=5)
                with pytest.raises(ServiceUnavailable) as caught:
                    await transport.send(Request(url, method=method), timeout=5)
                await transport.aclose()
                return caught.value

            error = asyncio.run(run())
        assert not error.nothing_created
        assert len(requests) == 2

    def test_is_not_sent_into_a_connection_that_was_closed_while_the_loop_was_busy(self, method: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}/createJob"

            async def run() -> Reply:
                transport = http_peers.new_transport()
                first = asyncio.ensure_future(transport.send(Request(url, method=method), timeout=5))
                connected, _ = await asyncio.to_thread(server.accept)
                await asyncio.to_thread(connected.recv, 65536)
                connected.sendall(REPLY)
                await first
                # Without a turn of the loop between this and the next request.
                connected.close()
                second = asyncio.ensure_future(transport.send(Request(url, method=method), timeout=5))
                again, _ = await asyncio.to_thread(server.accept)
                with again:
                    await asyncio.to_thread(again.recv, 65536)
                    again.sendall(REPLY)
                    reply = await second
                await transport.aclose()
                return reply

            assert asyncio.run(run()).status == 200


class TestTheEventLoop:
    def test_needs_no_thread_for_calls_to_an_address(self, sandbox: Sandbox) -> None:
        async def run() -> set[str]:
            transport = http_peers.new_transport()
            request = Request.post_json(f"{sandbox.url}/getBalance", {})
            names: set[str] = set()
            for calls in range(1, 4):
                await asyncio.gather(*(transport.send(request, timeout=5) for _ in range(20 * calls)))
                names |= {one.name for one in threading.enumerate() if one.name.startswith("captchahub test")}
            await transport.aclose()
            return names

        # The one that has looked up the environment and the certificates.
        assert len(asyncio.run(run())) <= 1

    def test_may_be_uvloop(self, sandbox: Sandbox) -> None:
        uvloop = pytest.importorskip("uvloop")
        sandbox.add_faults(Fault.hang(times=1))

        async def run() -> Reply:
            transport = http_peers.new_transport()
            request = Request.post_json(f"{sandbox.url}/getBalance", {})
            with pytest.raises(ServiceUnavailable, match="no complete reply"):
                await transport.send(request, timeout=0.2)
            reply = await transport.send(request, timeout=5)
            await transport.aclose()
            return reply

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(run()).status == 200

    def test_cancels_a_call_like_any_other(self, sandbox: Sandbox) -> None:
        sandbox.add_faults(Fault.hang())

        async def run() -> None:
            transport = http_peers.new_transport()
            request = Request.post_json(f"{sandbox.url}/getBalance", {})
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await transport.send(request, timeout=60)
            calling = asyncio.ensure_future(transport.send(request, timeout=60))
            await asyncio.sleep(0)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await transport.aclose()

        asyncio.run(run())

    def test_may_be_one_after_the_other(self, sandbox: Sandbox) -> None:
        picture = sandbox.draw_text()
        mapping = {"providers": {"main": {"plugin": "omocaptcha", **sandbox.settings("s", balance="9")}}}

        async def run() -> None:
            async with AsyncHub.from_mapping(mapping) as hub:
                assert picture.accepts((await hub.solve(picture.task())).solution)

        asyncio.run(run())
        asyncio.run(run())


class TestTheKeyTransport:
    def test_requests_goes_back(self) -> None:
        assert isinstance(http_transport("a", HttpSettings(transport="requests")), HttpTransport)
        assert not isinstance(http_transport("a", HttpSettings()), HttpTransport)

    def test_is_refused_for_a_package_that_is_missing(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hide_aiohttp(monkeypatch, None)
        main = {"plugin": "omocaptcha", **sandbox.settings("s", balance="9"), "transport": "fast"}
        with pytest.raises(ConfigError) as caught:
            Hub.from_mapping({"providers": {"main": main}})
        assert "providers.main.transport: fast needs the package aiohttp" in str(caught.value)
        assert "pip install 'captchahub[fast]'" in str(caught.value)

    @pytest.mark.parametrize("version", [None, "3.10.11", "3.9"])
    def test_is_requests_without_a_package_that_is_new_enough(
        self, version: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hide_aiohttp(monkeypatch, version)
        assert transport_kind(HttpSettings()) == "requests"


def hide_aiohttp(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    """Let the metadata of packages say that aiohttp has this version, or that it is not installed."""
    found = importlib.metadata.Distribution.from_name

    def from_name(name: str) -> importlib.metadata.Distribution:
        if name != "aiohttp":
            return found(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return OldPackage(version)

    monkeypatch.setattr(importlib.metadata.Distribution, "from_name", from_name)


class OldPackage(importlib.metadata.Distribution):
    """A package of a version, without files."""

    def __init__(self, version: str) -> None:
        self._version = version

    @property
    def version(self) -> str:
        return self._version

    def read_text(self, filename: str) -> str | None:
        return None

    def locate_file(self, path: object) -> None:  # type: ignore[override]
        return None


@pytest.fixture
def sandbox() -> Generator[Sandbox]:
    with Sandbox(load_emulation("omocaptcha")) as running:
        yield running
