"""A site for the recipes: a page with a drawn captcha, and a sandbox that stands in for the service."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self, cast
from urllib.parse import parse_qs

from captchahub import TextSolution
from captchahub.testing import DrawnText, Sandbox, load_emulation

# The script loads the picture after the page, as many sites do. So the page is there before its picture.
PAGE = """<!DOCTYPE html>
<html lang="en">
<title>Sign in</title>
<form method="post" action="/sign-in">
  <img id="captcha" alt="Type what you see" style="display: block">
  <input id="answer" name="answer" autocomplete="off">
  <button id="send">Sign in</button>
</form>
<script>
  addEventListener("load", () => { document.getElementById("captcha").src = "/captcha.png"; });
</script>
"""


class LoginSite:
    """Serves the page on 127.0.0.1 and a free port, while it is used as a context manager."""

    def __init__(self) -> None:
        self._sandbox = Sandbox(load_emulation("omocaptcha"), job_time=0.2)
        self._server = _Server(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def configuration(self) -> Mapping[str, object]:
        """A configuration for a hub, with an account at the sandbox."""
        return {"providers": {"omo": {"plugin": "omocaptcha", **self._sandbox.settings()}}}

    def __enter__(self) -> Self:
        self._sandbox.start()
        self._server.captcha = self._sandbox.draw_text(length=6)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._sandbox.stop()


class _Server(ThreadingHTTPServer):
    captcha: DrawnText


class _Handler(BaseHTTPRequestHandler):
    @property
    def _captcha(self) -> DrawnText:
        return cast("_Server", self.server).captcha

    def do_GET(self) -> None:
        if self.path == "/captcha.png":
            self._reply("image/png", self._captcha.image.data)
        else:
            self._reply("text/html", PAGE.encode())

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        (answer,) = parse_qs(self.rfile.read(length).decode()).get("answer", [""])
        verdict = "right" if self._captcha.accepts(TextSolution(answer)) else "wrong"
        self._reply("text/html", f'<!DOCTYPE html><p id="verdict">{verdict}</p>'.encode())

    def _reply(self, content_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Log nothing."""
