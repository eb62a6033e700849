"""Proxies: their faults are attributed to them and not to the service, and never with their password."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub import ConfigError, Hub, ServiceUnavailable
from captchahub._http.proxies import Proxy, environment_proxy, proxy_fault
from captchahub.settings import HttpSettings
from captchahub.testing import Sandbox, load_emulation
from tests.http_peers import TlsServer, connect_proxy, failure, send
from tests.unreachable_addresses import address, refusing, resolving, swallowing

SERVICE = "https://service.test/api"
PASSWORD = "pa55-word"
VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def through(proxy: str, *, timeout: float = 5.0) -> ServiceUnavailable:
    """Return the error of a request through a configured proxy, before which nothing was sent."""
    error = failure(SERVICE, settings=HttpSettings(proxy=proxy), timeout=timeout)
    assert isinstance(error, ServiceUnavailable)
    assert error.nothing_created
    assert str(error).startswith("service.test: the proxy http")
    assert "(the key proxy of the provider)" in str(error)
    assert PASSWORD not in f"{error!r} {error}"
    assert "base_url" not in str(error)
    return error


def answering(reply: str) -> str:
    """Return the error of a call through a proxy that answers a CONNECT with these lines."""
    with connect_proxy(reply.replace("\n", "\r\n").encode() + b"\r\n\r\n") as (proxy, asked):
        error = through(proxy.replace("pa55", PASSWORD))
    assert [line.split()[1] for line in asked] == ["service.test:443"]
    return str(error)


@pytest.mark.usefixtures("kind")
class TestAProxyThatIsAtFault:
    def test_refuses_the_user(self) -> None:
        message = answering("HTTP/1.1 407 Proxy Authentication Required\nProxy-Authenticate: Basic")
        assert "refuses the user (HTTP 407); check the user and the password in its address" in message

    def test_refuses_the_user_after_an_interim_reply(self) -> None:
        assert "refuses the user (HTTP 407)" in answering("HTTP/1.1 103 Early Hints\n\nHTTP/1.1 407 No")

    @pytest.mark.parametrize("status", [200 + 1, 302, 400, 403, 404, 429, 500, 502, 503, 504])
    def test_does_not_connect(self, status: int) -> None:
        message = answering(f"HTTP/1.1 {status} {PASSWORD}\nContent-Length: 0")
        assert f"did not connect (HTTP {status})" in message

    @pytest.mark.parametrize("reply", ["", "SSH-2.0-OpenSSH_9.6", "HTTP/1.1 2000 Fine", "220 mail ready"])
    def test_is_no_proxy_at_all(self, reply: str) -> None:
        assert "broke the connection" in answering(reply)

    def test_closes_the_connection(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def hang_up() -> None:
                server.accept()[0].close()

            thread = threading.Thread(target=hang_up)
            thread.start()
            error = through(f"http://127.0.0.1:{server.getsockname()[1]}")
            thread.join(5)
        assert "broke the connection" in str(error)

    def test_is_not_there(self) -> None:
        with refusing() as (*_, (host, port)):
            error = through(f"http://user:{PASSWORD}@{host}:{port}")
        assert f"the proxy http://{host}:{port} (the key" in str(error)
        assert "can't be connected to: Connection refused" in str(error)

    def test_has_a_name_that_leads_nowhere(self) -> None:
        error = through(f"http://user:{PASSWORD}@no-such-proxy.invalid:3128")
        assert "http://no-such-proxy.invalid:3128 (the key" in str(error)
        assert "has a name that can't be resolved" in str(error)

    def test_swallows_everything(self) -> None:
        with swallowing() as (*_, (host, port)):
            error = through(f"http://{host}:{port}", timeout=0.2)
        assert str(error).endswith("did not connect within 0.2 s")

    def test_says_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            error = through(f"http://127.0.0.1:{server.getsockname()[1]}", timeout=0.5)
        assert str(error).endswith("did not connect within 0.5 s")

    def test_does_not_speak_tls(self) -> None:
        with Sandbox(load_emulation("omocaptcha")) as sandbox:
            error = through(f"https://{urlsplit(sandbox.url).netloc}")
        assert "does not speak TLS; write its address with http://" in str(error)

    def test_has_a_certificate_of_an_unknown_authority(self, tls_server: TlsServer) -> None:
        error = through(f"https://localhost:{tls_server.port}")
        assert "has a certificate that failed verification" in str(error)


@pytest.mark.usefixtures("kind")
class TestAProxyThatIsNotAtFault:
    def test_is_gone_through_after_interim_replies(self, tls_server: TlsServer) -> None:
        answer = b"HTTP/1.1 102 A\r\n\r\nHTTP/1.1 103 B\r\nLink: <a>\r\n\r\nHTTP/1.1 200 C\r\n\r\n"
        with connect_proxy(answer) as (proxy, _):
            settings = HttpSettings(ca_bundle=tls_server.authority, proxy=proxy)
            assert send(tls_server.url.replace("localhost", "service.test"), settings=settings).body == b"{}"

    def test_is_named_if_it_may_have_shown_its_own_certificate(self, tls_server: TlsServer) -> None:
        with connect_proxy() as (proxy, _):
            url = tls_server.url.replace("localhost", "service.test")
            error = failure(url, settings=HttpSettings(proxy=proxy))
        assert isinstance(error, ServiceUnavailable)
        assert error.nothing_created
        assert "certificate verification failed" in str(error)
        assert "(the key proxy of the provider) may have shown its own" in str(error)

    def test_leaves_the_fault_to_the_service(self, tls_server: TlsServer) -> None:
        tls_server.drips = True
        with connect_proxy() as (proxy, _):
            settings = HttpSettings(ca_bundle=tls_server.authority, proxy=proxy)
            url = tls_server.url.replace("localhost", "service.test")
            error = failure(url, settings=settings, timeout=0.5)
        assert isinstance(error, ServiceUnavailable)
        assert not error.nothing_created
        assert "no complete reply within 0.5 s" in str(error)


UNUSABLE = [
    "http://",
    "http://:3128",
    "http:///3128",
    "://proxy.example",
    "http//proxy.example:3128",
    "http://proxy.example:port",
    "http://proxy.example:99999",
    "http://proxy.example:0",
    "http://[::1",
    f"http://me:{PASSWORD}/x@proxy.example:3128",
    f"http://me:12/{PASSWORD}@proxy.example:3128",
    f"http://me:12#{PASSWORD}@proxy.example:3128",
    f"http://me:12?{PASSWORD}@proxy.example:3128",
    f"http://me:{PASSWORD} x@proxy.example:3128",
    f"http://me:{PASSWORD}@pröxy.example:3128",
    f"http://me:{PASSWORD}@proxy.example:3128\n",
    f"socks5://me:{PASSWORD}@127.0.0.1:1080",
    f"socks5h://me:{PASSWORD}@127.0.0.1:1080",
    "ftp://proxy.example:21",
    "PROXY proxy.example:3128",
]


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("name", VARIABLES)
class TestAVariable:
    def test_that_names_a_proxy_is_named_with_its_faults(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with refusing() as (*_, (host, port)):
            monkeypatch.setenv(name, f"http://me:{PASSWORD}@{host}:{port}")
            error = failure(SERVICE)
        message = f"the proxy http://{host}:{port} (the environment variable {name}) can't be connected to"
        assert message in str(error)
        assert PASSWORD not in str(error)

    def test_may_leave_the_scheme_out(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with refusing() as (*_, (host, port)):
            monkeypatch.setenv(name, f"{host}:{port}")
            assert f"the proxy http://{host}:{port} (the environment variable {name})" in str(
                failure(SERVICE)
            )

    def test_is_weaker_than_the_key(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert "refuses the user" in answering("HTTP/1.1 407 No")

    @pytest.mark.parametrize("value", UNUSABLE)
    def test_that_holds_no_usable_address_is_named_before_anything_is_sent(
        self, name: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, value)
        named = f"^the environment variable {name} holds no valid address"
        with pytest.raises(ConfigError, match=named) as caught:
            send(SERVICE)
        assert PASSWORD not in str(caught.value)
        assert "12" not in str(caught.value).replace("3128", "").replace("127.0.0.1", "")

    @pytest.mark.parametrize("no_proxy", ["service.test", ".test", "*", "other.test, service.test", "TEST"])
    def test_is_not_used_for_hosts_that_no_proxy_names(
        self, name: str, no_proxy: str, tls_server: TlsServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", no_proxy.lower())
        reply = send(
            "https://service.test/api",
            settings=HttpSettings(ca_bundle=tls_server.authority),
            resolve=resolving(address(tls_server.port)),
        )
        assert reply.body == b"{}"

    def test_is_not_used_for_this_machine(
        self, name: str, tls_server: TlsServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, "nonsense://")
        assert send(tls_server.url, settings=HttpSettings(ca_bundle=tls_server.authority)).body == b"{}"


@pytest.mark.parametrize("value", [*UNUSABLE, "", "proxy.example:3128"])
def test_a_key_that_holds_no_usable_address_is_refused_with_the_configuration(value: str) -> None:
    mapping = {"providers": {"a": {"plugin": "omocaptcha", "api_token": "t", "proxy": value}}}
    with pytest.raises(ConfigError, match=r"^providers\.a\.proxy: expected the address of a proxy") as caught:
        Hub.from_mapping(mapping)
    assert PASSWORD not in str(caught.value)


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("value", UNUSABLE)
def test_settings_that_hold_no_usable_address_are_refused_before_anything_is_sent(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^the key proxy of the provider holds no valid address") as caught:
        send(SERVICE, settings=HttpSettings(proxy=value))
    assert PASSWORD not in str(caught.value)


@given(st.text(), st.text(), st.sampled_from(["http", "https"]))
def test_no_password_is_ever_shown(before: str, after: str, scheme: str) -> None:
    url = f"{scheme}://me:{before}pa55{after}@proxy.example:3128"
    assert "pa55" not in (proxy_fault(url) or str(Proxy(url, "a test")))
    assert "pa55" not in repr(Proxy(url, "a test"))


def test_a_variable_in_small_letters_is_the_stronger_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://large.example:1")
    monkeypatch.setenv("https_proxy", "http://small.example:2")
    assert (
        str(environment_proxy("https"))
        == "the proxy http://small.example:2 (the environment variable https_proxy)"
    )


def test_an_address_of_the_sixth_version_keeps_its_brackets() -> None:
    assert str(Proxy("http://u:p@[::1]:3128/", "a test")) == "the proxy http://[::1]:3128 (a test)"
