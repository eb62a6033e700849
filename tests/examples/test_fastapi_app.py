"""The recipe for FastAPI: what the endpoint answers, over the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from captchahub import HubClosed, events
from captchahub.testing import Fault, Sandbox

if TYPE_CHECKING:
    import httpx
    from fastapi import FastAPI


@pytest.fixture(autouse=True)
def configuration(
    configured: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One account in the sandbox."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(configured("omo")))
    monkeypatch.setenv("CAPTCHAHUB_CONFIG", str(path))


def application() -> FastAPI:
    """Return the application of the recipe."""
    from fastapi_app import app  # noqa: PLC0415 - FastAPI is slow to import, and each worker collects all tests

    return app


def upload(picture: bytes) -> tuple[int, Any]:
    """Start the application, upload a picture, and return the status and the body of the reply."""
    import httpx  # noqa: PLC0415 - as above

    app = application()

    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://app.example") as client,
        ):
            return await client.post("/solve", files={"picture": ("captcha.png", picture)})

    reply = asyncio.run(main())
    return reply.status_code, reply.json()


def test_a_picture_is_answered(sandbox: Sandbox) -> None:
    drawn = sandbox.draw_text("x7kp2")
    assert upload(drawn.image.data) == (200, {"text": "x7kp2", "provider": "omo"})


@pytest.mark.parametrize(
    ("upload_of", "message"),
    [
        (b"no picture", "not a PNG, JPEG, GIF, WebP or BMP picture"),
        (bytes(1_000_001), "larger than 1000000 bytes"),
    ],
)
def test_what_is_no_picture_is_refused(sandbox: Sandbox, upload_of: bytes, message: str) -> None:
    status, body = upload(upload_of)
    assert (status, message in body["detail"]["error"]) == (422, True)
    assert sandbox.calls == []


def test_a_solve_that_fails_is_a_bad_gateway(sandbox: Sandbox) -> None:
    sandbox.add_faults(Fault.status(502, on="createJob"))
    status, body = upload(sandbox.draw_text().image.data)
    assert status == 502
    assert body["detail"] == {
        "error": "no provider solved this image-to-text task",
        "attempts": [{"provider": "omo", "error": "AmbiguousCreate"}],
    }


def test_a_solve_that_takes_too_long_is_a_gateway_timeout(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastapi_app.SECONDS", 0.5)
    sandbox.add_faults(Fault.hang(on="getJobResult"))
    status, body = upload(sandbox.draw_text().image.data)
    assert status == 504
    assert [one["provider"] for one in body["detail"]["attempts"]] == ["omo"]


def test_the_hub_is_closed_with_the_application() -> None:
    app = application()

    async def main() -> None:
        async with app.router.lifespan_context(app):
            hub = app.state.hub
            assert list(await hub.health()) == ["omo"]
        with pytest.raises(HubClosed):
            hub.on(events.Solved, print)

    asyncio.run(main())
