"""Proxies and certificates are looked up once for a hub, and again when it is reloaded."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
import yaml

from captchahub import Balance, Hub, ServiceUnavailable
from captchahub.testing import Sandbox, load_emulation


def test_a_hub_reads_the_environment_once_and_again_when_it_is_reloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    right.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType] - as in http_peers
    for name, authority in {"right.pem": right, "wrong.pem": wrong}.items():
        authority.cert_pem.write_to_path(tmp_path / name)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "wrong.pem"))
    config = tmp_path / "config.yaml"
    with Sandbox(load_emulation("omocaptcha"), tls=context) as sandbox:
        account = {"plugin": "omocaptcha", **sandbox.settings("token")}
        config.write_text(yaml.safe_dump({"providers": {"omo": account}}))
        with Hub.from_yaml(config) as hub:
            assert isinstance(hub.balances()["omo"], ServiceUnavailable)
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "right.pem"))
            assert isinstance(hub.balances()["omo"], ServiceUnavailable)
            hub.reload()
            assert isinstance(hub.balances()["omo"], Balance)
