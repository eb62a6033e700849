"""Certificates to trust: which keys and variables name them, and how unusable ones are described."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from captchahub import ConfigError
from captchahub._http.certificates import Trust, bundle_fault, environment_trust
from captchahub._http.network import Network
from captchahub.provider import Request
from captchahub.settings import HttpSettings
from tests.http_peers import TlsServer, failure, new_transport, send

VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
CERTIFICATE = trustme.CA().cert_pem.bytes()
# What openssl makes of a key with a password: no test needs to open it.
ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"
OLD_ENCRYPTED = (
    b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0011\n\n"
    b"MIIB\n-----END RSA PRIVATE KEY-----\n"
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


USELESS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b" \n\t\n", "is empty"),
    "junk": (b"not a certificate\n", "holds no certificate"),
    "binary junk": (bytes(range(256)) * 10, "holds no certificate"),
    "a web page": (b"<!DOCTYPE html><html></html>", "holds no certificate"),
    "a damaged certificate": (CERTIFICATE.replace(b"M", b"!"), "damaged"),
    "a truncated certificate": (CERTIFICATE[: len(CERTIFICATE) // 2], "damaged"),
    "a good certificate and a damaged one": (CERTIFICATE + CERTIFICATE.replace(b"A", b"!"), "damaged"),
    "a key": (trustme.CA().private_key_pem.bytes(), "holds a key and no certificate"),
    "an encrypted key": (ENCRYPTED, "encrypted"),
    "an encrypted key of the old form": (OLD_ENCRYPTED, "encrypted"),
    "DER": (ssl.PEM_cert_to_DER_cert(CERTIFICATE.decode()), "openssl x509 -inform der"),
}


@pytest.mark.parametrize(("data", "message"), USELESS.values(), ids=list(USELESS))
class TestAFileThatCanNotBeUsed:
    def test_says_what_it_is_and_nothing_of_what_is_in_it(
        self, data: bytes, message: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "ca.pem"
        path.write_bytes(data)
        fault = bundle_fault(path)
        assert fault is not None
        assert message in fault
        assert "MIIB" not in fault

    def test_is_refused_before_anything_is_sent(
        self, data: bytes, message: str, tmp_path: Path, tls_server: TlsServer
    ) -> None:
        path = tmp_path / "ca.pem"
        path.write_bytes(data)
        with pytest.raises(ConfigError, match="ca_bundle") as caught:
            send(tls_server.url, settings=HttpSettings(ca_bundle=path))
        assert str(path) in str(caught.value)
        assert message in str(caught.value)
        assert tls_server.requests == []


class TestWhatCanBeUsed:
    @pytest.mark.parametrize(
        "data",
        [
            CERTIFICATE,
            CERTIFICATE * 3,
            "# Firma Müller\n".encode() + CERTIFICATE,
            CERTIFICATE.replace(b"\n", b"\r\n"),
            CERTIFICATE + trustme.CA().private_key_pem.bytes(),
            CERTIFICATE + ENCRYPTED,
        ],
    )
    def test_is_a_file_with_a_certificate_whatever_else_is_in_it(self, data: bytes, tmp_path: Path) -> None:
        path = tmp_path / "ca.pem"
        path.write_bytes(data)
        assert bundle_fault(path) is None

    def test_is_a_folder_whose_files_have_the_names_that_openssl_looks_for(self, tmp_path: Path) -> None:
        (tmp_path / "README").write_text("not a certificate")
        (tmp_path / "00000000.0").write_text("nor is this")
        (tmp_path / "0a1b2c3d.0").write_bytes(CERTIFICATE)
        assert bundle_fault(tmp_path) is None


class TestAPathThatCanNotBeUsed:
    def test_leads_nowhere(self, tmp_path: Path) -> None:
        assert bundle_fault(tmp_path / "none.pem") == "does not exist; check the path"
        assert bundle_fault(tmp_path / ("a" * 5000)) is not None
        assert bundle_fault(Path("a\0b")) is not None

    def test_leads_to_an_empty_folder_or_one_of_other_files(self, tmp_path: Path) -> None:
        assert "folder without certificates" in (bundle_fault(tmp_path) or "")
        (tmp_path / "notes.txt").write_text("nothing here")
        (tmp_path / "0a1b2c3d.0").write_text("nor here")
        assert "folder without certificates" in (bundle_fault(tmp_path) or "")

    def test_leads_to_a_folder_that_was_not_rehashed(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_bytes(CERTIFICATE)
        assert f"run: openssl rehash {tmp_path}" in (bundle_fault(tmp_path) or "")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
    def test_leads_to_what_would_be_read_for_ever(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert "is no file and no folder" in (bundle_fault(tmp_path / "pipe") or "")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
    def test_leads_to_what_may_not_be_read(self, tmp_path: Path) -> None:
        path = tmp_path / "ca.pem"
        path.write_bytes(CERTIFICATE)
        path.chmod(0)
        assert "can't be read: Permission denied" in (bundle_fault(path) or "")


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("name", VARIABLES[:3])
class TestAVariable:
    def test_names_the_certificates_to_trust(
        self, name: str, tls_server: TlsServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, str(tls_server.authority))
        assert send(tls_server.url).body == b"{}"

    def test_can_begin_at_home(
        self, name: str, tls_server: TlsServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tls_server.authority.parent))
        monkeypatch.setenv("USERPROFILE", str(tls_server.authority.parent))
        monkeypatch.setenv(name, f"~/{tls_server.authority.name}")
        assert send(tls_server.url).body == b"{}"

    @pytest.mark.parametrize("content", [None, "junk"])
    def test_that_names_nothing_usable_is_named_before_anything_is_sent(
        self,
        name: str,
        content: str | None,
        tls_server: TlsServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        path = tmp_path / "other.pem"
        if content is not None:
            path.write_text(content)
        monkeypatch.setenv(name, str(path))
        with pytest.raises(ConfigError, match=f"the environment variable {name} names .*other.pem, which "):
            send(tls_server.url)
        assert tls_server.requests == []

    def test_is_weaker_than_the_key(
        self, name: str, tls_server: TlsServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, "/nowhere/ca.pem")
        assert send(tls_server.url, settings=HttpSettings(ca_bundle=tls_server.authority)).body == b"{}"

    def test_that_is_empty_says_nothing(
        self, name: str, tls_server: TlsServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, "")
        assert "certificate verification failed" in str(failure(tls_server.url))


@pytest.mark.usefixtures("kind")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="only OpenSSL knows the names it looks for")
@pytest.mark.parametrize("name", ["the key", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"])
def test_a_folder_of_certificates_is_trusted(
    name: str, tls_server: TlsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(tls_server.authority, folder / "ca.pem")
    subprocess.run(["openssl", "rehash", folder], check=True)
    if name != "the key":
        folders = [tmp_path / "none", folder] if name == "SSL_CERT_DIR" else [folder]
        monkeypatch.setenv(name, os.pathsep.join(map(str, folders)))
    settings = HttpSettings(ca_bundle=folder if name == "the key" else None)
    assert send(tls_server.url, settings=settings).body == b"{}"


@pytest.mark.usefixtures("kind")
class TestTheVariablesTogether:
    def test_those_of_requests_and_curl_go_before_those_of_openssl(self, tmp_path: Path) -> None:
        paths = {name: str(tmp_path / name) for name in VARIABLES}
        order: list[str] = []
        while (trust := environment_trust(paths)) is not None:
            order.append(trust.source.rpartition(" ")[2])
            del paths[order[-1]]
        assert order == list(VARIABLES)

    def test_those_of_openssl_hold_at_once(self, tmp_path: Path) -> None:
        file, folders = tmp_path / "ca.pem", [tmp_path / "one", tmp_path / "two"]
        found = environment_trust(
            {"SSL_CERT_FILE": str(file), "SSL_CERT_DIR": os.pathsep.join(map(str, folders))}
        )
        assert found == Trust("the environment variable SSL_CERT_FILE", file, tuple(folders))

    def test_one_folder_of_several_is_enough(self, tmp_path: Path) -> None:
        (tmp_path / "0a1b2c3d.0").write_bytes(CERTIFICATE)
        nowhere = tmp_path / "none"
        assert Trust("source", folders=(nowhere, tmp_path)).fault is None
        assert "none, which does not exist" in (Trust("source", folders=(nowhere,)).fault or "")


@pytest.mark.usefixtures("kind")
def test_the_certificates_are_read_once_and_again_when_that_is_asked_for(
    tls_server: TlsServer, tmp_path: Path
) -> None:
    path = tmp_path / "own.pem"
    path.write_bytes(tls_server.authority.read_bytes())
    network = Network()

    async def run() -> None:
        transport = new_transport(HttpSettings(ca_bundle=path), network=network)
        request = Request.post_json(tls_server.url, {})
        try:
            await transport.send(request, timeout=5)
            path.write_text("junk")
            # The server closes each connection, so this is a new one.
            assert (await transport.send(request, timeout=5)).body == b"{}"
            network.read_again()
            with pytest.raises(ConfigError, match=r"own\.pem, which holds no certificate"):
                await transport.send(request, timeout=5)
            path.write_bytes(tls_server.authority.read_bytes())
            assert (await transport.send(request, timeout=5)).body == b"{}"
        finally:
            await transport.aclose()

    asyncio.run(run())


def test_transports_share_one_tls_context_for_the_same_certificates(tmp_path: Path) -> None:
    (tmp_path / "one.pem").write_bytes(CERTIFICATE)
    network = Network()
    own, others = HttpSettings(ca_bundle=tmp_path / "one.pem"), HttpSettings()
    context = network.tls_context(own)
    assert network.tls_context(own) is context
    assert network.tls_context(others) is not context
    network.read_again()
    assert network.tls_context(own) is not context
