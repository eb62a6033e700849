"""The transport over real HTTP: what it sends, what it refuses, and what each error says."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import threading
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from captchahub import ConfigError, MalformedReply, ServiceUnavailable
from captchahub._http.happy_eyeballs import Address
from captchahub._policy.concurrency import LEAST_CALLS
from captchahub.provider import Request
from captchahub.settings import HttpSettings
from captchahub.testing import Answer, Fault, Sandbox, load_emulation
from tests.http_peers import TlsServer, connect_proxy, failure, new_transport, send
from tests.unreachable_addresses import address, refusing, resolving, swallowing

# Each with both transports.
pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(load_emulation("omocaptcha")) as running:
        yield running


class TestAReply:
    def test_comes_with_status_headers_and_body(self, sandbox: Sandbox) -> None:
        sandbox.settings("s3cret")
        reply = send(f"{sandbox.url}/getBalance")
        assert reply.status == 200
        assert reply.json_object()["error"] is False
        assert reply.headers["content-type"].startswith("application/json")

    def test_of_any_status_is_a_reply(self, sandbox: Sandbox) -> None:
        sandbox.add_faults(Fault.status(503, retry_after=7))
        reply = send(f"{sandbox.url}/getBalance")
        assert (reply.status, reply.retry_after) == (503, 7.0)

    @pytest.mark.parametrize("statuses", [[100], [102], [103], [100, 102, 103, 103, 103]])
    def test_is_what_follows_the_interim_replies(self, sandbox: Sandbox, statuses: list[int]) -> None:
        sandbox.add_faults(Fault.interim(*statuses, headers={"Link": "</a>", "Content-Length": "7"}))
        sandbox.settings("s3cret")
        reply = send(f"{sandbox.url}/getBalance", times=3)
        assert (reply.status, reply.json_object()["error"]) == (200, False)
        assert "link" not in reply.headers
        assert sandbox.connections == 1

    def test_that_switches_the_protocol_is_the_last_of_its_connection(self, sandbox: Sandbox) -> None:
        switched = Answer(101, b"", {"Upgrade": "h2c", "Connection": "Upgrade"})
        sandbox.add_faults(Fault.reply(switched, times=1))
        assert send(f"{sandbox.url}/getBalance", times=2).status == 200
        assert sandbox.connections == 2

    def test_that_redirects_is_not_followed(self, sandbox: Sandbox) -> None:
        sandbox.add_faults(Fault.redirect())
        assert send(f"{sandbox.url}/getBalance").status == 302
        assert len(sandbox.calls) == 1

    def test_uses_the_connection_of_the_one_before(self, sandbox: Sandbox) -> None:
        send(f"{sandbox.url}/getBalance", times=5)
        assert len(sandbox.calls) == 5
        assert sandbox.connections == 1

    def test_does_not_use_a_connection_that_rested_too_long(self, sandbox: Sandbox) -> None:
        async def run() -> None:
            transport = new_transport(max_idle=0)
            request = Request.post_json(f"{sandbox.url}/getBalance", {})
            for _ in range(3):
                await transport.send(request, timeout=5)
            await transport.aclose()

        asyncio.run(run())
        assert sandbox.connections == 3

    def test_that_a_server_compressed_unasked_is_unpacked(self, sandbox: Sandbox) -> None:
        packed = Answer(200, gzip.compress(b'{"error": false}'), {"Content-Encoding": "gzip"})
        sandbox.add_faults(Fault.reply(packed))
        assert send(f"{sandbox.url}/getBalance").json_object() == {"error": False}
        (call,) = sandbox.calls
        assert call.call.headers["accept-encoding"] == "identity"


class TestARequest:
    def test_names_the_client(self, sandbox: Sandbox) -> None:
        send(f"{sandbox.url}/getBalance")
        send(f"{sandbox.url}/getBalance", settings=HttpSettings(user_agent="archive/2"))
        agents = [call.call.headers["user-agent"] for call in sandbox.calls]
        assert agents == ["captchahub/0.1.0", "archive/2"]

    def test_in_clear_text_is_refused_unless_it_stays_on_this_machine(self) -> None:
        with pytest.raises(ConfigError, match="use https"):
            send("http://service.example/api/getBalance")

    def test_never_shows_its_token_in_an_error(self, sandbox: Sandbox) -> None:
        sandbox.add_faults(Fault.drop())
        error: BaseException | None = failure(f"{sandbox.url}/getBalance")
        assert error is not None
        assert error.__cause__ is None
        assert error.__context__ is None
        assert "s3cret" not in f"{error!r} {error}"


class TestAFailure:
    """Each says whether the request is known not to have been sent."""

    def test_to_connect_is_known_not_sent(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            error = failure(f"http://127.0.0.1:{unused.getsockname()[1]}/api")
        assert isinstance(error, ServiceUnavailable)
        assert error.nothing_created
        assert "Connection refused" in str(error)

    def test_to_resolve_the_name_is_known_not_sent(self) -> None:
        error = failure("https://no-such-host.invalid/api")
        assert isinstance(error, ServiceUnavailable)
        assert error.nothing_created
        assert "name can't be resolved" in str(error)

    @pytest.mark.parametrize(
        "fault",
        [
            Fault.drop(),
            Fault.drop(handled=True),
            Fault.reset(),
            Fault.truncated(),
            Fault.not_http(),
            Fault.only_interim(),
        ],
        ids=lambda fault: f"{fault.kind} {fault.handled}",
    )
    def test_after_the_first_byte_may_have_arrived(self, sandbox: Sandbox, fault: Fault) -> None:
        sandbox.add_faults(fault)
        error = failure(f"{sandbox.url}/getBalance")
        assert isinstance(error, ServiceUnavailable)
        assert not error.nothing_created

    @pytest.mark.parametrize("fault", [Fault.hang(), Fault.hang(handled=True), Fault.drip(0.05)])
    def test_to_reply_in_time_may_have_arrived_and_takes_no_longer(
        self, sandbox: Sandbox, fault: Fault
    ) -> None:
        sandbox.add_faults(fault)
        error = failure(f"{sandbox.url}/getBalance", timeout=0.3)
        assert isinstance(error, ServiceUnavailable)
        assert not error.nothing_created
        assert "no complete reply within 0.3 s" in str(error)

    @pytest.mark.parametrize("fault", [Fault.oversized(), Fault.oversized(announced=False), Fault.bomb()])
    def test_to_be_small_enough_is_no_reply_anybody_can_read(self, sandbox: Sandbox, fault: Fault) -> None:
        sandbox.add_faults(fault)
        error = failure(f"{sandbox.url}/getBalance", settings=HttpSettings(max_reply_bytes=50_000))
        assert isinstance(error, MalformedReply)
        assert "more than 50000 bytes" in str(error)

    def test_while_no_connection_came_about_is_known_not_sent(self) -> None:
        with deaf_server() as port:
            error = failure(f"https://127.0.0.1:{port}/api", timeout=0.3)
        assert isinstance(error, ServiceUnavailable)
        assert error.nothing_created
        assert "not connected within 0.3 s" in str(error)

    @pytest.mark.parametrize("timeout", [0.2, 5.0], ids=["timeout", "refused"])
    def test_does_not_keep_the_request_until_the_next_garbage_collection(self, timeout: float) -> None:
        async def run(port: int) -> weakref.ref[Request]:
            transport = new_transport()
            request = Request.post_json(f"http://127.0.0.1:{port}/api", {})
            try:
                await transport.send(request, timeout=timeout)
            except ServiceUnavailable:
                return weakref.ref(request)
            finally:
                await transport.aclose()
            raise AssertionError("the request was sent")

        with (refusing if timeout == 5.0 else swallowing)() as place:
            gc.disable()
            try:
                kept = asyncio.run(run(place[4][1]))
                assert kept() is None
            finally:
                gc.enable()


@contextmanager
def deaf_server() -> Generator[int]:
    """Run a server that accepts connections and never sends a byte, not even of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def own_address(sandbox: Sandbox) -> Address:
    return address(urlsplit(sandbox.url).port or 0)


class TestAHostWithManyAddresses:
    """An address that drops all packets never fails, so the next one is tried at the same time."""

    @pytest.mark.parametrize("dead", [1, 3])
    def test_is_reached_at_the_one_that_answers(self, sandbox: Sandbox, dead: int) -> None:
        with swallowing("127.0.0.2") as lost:
            resolve = resolving(*[lost] * dead, own_address(sandbox))
            reply = send("http://localhost:9/getBalance", resolve=resolve, times=3)
        assert reply.status == 200
        assert sandbox.connections == 1
        assert len(sandbox.calls) == 3

    def test_is_sent_once_if_all_addresses_answer(self, sandbox: Sandbox) -> None:
        resolve = resolving(*[own_address(sandbox)] * 5)
        assert send("http://localhost:9/createJob", resolve=resolve).status == 200
        assert len(sandbox.calls) == 1

    def test_that_are_all_dead_is_known_not_to_have_had_the_request(self) -> None:
        with swallowing() as lost:
            error = failure("http://localhost:9/createJob", resolve=resolving(lost, lost), timeout=0.2)
        assert isinstance(error, ServiceUnavailable)
        assert error.nothing_created
        assert "not connected within 0.2 s" in str(error)

    def test_that_all_refuse_says_so_once(self) -> None:
        with refusing() as closed:
            error = failure("http://localhost:9/createJob", resolve=resolving(*[closed] * 9))
        assert isinstance(error, ServiceUnavailable)
        assert error.nothing_created
        assert str(error).count("Connection refused") == 1

    def test_releases_its_threads_after_a_timeout(self) -> None:
        async def run(lost: Address) -> None:
            transport = new_transport(resolve=resolving(lost))
            request = Request.post_json("http://localhost:9/createJob", {})
            asking = asyncio.ensure_future(transport.send(request, timeout=3600))
            await asyncio.sleep(0)
            await transport.aclose()
            with pytest.raises(ServiceUnavailable):
                await asking

        with swallowing() as lost:
            asyncio.run(run(lost))
        assert not threads_of_ours()

    def test_may_be_a_proxy(self, tls_server: TlsServer) -> None:
        with swallowing() as lost, connect_proxy() as (proxy, asked):
            port = int(proxy.rpartition(":")[2])
            settings = HttpSettings(ca_bundle=tls_server.authority, proxy="http://proxy.test:3128")
            url = tls_server.url.replace("localhost", "service.test")
            reply = send(url, settings=settings, resolve=resolving(lost, address(port)))
        assert (reply.body, len(asked)) == (b"{}", 1)


class TestTooManyCalls:
    def test_those_that_waited_too_long_for_their_turn_are_never_begun(self, sandbox: Sandbox) -> None:
        """A call must not be made whose caller has given up."""
        sandbox.add_faults(Fault.hang())

        async def run() -> list[ServiceUnavailable]:
            transport = new_transport()
            request = Request.post_json(f"{sandbox.url}/createJob", {})
            # Those that wait for their turn time out first, however busy the machine is.
            calls = [
                transport.send(request, timeout=1.5 if n < LEAST_CALLS else 0.5)
                for n in range(LEAST_CALLS + 68)
            ]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            await transport.aclose()
            return [outcome for outcome in outcomes if isinstance(outcome, ServiceUnavailable)]

        errors = asyncio.run(run())
        assert len(errors) == LEAST_CALLS + 68
        begun = [error for error in errors if not error.nothing_created]
        assert len(begun) == len(sandbox.calls) == LEAST_CALLS

    def test_are_more_if_the_service_is_far_away(self, sandbox: Sandbox) -> None:
        sandbox.add_faults(Fault.late(0.3))

        async def run() -> None:
            transport = new_transport()
            request = Request.post_json(f"{sandbox.url}/getBalance", {})
            for calls in (LEAST_CALLS, LEAST_CALLS * 2):
                await asyncio.gather(*(transport.send(request, timeout=5) for _ in range(calls)))
            await transport.aclose()

        asyncio.run(run())
        assert len({call.connection for call in sandbox.calls}) > LEAST_CALLS

    def test_none_is_called_unsent_that_the_server_has_seen(self, sandbox: Sandbox) -> None:
        """Timeouts as long as a call, so that many of them end a call that is being sent."""
        seconds = [n / 4000 for n in range(1, 13)] * 20

        async def run() -> list[object]:
            transport = new_transport()
            outcomes: list[object] = []
            for n, timeout in enumerate(seconds):
                request = Request.post_json(f"{sandbox.url}/call-{n}", {})
                outcomes += await asyncio.gather(
                    transport.send(request, timeout=timeout), return_exceptions=True
                )
            await transport.aclose()
            return outcomes

        outcomes = asyncio.run(run())
        unsent = {n for n, one in enumerate(outcomes) if getattr(one, "nothing_created", False)}
        seen = {int(call.name.removeprefix("call-")) for call in sandbox.calls}
        assert unsent & seen == set()


class TestClosing:
    def test_cuts_off_what_is_under_way(self, sandbox: Sandbox) -> None:
        sandbox.add_faults(Fault.hang())

        async def run() -> None:
            transport = new_transport()
            request = Request.post_json(f"{sandbox.url}/getBalance", {})
            asking = asyncio.ensure_future(transport.send(request, timeout=60))
            await asyncio.to_thread(sandbox.wait_for_calls, "getBalance")
            await transport.aclose()
            with pytest.raises(ServiceUnavailable):
                await asking

        asyncio.run(run())
        assert not threads_of_ours()

    def test_leaves_no_thread_behind(self, sandbox: Sandbox) -> None:
        send(f"{sandbox.url}/getBalance")
        assert not threads_of_ours()

    def test_an_abandoned_call_gives_its_thread_back(self, sandbox: Sandbox) -> None:
        sandbox.add_faults(Fault.drip(0.02, times=40))

        async def run() -> None:
            transport = new_transport()
            request = Request.post_json(f"{sandbox.url}/getBalance", {})
            calls = [transport.send(request, timeout=0.2) for _ in range(40)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(outcome, ServiceUnavailable) for outcome in outcomes)
            sandbox.clear_faults()
            assert (await transport.send(request, timeout=5)).status == 200
            await transport.aclose()

        asyncio.run(run())


def threads_of_ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("captchahub test")]


class TestTls:
    def test_a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent(
        self, tls_server: TlsServer
    ) -> None:
        error = failure(tls_server.url)
        assert isinstance(error, ServiceUnavailable)
        assert error.nothing_created
        assert "certificate verification failed" in str(error)
        assert "ca_bundle" in str(error)
        assert tls_server.requests == []

    def test_an_own_authority_can_be_trusted(self, tls_server: TlsServer) -> None:
        reply = send(tls_server.url, settings=HttpSettings(ca_bundle=tls_server.authority))
        assert reply.body == b"{}"

    def test_a_reply_that_drips_is_cut_off(self, tls_server: TlsServer) -> None:
        tls_server.drips = True
        error = failure(tls_server.url, settings=HttpSettings(ca_bundle=tls_server.authority), timeout=0.5)
        assert isinstance(error, ServiceUnavailable)
        assert not error.nothing_created
        assert not threads_of_ours()

    def test_a_server_without_tls_never_sees_the_request(self, sandbox: Sandbox) -> None:
        error = failure(sandbox.url.replace("http://", "https://"))
        assert isinstance(error, ServiceUnavailable)
        assert error.nothing_created
        assert "does not speak TLS" in str(error)

    def test_a_proxy_is_asked_to_connect_and_sees_no_more(self, tls_server: TlsServer) -> None:
        with connect_proxy() as (proxy, asked):
            # By name: what goes to an address of this machine never goes through a proxy.
            settings = HttpSettings(ca_bundle=tls_server.authority, proxy=proxy)
            url = tls_server.url.replace("localhost", "service.test")
            reply = send(url, settings=settings)
        assert reply.body == b"{}"
        assert [line.rpartition(" ")[0] for line in asked] == [f"CONNECT service.test:{tls_server.port}"]

    def test_a_proxy_that_refuses_is_known_not_sent(self) -> None:
        with connect_proxy(b"HTTP/1.1 403 Forbidden\r\n\r\n") as (proxy, _):
            error = failure("https://service.test/api", settings=HttpSettings(proxy=proxy))
        assert isinstance(error, ServiceUnavailable)
        assert error.nothing_created

    def test_a_proxy_of_another_kind_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="http:// or https://"):
            send("https://service.test/api", settings=HttpSettings(proxy="socks5://127.0.0.1:1080"))


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[TlsServer]:
    server = TlsServer(tmp_path)
    yield server
    server.close()
