"""The tests of this folder that call over HTTP run with both transports."""

from __future__ import annotations

import pytest

from captchahub._http.choice import transport_kind
from captchahub.settings import HttpSettings
from tests import http_peers


@pytest.fixture(params=http_peers.KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of transport that :mod:`tests.http_peers` and the hubs of a test use."""
    kind: str = request.param
    if kind == "fast" and transport_kind(HttpSettings()) != "fast":
        pytest.skip("the package aiohttp is not installed: pip install 'captchahub[fast]'")
    monkeypatch.setattr(http_peers, "kind", kind)
    return kind
