"""Faults on the wire, seen from a raw client."""

import http.client
import json
import socket
import threading
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice

import pytest

from captchahub.testing import ALL_WIRE_FAULTS, Answer, Call, Emulation, Fault, Sandbox, World, wire_faults
from captchahub.testing.faults import FaultRules

JSON = '{"who": "the service itself", "count": 1234567890}'


class Counter(Emulation):
    """Gives the same answer to every call, and counts the calls."""

    token_key = "key"
    create_call = "create"
    poll_call = "poll"
    calls = frozenset({"create", "poll"})
    prices = {}

    def __init__(self) -> None:
        self.asked: list[str] = []

    def answer(self, call: Call, world: World) -> Answer:
        self.asked.append(self.name_of(call))
        return Answer(200, JSON.encode(), {"Content-Type": "application/json"})


def plain(sandbox: Sandbox) -> socket.socket:
    port = int(sandbox.url.rsplit(":", 1)[1])
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def post(client: socket.socket, name: str = "create") -> None:
    client.sendall(b"POST /%b HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}" % name.encode())


def rest(client: socket.socket) -> bytes:
    """Return the bytes that still arrive before the connection ends."""
    return b"".join(iter(lambda: client.recv(65_536), b""))


def received(fault: Fault) -> bytes:
    """Return all bytes of the reply to one call, if the fault ends the connection."""
    with Sandbox(Counter(), faults=[fault]) as sandbox, plain(sandbox) as client:
        post(client)
        return rest(client)


def received_before_stop(fault: Fault) -> bytes:
    """Return the bytes of an endless reply that arrive before the sandbox stops."""
    with plain_sandbox(fault) as sandbox, plain(sandbox) as client:
        post(client)
        sandbox.wait_for_calls("create")
        expected = 0 if fault.effect.silent else 1
        begun = client.recv(1, socket.MSG_PEEK) if expected else b""
        assert len(begun) == expected
        sandbox.stop()
        return rest(client)


def plain_sandbox(*faults: Fault) -> Sandbox:
    return Sandbox(Counter(), faults=faults)


def reply_to(fault: Fault) -> tuple[http.client.HTTPResponse, bytes]:
    """Return the reply, as an HTTP client reads it."""
    with plain_sandbox(fault) as sandbox:
        address = sandbox.url.removeprefix("http://")
        with closing(http.client.HTTPConnection(address, timeout=5)) as client:
            client.request("POST", "/create", "{}")
            response = client.getresponse()
            return response, response.read()


# Each kind of fault


@pytest.mark.parametrize("handled", [False, True])
def test_drop_closes_the_connection_without_a_byte(handled: bool) -> None:
    assert received(Fault.drop(handled=handled)) == b""


@pytest.mark.parametrize("handled", [False, True])
def test_hang_sends_nothing_and_keeps_the_connection(handled: bool) -> None:
    assert received_before_stop(Fault.hang(handled=handled)) == b""


def test_a_hung_connection_is_let_go_when_its_client_leaves() -> None:
    with plain_sandbox(Fault.hang()) as sandbox:
        client = plain(sandbox)
        post(client)
        sandbox.wait_for_calls("create")
        client.shutdown(socket.SHUT_WR)
        assert rest(client) == b""
        client.close()


@pytest.mark.parametrize("handled", [False, True])
def test_reset_tears_the_connection_down(handled: bool) -> None:
    with plain_sandbox(Fault.reset(handled=handled)) as sandbox, plain(sandbox) as client:
        post(client)
        with pytest.raises(ConnectionResetError):
            rest(client)


def test_a_late_reply_waits_after_the_service_has_handled_the_call() -> None:
    with plain_sandbox(Fault.late(3600)) as sandbox, plain(sandbox) as client:
        post(client)
        (record,) = sandbox.wait_for_calls("create")
        assert (record.status, record.handled) == (200, True)
        sandbox.stop()
        assert rest(client) == b""


def test_a_late_reply_comes_whole() -> None:
    assert reply_to(Fault.late(0.01))[1] == JSON.encode()


def test_interim_replies_come_ahead_of_the_reply() -> None:
    fault = Fault.interim(100, 103, headers={"Link": "</style.css>"})
    with plain_sandbox(fault) as sandbox, plain(sandbox) as client:
        post(client)
        sent = b""
        while not sent.endswith(JSON.encode()):
            sent += client.recv(65_536)
    head = b"\r\nLink: </style.css>\r\n\r\n"
    assert sent.startswith(b"HTTP/1.1 100 Continue" + head + b"HTTP/1.1 103 Early Hints" + head)
    assert sent.count(b"HTTP/1.1 200 OK\r\n") == 1


@pytest.mark.parametrize("statuses", [(), (101,), (200,), (103, 99)])
def test_an_interim_reply_has_an_interim_status(statuses: Sequence[int]) -> None:
    with pytest.raises(ValueError, match="not interim statuses"):
        Fault.interim(*statuses)


def test_interim_replies_without_end_end_when_the_client_leaves() -> None:
    with plain_sandbox(Fault.only_interim()) as sandbox:
        client = plain(sandbox)
        post(client)
        sandbox.wait_for_calls("create")
        (sender,) = (thread for thread in threading.enumerate() if thread.name == "sandbox-connection-1")
        client.close()
        sender.join(timeout=5)
        assert not sender.is_alive()


def test_drip_sends_one_byte_and_waits() -> None:
    assert received_before_stop(Fault.drip(interval=3600)) == b"H"


def test_drip_sends_the_whole_reply_in_the_end() -> None:
    assert reply_to(Fault.drip(interval=0))[1] == JSON.encode()


def test_truncated_sends_half_of_the_body_it_announced() -> None:
    head, body = received(Fault.truncated()).split(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(JSON) in head
    assert body == JSON.encode()[: len(JSON) // 2]


def test_a_length_that_is_too_long_leaves_the_client_waiting() -> None:
    head, body = received_before_stop(Fault.wrong_length(+10)).split(b"\r\n\r\n")
    assert b"Content-Length: %d" % (len(JSON) + 10) in head
    assert body == JSON.encode()


def test_a_length_that_is_too_short_spoils_the_next_reply() -> None:
    with (
        plain_sandbox(Fault.wrong_length(-10, times=1)) as sandbox,
        plain(sandbox) as client,
        client.makefile("rb") as stream,
    ):
        post(client)
        head = b"".join(iter(stream.readline, b"\r\n"))
        assert b"Content-Length: %d" % (len(JSON) - 10) in head
        assert stream.read(len(JSON) - 10) == JSON[:-10].encode()
        post(client)
        assert stream.readline() == JSON[-10:].encode() + b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("announced", [True, False])
def test_oversized_sends_as_many_bytes_as_it_says(announced: bool) -> None:
    response, body = reply_to(Fault.oversized(200_000, announced=announced))
    assert response.getheader("Content-Length") == ("200000" if announced else None)
    assert (len(body), body.strip()) == (200_000, b"")


@pytest.mark.parametrize("fault", [Fault.oversized(), Fault.oversized(announced=False), Fault.bomb()])
def test_gigabytes_are_sent_in_small_blocks(fault: Fault) -> None:
    effect = fault.effect
    steps = islice(effect.play(effect.reply(Answer(200, b""))), 100)
    assert max(len(step) for step in steps if isinstance(step, bytes)) < 70_000


def test_gigabytes_end_when_the_client_leaves() -> None:
    with plain_sandbox(Fault.oversized()) as sandbox:
        client = plain(sandbox)
        post(client)
        sandbox.wait_for_calls("create")
        (sender,) = (thread for thread in threading.enumerate() if thread.name == "sandbox-connection-1")
        client.close()
        sender.join(timeout=5)
        assert not sender.is_alive()


def test_a_bomb_is_small_on_the_wire_and_large_unpacked() -> None:
    response, body = reply_to(Fault.bomb(5_000_000))
    assert response.getheader("Content-Encoding") == "gzip"
    assert len(body) < 10_000
    assert len(zlib.decompress(body, wbits=31)) == 5_000_000


def test_broken_json_is_whole_for_http() -> None:
    response, body = reply_to(Fault.broken_json())
    assert response.getheader("Content-Length") == str(len(body))
    assert JSON.startswith(body.decode())
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_broken_json_needs_no_service() -> None:
    body = reply_to(Fault.broken_json(handled=False))[1]
    assert body.startswith(b"{")
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_an_empty_body_is_a_200_of_no_bytes() -> None:
    response, body = reply_to(Fault.empty())
    assert (response.status, body) == (200, b"")


def test_a_web_page_comes_as_a_200() -> None:
    response, body = reply_to(Fault.html())
    assert (response.status, response.getheader("Content-Type")) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!DOCTYPE html>")


def test_bytes_that_are_not_http_are_not_http() -> None:
    assert not received(Fault.not_http()).startswith(b"HTTP/")


@pytest.mark.parametrize("status", [400, 429, 500, 502, 503, 599])
def test_an_http_error_has_its_status(status: int) -> None:
    response, _ = reply_to(Fault.status(status))
    assert (response.status, response.getheader("Retry-After")) == (status, None)


@pytest.mark.parametrize("wish", [7, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_an_http_error_asks_for_a_pause_in_seconds_or_until_a_date(wish: int | str) -> None:
    response, _ = reply_to(Fault.status(503, retry_after=wish))
    assert response.getheader("Retry-After") == str(wish)


@pytest.mark.parametrize("status", [200, 302, 399, 600])
def test_a_status_that_is_no_error_is_refused(status: int) -> None:
    with pytest.raises(ValueError, match=r"not an HTTP error \(400 to 599\)"):
        Fault.status(status)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_names_another_place(status: int) -> None:
    response, _ = reply_to(Fault.redirect("https://example.com/", status=status))
    assert (response.status, response.getheader("Location")) == (status, "https://example.com/")


def test_a_scripted_reply_is_sent_as_it_is() -> None:
    response, body = reply_to(Fault.reply(Answer(202, b"as it is", {"X-Colour": "green"})))
    assert (response.status, response.getheader("X-Colour"), body) == (202, "green", b"as it is")


# The catalogue


@pytest.mark.parametrize("fault", ALL_WIRE_FAULTS.values(), ids=ALL_WIRE_FAULTS.keys())
def test_the_service_has_the_call_exactly_where_the_fault_says_so(fault: Fault) -> None:
    service = Counter()
    with Sandbox(service, faults=[fault]) as sandbox, plain(sandbox) as client:
        post(client)
        (record,) = sandbox.wait_for_calls("create")
    assert service.asked == ["create"] * fault.handled
    assert (record.fault, record.handled) == (fault, fault.handled)


@pytest.mark.parametrize("name", ALL_WIRE_FAULTS)
def test_after_the_fault_the_service_is_well_again(name: str) -> None:
    fault = wire_faults(on="create", times=1)[name]
    with plain_sandbox(fault) as sandbox, plain(sandbox) as first, plain(sandbox) as second:
        post(first)
        sandbox.wait_for_calls("create")
        post(second)
        assert second.recv(65_536).endswith(JSON.encode())
        assert [call.fault for call in sandbox.calls] == [fault, None]


def test_the_catalogue_has_every_constructor() -> None:
    constructors = {name for name in vars(Fault) if isinstance(vars(Fault)[name], classmethod)}
    made = {kind.replace("-", "_") for kind in (fault.kind for fault in ALL_WIRE_FAULTS.values())}
    # Replies that stand in for the service's own; a late one is no fault by itself, nor are interim ones.
    assert constructors - made == {"empty", "html", "status", "redirect", "late", "interim"}


def test_a_fault_shows_what_it_does_and_no_token() -> None:
    fault = Fault.drip(0.5, on="create", token="secret-key")
    assert "Drip(interval=0.5)" in repr(fault)
    assert "secret-key" not in repr(fault)


# Which calls are hit


def hits(rules: FaultRules, *names: str, token: str | None = None) -> list[bool]:
    return [rules.pick(name, token) is not None for name in names]


def test_a_rule_hits_calls_of_its_name() -> None:
    rules = FaultRules([Fault.drop(on="create")])
    assert hits(rules, "create", "poll", "create") == [True, False, True]


def test_a_rule_without_a_name_hits_every_call() -> None:
    assert hits(FaultRules([Fault.drop()]), "create", "poll") == [True, True]


def test_a_rule_hits_calls_of_its_account() -> None:
    rules = FaultRules([Fault.drop(token="a")])
    assert [hits(rules, "create", token=token) for token in ("a", "b", None)] == [[True], [False], [False]]


def test_a_rule_ends_after_its_times() -> None:
    rules = FaultRules([Fault.drop(on="poll", times=2)])
    assert hits(rules, "poll", "create", "poll", "poll") == [True, False, True, False]


def test_a_rule_begins_after_so_many_matching_calls() -> None:
    rules = FaultRules([Fault.drop(on="poll", after=2, times=1)])
    assert hits(rules, "create", "poll", "poll", "poll", "poll") == [False, False, False, True, False]


def test_the_first_rule_that_strikes_takes_the_call() -> None:
    rules = FaultRules([Fault.drop(times=1), Fault.hang(times=1), Fault.html(on="poll")])
    struck = [rules.pick(name, None) for name in ("create", "create", "poll", "create")]
    assert [fault and fault.kind for fault in struck] == ["drop", "hang", "reply", None]


def test_a_rate_hits_its_share_by_the_seed() -> None:
    def struck(seed: int) -> list[bool]:
        return hits(FaultRules([Fault.drop(rate=0.2)], seed), *["create"] * 1000)

    assert 150 < sum(struck(3)) < 250
    assert struck(3) == struck(3) != struck(4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fault.drop(rate=1.5),
        lambda: Fault.drop(rate=-0.1),
        lambda: Fault.drop(times=-1),
        lambda: Fault.drop(after=-1),
    ],
)
def test_rules_that_can_not_be_are_refused(make: Callable[[], Fault]) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()


def test_faults_come_and_go_while_the_sandbox_serves() -> None:
    with plain_sandbox(Fault.status(500)) as sandbox, plain(sandbox) as client:
        post(client)
        assert client.recv(65_536).startswith(b"HTTP/1.1 500")
        sandbox.clear_faults()
        post(client)
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")
        sandbox.add_faults(Fault.status(404))
        post(client)
        assert client.recv(65_536).startswith(b"HTTP/1.1 404")
