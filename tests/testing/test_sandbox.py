"""The sandbox, seen by a plain HTTP client and by the test that owns it."""

import contextlib
import http.client
import json
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
import trustme

from captchahub import Image, Point, SlideSolution, TextSolution
from captchahub.testing import (
    Answer,
    Call,
    Emulation,
    Fault,
    LogNormal,
    Sandbox,
    World,
)

PICTURE = b"any bytes will do: the sandbox knows pictures by their hash"
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)


class Postcard(Emulation):
    """A made-up service: /v9/order takes a picture in hexadecimal, /v9/ask returns its answer."""

    base_path = "/v9"
    base_url_key = "address"
    token_key = "key"
    create_call = "order"
    poll_call = "ask"
    calls = frozenset({"order", "ask", "crash", "echo"})
    prices = {"image-to-text": Decimal("0.5"), "phone-slide": Decimal(1)}

    def answer(self, call: Call, world: World) -> Answer:
        match self.name_of(call):
            case "order":
                return self._order(call, world)
            case "ask":
                return self._ask(call, world)
            case "crash":
                raise ZeroDivisionError("the emulation has a mistake")
            case "echo":
                return Answer(200, call.body, {"Content-Type": call.headers.get("content-type", "?")})
            case _:
                return Answer.json({"no": "such call"}, status=404)

    def _order(self, call: Call, world: World) -> Answer:
        account = world.accounts.get(self.token_of(call) or "")
        if account is None:
            return Answer.json({"refused": "who are you?"})
        body = call.json()
        kind, picture = str(body["kind"]), bytes.fromhex(str(body["picture"]))
        job = world.create_job(account, kind, picture, self.prices[kind])
        return Answer.json({"refused": "no money"} if job is None else {"job": job.id})

    def _ask(self, call: Call, world: World) -> Answer:
        number = call.json()["job"]
        assert isinstance(number, int)
        job = world.jobs[number]
        return Answer.json({"state": job.state(world.now()), "shows": repr(job.solution)})


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Postcard()) as running:
        yield running


AUTHORITY = trustme.CA()


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    """Return a server context with a certificate that the clients in this file trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # It takes OpenSSL's own context as well, which is not installed.
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
    return context


def address(sandbox: Sandbox) -> tuple[str, int]:
    return "127.0.0.1", int(sandbox.url.split(":")[2].split("/")[0])


def connect(sandbox: Sandbox) -> http.client.HTTPConnection:
    host, port = address(sandbox)
    if sandbox.url.startswith("https:"):
        return http.client.HTTPSConnection(host, port, timeout=5, context=trusting())
    return http.client.HTTPConnection(host, port, timeout=5)


def ask(connection: http.client.HTTPConnection, name: str, **body: object) -> dict[str, object]:
    connection.request("POST", f"/v9/{name}", json.dumps(body))
    reply: dict[str, object] = json.loads(connection.getresponse().read())
    return reply


def call(sandbox: Sandbox, name: str, **body: object) -> dict[str, object]:
    connection = connect(sandbox)
    try:
        return ask(connection, name, **body)
    finally:
        connection.close()


def order(sandbox: Sandbox, picture: bytes, kind: str = "image-to-text") -> dict[str, object]:
    key = sandbox.settings()["key"]
    return call(sandbox, "order", key=key, kind=kind, picture=picture.hex())


def shown(sandbox: Sandbox, picture: bytes, kind: str = "image-to-text") -> dict[str, object]:
    return call(sandbox, "ask", job=order(sandbox, picture, kind)["job"])


def raw(sandbox: Sandbox, *pieces: bytes) -> bytes:
    """Send raw bytes, and return all that comes back until the connection ends."""
    with socket.create_connection(address(sandbox), timeout=5) as client:
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65_536), b""))


def sandbox_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sandbox")]


SERVICE = """
import gc, socket
from captchahub.testing import Answer, Emulation, Fault, Sandbox

class Yes(Emulation):
    create_call, poll_call, prices = "a", "b", {}
    calls = frozenset({"a", "b", "hang"})
    def answer(self, call, world):
        return Answer(200, b"yes")
"""


def run(script: str, *options: str) -> tuple[int, str]:
    """Return the exit code of a program, and its standard error."""
    arguments = [sys.executable, *options, "-c", script]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
    return ended.returncode, ended.stderr


# Serving


def test_its_address_carries_the_base_path_of_the_service(sandbox: Sandbox) -> None:
    assert sandbox.url.startswith("http://127.0.0.1:")
    assert sandbox.url.endswith("/v9")


def test_it_has_no_address_before_the_first_start() -> None:
    with pytest.raises(RuntimeError, match=r"call start\(\)"):
        _ = Sandbox(Postcard()).url


def test_many_calls_share_one_connection(sandbox: Sandbox) -> None:
    connection = connect(sandbox)
    for number in range(3):
        assert ask(connection, "echo", number=number) == {"number": number}
    connection.close()
    assert sandbox.connections == 1
    assert [record.connection for record in sandbox.calls] == [1, 1, 1]


def test_a_client_that_closes_each_time_gets_a_connection_each_time(sandbox: Sandbox) -> None:
    for _ in range(3):
        call(sandbox, "echo")
    assert sandbox.connections == 3
    assert [record.connection for record in sandbox.calls] == [1, 2, 3]


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v9/echo HTTP/1.0\r\n",
        b"POST /v9/echo HTTP/1.1\r\nConnection: close\r\n",
        b"HEAD /v9/echo HTTP/1.1\r\n",
    ],
)
def test_a_client_that_wants_one_reply_gets_the_connection_closed(sandbox: Sandbox, head: bytes) -> None:
    with socket.create_connection(address(sandbox), timeout=5) as client:
        client.sendall(head + b"Content-Length: 2\r\n\r\nhi")
        assert b"".join(iter(lambda: client.recv(65_536), b"")).endswith(b"\r\n\r\nhi")


def test_it_takes_a_body_in_chunks(sandbox: Sandbox) -> None:
    connection = connect(sandbox)
    connection.request("POST", "/v9/echo", iter([b"in ", b"chunks"]), encode_chunked=True)
    assert connection.getresponse().read() == b"in chunks"
    connection.close()


def test_it_tells_a_waiting_client_to_go_on(sandbox: Sandbox) -> None:
    head = b"POST /v9/echo HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    assert raw(sandbox, head, b"hi").startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_calls_keep_their_headers_and_their_query(sandbox: Sandbox) -> None:
    connection = connect(sandbox)
    connection.request("GET", "/v9/look?at=me", headers={"X-Colour": "green"})
    connection.getresponse().read()
    connection.close()
    (record,) = sandbox.calls
    assert (record.call.method, record.call.path) == ("GET", "/v9/look?at=me")
    assert record.call.headers["x-colour"] == "green"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"what is this?\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"POST /v9/echo HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST /v9/echo HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"400"),
        (b"POST /v9/echo HTTP/1.1\r\nContent-Length: 20000001\r\n\r\n", b"413"),
        (b"POST /v9/echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", b"413"),
        (b"POST /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"X-A: 1\r\n" * 200 + b"\r\n", b"431"),
    ],
)
def test_a_request_that_is_not_http_is_refused_and_the_next_is_served(
    sandbox: Sandbox, request_bytes: bytes, status: bytes
) -> None:
    assert raw(sandbox, request_bytes).startswith(b"HTTP/1.1 " + status)
    assert call(sandbox, "echo", still="here") == {"still": "here"}
    assert len(sandbox.calls) == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"POST /v9/ec",
        b"POST /v9/echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nshort",
        b"POST /v9/echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST /v9/echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    ],
)
def test_a_client_that_leaves_in_the_middle_is_no_call(sandbox: Sandbox, request_bytes: bytes) -> None:
    assert raw(sandbox, request_bytes) == b""
    assert sandbox.calls == []


def test_forty_clients_at_once_each_get_their_own_answers() -> None:
    with Sandbox(Postcard()) as sandbox, ThreadPoolExecutor(40) as pool:

        def converse(client: int) -> bool:
            connection = connect(sandbox)
            replies = [ask(connection, "echo", client=client, number=number) for number in range(25)]
            connection.close()
            return replies == [{"client": client, "number": number} for number in range(25)]

        assert all(pool.map(converse, range(40)))
        assert len(sandbox.calls_to("echo")) == 1000
        assert sandbox.connections == 40


# Stopping


class Troubled(Postcard):
    calls = Postcard.calls | {"hang", "hang-handled", "drip", "flood", "late", "too-long"}


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_stop_ends_idle_waiting_dripping_flooding_and_slow_connections(
    tls: ssl.SSLContext, secure: bool
) -> None:
    rules = [
        Fault.hang(on="hang"),
        Fault.hang(on="hang-handled", handled=True),
        Fault.drip(3600, on="drip"),
        Fault.oversized(on="flood"),
        Fault.late(3600, on="late"),
        Fault.wrong_length(10, on="too-long"),
    ]
    sandbox = Sandbox(Troubled(), faults=rules, tls=tls if secure else None).start()
    names = [str(rule.on) for rule in rules]
    clients = [connect(sandbox) for _ in [*names, "idle"]]
    for client, name in zip(clients, [*names, "echo"], strict=True):
        client.request("POST", f"/v9/{name}", "{}")
    for name in [*names, "echo"]:
        sandbox.wait_for_calls(name)
    half_a_request = connect(sandbox)
    half_a_request.putrequest("POST", "/v9/echo")
    sandbox.stop()
    assert sandbox_threads() == []
    with pytest.raises(ConnectionRefusedError):
        call(sandbox, "echo")
    for client in [*clients, half_a_request]:
        client.close()


class Thinker(Postcard):
    """Answers after a moment."""

    def __init__(self) -> None:
        self.asked, self.done = threading.Event(), False

    def answer(self, call: Call, world: World) -> Answer:
        self.asked.set()
        threading.Event().wait(0.1)
        self.done = True
        return Answer(200, b"")


def test_stop_waits_for_an_answer_in_the_making() -> None:
    thinker = Thinker()
    sandbox = Sandbox(thinker).start()
    client = connect(sandbox)
    client.request("POST", "/v9/echo", "{}")
    assert thinker.asked.wait(5)
    sandbox.stop()
    assert thinker.done
    client.close()


def test_stop_cuts_the_latency_short() -> None:
    sandbox = Sandbox(Postcard(), latency=3600).start()
    client = connect(sandbox)
    client.request("POST", "/v9/echo", "{}")
    sandbox.stop()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        client.getresponse()
    client.close()
    assert sandbox.calls == []


def test_no_socket_is_left_after_stop() -> None:
    script = (
        SERVICE
        + """
with Sandbox(Yes(), faults=[Fault.hang(on="hang")]) as sandbox:
    port = int(sandbox.url.rsplit(":", 1)[1])
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    for client in clients:
        client.sendall(b"GET /hang HTTP/1.1\\r\\n\\r\\n")
    sandbox.wait_for_calls("hang", 5)
for client in clients:
    client.close()
del sandbox
gc.collect()
"""
    )
    assert run(script, "-X", "dev", "-W", "error") == (0, "")


def test_a_sandbox_that_nobody_stopped_does_not_keep_the_program_alive() -> None:
    script = (
        SERVICE
        + """
sandbox = Sandbox(Yes()).start()
client = socket.create_connection(("127.0.0.1", int(sandbox.url.rsplit(":", 1)[1])))
"""
    )
    assert run(script) == (0, "")


def test_it_starts_again_at_the_same_address_and_keeps_its_records(sandbox: Sandbox) -> None:
    url = sandbox.url
    call(sandbox, "echo")
    sandbox.stop()
    sandbox.start()
    call(sandbox, "echo")
    assert sandbox.url == url
    assert len(sandbox.calls) == sandbox.connections == 2
    assert [record.connection for record in sandbox.calls] == [1, 2]


def test_it_can_not_be_started_twice(sandbox: Sandbox) -> None:
    with pytest.raises(RuntimeError, match="already serves"):
        sandbox.start()


def test_stop_may_be_called_again(sandbox: Sandbox) -> None:
    sandbox.stop()
    sandbox.stop()


def crash(sandbox: Sandbox) -> tuple[int, bytes]:
    connection = connect(sandbox)
    connection.request("POST", "/v9/crash")
    reply = connection.getresponse()
    answer = reply.status, reply.read()
    connection.close()
    return answer


def test_a_mistake_in_the_emulation_is_a_500_and_reaches_the_test() -> None:
    sandbox = Sandbox(Postcard()).start()
    status, text = crash(sandbox)
    assert (status, b"has a mistake" in text) == (500, True)
    with pytest.raises(ZeroDivisionError, match="has a mistake"):
        sandbox.stop()
    assert sandbox_threads() == []


def test_a_mistake_in_the_emulation_reaches_the_end_of_a_with_statement() -> None:
    with pytest.raises(ZeroDivisionError, match="has a mistake"), Sandbox(Postcard()) as sandbox:
        crash(sandbox)


def test_a_mistake_in_the_emulation_does_not_hide_the_error_of_the_test() -> None:
    def failing_test() -> None:
        with Sandbox(Postcard()) as sandbox:
            crash(sandbox)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        failing_test()


# TLS


@pytest.fixture
def secure(tls: ssl.SSLContext) -> Iterator[Sandbox]:
    with Sandbox(Postcard(), tls=tls) as running:
        yield running


@contextlib.contextmanager
def speak_tls(sandbox: Sandbox) -> Generator[ssl.SSLSocket]:
    with (
        socket.create_connection(address(sandbox), timeout=5) as plain,
        trusting().wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        yield client


def test_with_a_certificate_it_speaks_https(secure: Sandbox) -> None:
    assert secure.url.startswith("https://127.0.0.1:")
    assert secure.settings()["address"] == secure.url
    connection = connect(secure)
    for number in range(3):
        assert ask(connection, "echo", number=number) == {"number": number}
    connection.close()
    assert [record.connection for record in secure.calls] == [1, 1, 1]


def test_a_large_body_goes_there_and_back_over_tls(secure: Sandbox) -> None:
    assert call(secure, "echo", large="x" * 3_000_000) == {"large": "x" * 3_000_000}


def test_a_request_over_tls_that_is_not_http_is_refused(secure: Sandbox) -> None:
    with speak_tls(secure) as client:
        client.sendall(b"what is this?\r\n\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 400")


def speak_clear_text(sandbox: Sandbox) -> None:
    assert b"HTTP" not in first_reply(sandbox, b"POST /v9/echo HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi")


def speak_nonsense(sandbox: Sandbox) -> None:
    assert b"HTTP" not in first_reply(sandbox, b"\x16\x03\x01\x00\x05nonsense")


def first_reply(sandbox: Sandbox, data: bytes) -> bytes:
    with socket.create_connection(address(sandbox), timeout=5) as client:
        client.sendall(data)
        try:
            return client.recv(65_536)
        except ConnectionResetError:
            return b""


def trust_nobody(sandbox: Sandbox) -> None:
    host, port = address(sandbox)
    with pytest.raises(ssl.SSLCertVerificationError):
        http.client.HTTPSConnection(host, port, timeout=5, context=ssl.create_default_context()).connect()


def leave(sandbox: Sandbox) -> None:
    socket.create_connection(address(sandbox), timeout=5).close()


def reset(sandbox: Sandbox) -> None:
    with socket.create_connection(address(sandbox), timeout=5) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"\x16")


@pytest.mark.parametrize("approach", [speak_clear_text, speak_nonsense, trust_nobody, leave, reset])
def test_a_client_that_fails_at_the_handshake_makes_no_call_and_the_next_is_served(
    secure: Sandbox, approach: Callable[[Sandbox], None]
) -> None:
    for _ in range(3):
        approach(secure)
    assert call(secure, "echo", still="here") == {"still": "here"}
    assert secure.connections == 4
    assert len(secure.calls) == 1


def test_stop_ends_a_client_that_says_nothing_where_a_handshake_is_due(tls: ssl.SSLContext) -> None:
    sandbox = Sandbox(Postcard(), tls=tls).start()
    silent = socket.create_connection(address(sandbox), timeout=5)
    assert call(sandbox, "echo", others="are served") == {"others": "are served"}
    began = time.monotonic()
    sandbox.stop()
    assert time.monotonic() - began < 2
    assert sandbox_threads() == []
    assert silent.recv(1) == b""
    silent.close()


def test_a_connection_over_tls_can_be_reset(secure: Sandbox) -> None:
    secure.add_faults(Fault.reset(on="echo"))
    with speak_tls(secure) as client:
        client.sendall(b"GET /v9/echo HTTP/1.1\r\n\r\n")
        # The recv() of a TLS socket takes a reset for an end.
        blocks = iter(lambda: socket.socket.recv(client, 65_536), b"")
        with pytest.raises(ConnectionResetError):
            list(blocks)


def test_no_socket_is_left_after_stop_over_tls() -> None:
    script = (
        SERVICE
        + """
import ssl, trustme
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
authority = trustme.CA()
authority.issue_cert("127.0.0.1").configure_cert(context)
trusting = ssl.create_default_context()
authority.configure_trust(trusting)
with Sandbox(Yes(), faults=[Fault.hang(on="hang")], tls=context) as sandbox:
    port = int(sandbox.url.rsplit(":", 1)[1])
    plain = [socket.create_connection(("127.0.0.1", port)) for _ in range(6)]
    clients = [trusting.wrap_socket(client, server_hostname="127.0.0.1") for client in plain[3:]]
    for client in clients:
        client.sendall(b"GET /hang HTTP/1.1\\r\\n\\r\\n")
    sandbox.wait_for_calls("hang", 3)
for client in [*plain, *clients]:
    client.close()
del sandbox
gc.collect()
"""
    )
    assert run(script, "-X", "dev", "-W", "error") == (0, "")


def test_a_context_for_clients_is_refused_when_the_sandbox_is_made() -> None:
    with pytest.raises(ValueError, match=r"for servers: ssl\.SSLContext\(ssl\.PROTOCOL_TLS_SERVER\)"):
        Sandbox(Postcard(), tls=ssl.create_default_context())


# Records


def test_a_record_tells_who_called_what_and_how_it_went(sandbox: Sandbox) -> None:
    fault = Fault.status(503, on="order", times=1)
    sandbox.add_faults(fault)
    connection = connect(sandbox)
    connection.request("POST", "/v9/order", '{"key": "secret-key"}')
    connection.getresponse().read()
    ask(connection, "order", key="secret-key")
    connection.close()
    refused, answered = sandbox.calls_to("order")
    assert (refused.fault, refused.status, refused.handled) == (fault, 503, False)
    assert (answered.fault, answered.status, answered.handled) == (None, 200, True)
    assert refused.token == answered.token == "secret-key"
    assert "secret-key" not in repr(sandbox.calls)
    assert 0 <= refused.received <= answered.received <= sandbox.world.now()


def test_a_test_waits_for_calls_without_sleeping(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sandbox.wait_for_calls, "echo", 2)
        call(sandbox, "echo")
        call(sandbox, "other")
        call(sandbox, "echo")
        assert [record.name for record in waiting.result()] == ["echo", "echo"]


def test_a_misspelt_call_is_refused_with_the_right_name(sandbox: Sandbox) -> None:
    advice = r"the service has no call 'Ordr'; did you mean 'order'\? calls: ask, crash, echo, order"
    for mistake in (
        lambda: Sandbox(Postcard(), faults=[Fault.drop(on="Ordr")]),
        lambda: sandbox.add_faults(Fault.drop(on="ask"), Fault.drop(on="Ordr")),
        lambda: sandbox.calls_to("Ordr"),
        lambda: sandbox.wait_for_calls("Ordr", timeout=0),
    ):
        with pytest.raises(ValueError, match=advice):
            mistake()


def test_of_faults_with_a_mistake_none_is_in_force(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="no call 'Ordr'"):
        sandbox.add_faults(Fault.drop(on="echo"), Fault.drop(on="Ordr"))
    assert call(sandbox, "echo", well=True) == {"well": True}


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ("omocaptcha", r"not its name: load_emulation\('omocaptcha'\)"),
        (Postcard, r"needs an Emulation, not <class .*Postcard'>; see load_emulation"),
    ],
)
def test_a_sandbox_of_no_emulation_is_refused_when_it_is_made(wrong: Emulation, advice: str) -> None:
    with pytest.raises(TypeError, match=advice):
        Sandbox(wrong)


def test_waiting_in_vain_tells_what_was_seen(sandbox: Sandbox) -> None:
    call(sandbox, "other")
    with pytest.raises(TimeoutError, match=r"fewer than 1 calls to 'echo' within 0\.01 s; calls: other"):
        sandbox.wait_for_calls("echo", timeout=0.01)
    with pytest.raises(TimeoutError, match=r"only 0 of 1 jobs within 0\.01 s"):
        sandbox.wait_for_jobs(timeout=0.01)


def test_jobs_can_be_waited_for(sandbox: Sandbox) -> None:
    order(sandbox, PICTURE)
    assert sandbox.wait_for_jobs() == sandbox.jobs
    assert [job.price for job in sandbox.jobs] == [Decimal("0.5")]


# Accounts and pictures


def test_settings_open_an_account_once(sandbox: Sandbox) -> None:
    settings = sandbox.settings("mine", balance="3")
    sandbox.world.accounts["mine"].balance -= 1
    quick = {"poll": {"first": "10ms", "every": "10ms"}}
    assert (
        sandbox.settings("mine", balance="3") == settings == {"address": sandbox.url, "key": "mine", **quick}
    )
    assert sandbox.world.accounts["mine"].balance == 2


class Regional(Postcard):
    """A service whose provider needs more settings than the address and the key."""

    @property
    def provider_settings(self) -> dict[str, str]:
        return {"region": "north", "key": "of no account"}


def test_settings_have_what_else_the_provider_needs() -> None:
    with Sandbox(Regional()) as sandbox:
        settings = sandbox.settings("mine", quick=False)
        assert settings == {"region": "north", "address": sandbox.url, "key": "mine"}


def test_an_account_pays_for_its_jobs(sandbox: Sandbox) -> None:
    sandbox.settings(balance="0.75")
    assert "job" in order(sandbox, PICTURE)
    assert order(sandbox, PICTURE) == {"refused": "no money"}


def test_a_scripted_picture_is_answered_as_scripted(sandbox: Sandbox) -> None:
    drag = SlideSolution(Point(1, 2), Point(3, 4))
    sandbox.script(Image.from_bytes(PIXEL), TextSolution("by hand"))
    sandbox.script(b"any bytes", drag)
    sandbox.script(b"too blurred", None)
    assert shown(sandbox, PIXEL) == {"state": "solved", "shows": repr(TextSolution("by hand"))}
    assert shown(sandbox, b"any bytes", "phone-slide") == {"state": "solved", "shows": repr(drag)}
    assert shown(sandbox, b"too blurred")["state"] == "failed"


def test_a_picture_that_nobody_knows_fails(sandbox: Sandbox) -> None:
    assert shown(sandbox, b"never seen")["state"] == "failed"


def test_a_drawn_picture_is_answered_with_its_truth(sandbox: Sandbox) -> None:
    text, slide = sandbox.draw_text(length=4), sandbox.draw_slide()
    assert shown(sandbox, text.image.data)["shows"] == repr(text.solution)
    assert shown(sandbox, slide.image.data, "phone-slide")["shows"] == repr(slide.solution)


def test_a_drawn_picture_ordered_as_the_wrong_kind_fails(sandbox: Sandbox) -> None:
    assert shown(sandbox, sandbox.draw_text().image.data, "phone-slide")["state"] == "failed"


def test_equal_seeds_draw_equal_texts() -> None:
    one, same, other = (Sandbox(Postcard(), seed=seed).draw_text(length=12).text for seed in (1, 1, 2))
    assert one == same != other


# Time and chance


def test_a_job_takes_its_time_or_until_the_test_ends_it() -> None:
    with Sandbox(Postcard(), job_time=3600) as sandbox:
        sandbox.script(PICTURE, TextSolution("late"))
        number = order(sandbox, PICTURE)["job"]
        assert call(sandbox, "ask", job=number)["state"] == "working"
        (job,) = sandbox.jobs
        assert job.ready_at - job.created_at == pytest.approx(3600)
        sandbox.finish_jobs()
        assert call(sandbox, "ask", job=number)["state"] == "solved"


def test_job_times_can_be_spread() -> None:
    with Sandbox(Postcard(), job_time=LogNormal(100, 0.5), seed=5) as sandbox:
        for _ in range(3):
            order(sandbox, PICTURE)
        times = {round(job.ready_at - job.created_at, 6) for job in sandbox.jobs}
    assert len(times) == 3


def test_failures_come_at_their_rate_and_by_the_seed() -> None:
    def failed(seed: int) -> list[bool]:
        sandbox = Sandbox(Postcard(), failure_rate=0.3, seed=seed)
        sandbox.script(PICTURE, TextSolution("x"))
        account = sandbox.world.add_account("a", "1000")
        jobs = [sandbox.world.create_job(account, "image-to-text", PICTURE, Decimal(1)) for _ in range(500)]
        return [job is not None and job.solution is None for job in jobs]

    assert failed(1) == failed(1) != failed(2)
    assert 0.2 < statistics.mean(failed(1)) < 0.4


def test_latency_delays_the_reply() -> None:
    with Sandbox(Postcard(), latency=0.05) as sandbox:
        call(sandbox, "echo")
        (record,) = sandbox.calls
        assert sandbox.world.now() - record.received >= 0.05


class Billboard(Postcard):
    """A service without tokens."""

    token_key = ""


def test_a_service_without_tokens_has_none_in_its_settings_and_finds_none_in_a_call() -> None:
    with Sandbox(Billboard()) as sandbox:
        assert sandbox.settings(quick=False) == {"address": sandbox.url}
        sent = Call("POST", "/v9/order", {}, b'{"key": "x", "": "y"}', 0.0)
        assert sandbox.emulation.token_of(sent) is None
