"""What is prepared once for a server: the head of requests, the connections, and where a token may go."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from captchahub import ConfigError, MalformedReply, ServiceUnavailable
from captchahub._http.endpoints import Endpoint
from captchahub._http.network import Network
from captchahub._http.origins import origin_of
from captchahub._http.transport import HttpTransport
from captchahub.errors import CaptchaHubError
from captchahub.provider import Reply, Request
from captchahub.settings import HttpSettings
from tests.http_peers import failure, send

NETWORK = Network()


def head_of(request: Request, settings: HttpSettings | None = None) -> list[str]:
    """Return the lines of the head of a request."""
    endpoint = Endpoint(origin_of(request.url), settings or HttpSettings(), NETWORK, max_idle=1.0)
    lines = endpoint.head_of(request).decode("latin-1").split("\r\n")
    assert lines[-2:] == ["", ""]
    return lines[:-2]


class TestTheHead:
    def test_names_the_host_the_client_and_the_length(self) -> None:
        request = Request.post_json("https://localhost/api/createJob", {})
        settings = HttpSettings(user_agent="archive/2")
        assert head_of(request, settings) == [
            "POST /api/createJob HTTP/1.1",
            "Host: localhost",
            "User-Agent: archive/2",
            "Accept-Encoding: identity",
            "Content-Type: application/json",
            "Content-Length: 2",
        ]

    @pytest.mark.parametrize(
        ("url", "host"),
        [
            ("https://localhost:443/x", "localhost"),
            ("https://localhost:8443", "localhost:8443"),
            ("http://127.0.0.1:80?x", "127.0.0.1"),
            ("http://[::1]:8080/x", "[::1]:8080"),
            ("HTTPS://LocalHost/x", "localhost"),
            ("https://bücher.localhost/x", "xn--bcher-kva.localhost"),
        ],
    )
    def test_names_the_port_if_it_is_not_the_usual_one(self, url: str, host: str) -> None:
        assert f"Host: {host}" in head_of(Request(url))

    def test_has_no_length_without_a_body_where_none_is_expected(self) -> None:
        assert not any("Length" in line for line in head_of(Request("https://localhost/", method="GET")))
        assert "Content-Length: 0" in head_of(Request("https://localhost/"))
        assert "Content-Length: 1" in head_of(Request("https://localhost/", b"x", method="GET"))

    def test_has_the_headers_of_the_request_instead_of_its_own(self) -> None:
        headers = {"user-agent": "own", "CONTENT-LENGTH": "7", "X-Key": "kéy"}
        lines = head_of(Request("https://localhost/", b"x", headers=headers))
        assert [line for line in lines if "agent" in line.lower()] == ["user-agent: own"]
        assert [line for line in lines if "length" in line.lower()] == ["Content-Length: 1"]
        assert "X-Key: kéy" in lines

    def test_has_the_user_that_the_url_names(self) -> None:
        assert "Authorization: Basic dXNlcjpwYTpzcw==" in head_of(Request("https://user:pa%3Ass@localhost/"))

    @example("?", "")
    @example("a??", "")
    @given(st.text(st.characters(codec="utf-8"), max_size=12), st.sampled_from(["", "?a", "/..", "/./"]))
    def test_has_the_path_that_requests_would_send(self, path: str, middle: str) -> None:
        url = f"https://localhost/{middle}{path}".partition("#")[0]
        try:
            expected = parse_url(requests.Request("POST", url).prepare().url or "").request_uri
        except ValueError:
            return
        assert head_of(Request(url))[0] == f"POST {expected} HTTP/1.1"

    @pytest.mark.parametrize(
        ("method", "headers"),
        [
            ("POST", {"X-Key": "a\r\nX-Other: b"}),
            ("POST", {"X-Key": "a\nb"}),
            ("POST", {"X-Key\r\nX-Other": "a"}),
            ("POST", {"X: Y": "a"}),
            ("POST", {"": "a"}),
            ("POST", {"X-Key": "\u20ac"}),
            ("PO ST", {}),
            ("POST / HTTP/1.1\r\nX:", {}),
        ],
    )
    def test_that_is_not_valid_is_never_sent(self, method: str, headers: Mapping[str, str]) -> None:
        request = Request("http://127.0.0.1:9/", b"{}", method, headers)
        with pytest.raises(ValueError, match=r".+"):
            head_of(request)
        error = failure(request)
        assert isinstance(error, ServiceUnavailable)
        assert error.nothing_created


class TestTheServer:
    @pytest.mark.parametrize(
        "url",
        [
            "http://service.example/api",
            "http://127.0.0.1.example/api",
            "http://127.0.0.1@service.example/api",
            "ftp://127.0.0.1/api",
            "service.example/api",
            "",
        ],
    )
    def test_without_tls_gets_no_token_unless_it_is_this_machine(self, url: str) -> None:
        with pytest.raises((ConfigError, ServiceUnavailable), match=r"use https|not a valid address"):
            send(url)

    @pytest.mark.parametrize("url", ["https://", "https://:443/", "https://[::1/", "https://localhost:port/"])
    def test_may_have_an_address_that_is_not_valid(self, url: str) -> None:
        error = failure(url)
        assert isinstance(error, ServiceUnavailable)
        assert error.nothing_created
        assert "not a valid address; check base_url" in str(error)

    def test_is_named_without_a_user_and_a_password(self) -> None:
        assert "pa55" not in str(failure("https://me:pa55@no-such-host.invalid/api"))


def replies(*answers: bytes, times: int = 1, limit: int = 1000) -> tuple[list[Reply | CaptchaHubError], int]:
    """Return what comes of requests to a server that sends these bytes, and the number of connections."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n{}"):
                for answer in answers:
                    writer.write(answer)
                    await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def run() -> list[Reply | CaptchaHubError]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        transport = HttpTransport("test", HttpSettings(max_reply_bytes=limit))
        request = Request.post_json(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", {})
        outcomes: list[Reply | CaptchaHubError] = []
        for _ in range(times):
            try:
                outcomes.append(await transport.send(request, timeout=5))
            except CaptchaHubError as error:
                outcomes.append(error)
        await transport.aclose()
        server.close()
        await server.wait_closed()
        return outcomes

    return asyncio.run(run()), connections


PACKED = gzip.compress(b"hello")
KEPT = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX: y\r\n\r\n",
    "a packed body": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
    % (len(PACKED), PACKED),
    "packed chunks": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"%x\r\n%b\r\n0\r\n\r\n" % (len(PACKED), PACKED),
}


class TestAReply:
    @pytest.mark.parametrize("answer", KEPT.values(), ids=list(KEPT))
    def test_leaves_the_connection_for_the_next_request(self, answer: bytes) -> None:
        outcomes, connections = replies(answer, times=3)
        assert [one.body for one in outcomes if isinstance(one, Reply)] == [b"hello"] * 3
        assert connections == 1

    def test_without_a_body_leaves_it_as_well(self) -> None:
        outcomes, connections = replies(b"HTTP/1.1 204 No Content\r\n\r\n", times=2)
        assert [one.status for one in outcomes if isinstance(one, Reply)] == [204, 204]
        assert connections == 1

    def test_has_the_values_of_a_repeated_header_together(self) -> None:
        [reply], _ = replies(b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 0\r\nx-a: c\r\n\r\n")
        assert isinstance(reply, Reply)
        assert reply.headers == {"x-a": "b, c", "content-length": "0"}

    @pytest.mark.parametrize("size", ["-1", "-5", "fffffffff"])
    def test_whose_chunk_has_an_impossible_size_is_not_read_to_its_end(self, size: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n"
        [error], _ = replies(head.encode(), *[b"x" * 1000] * 50)
        assert isinstance(error, (MalformedReply, ServiceUnavailable))
        assert not getattr(error, "nothing_created", False)
