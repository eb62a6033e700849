"""The clients that are measured. A new one is a line here, and a function that opens it."""

from __future__ import annotations

import attrs

from benchmarks.compare.protocol import Kind
from benchmarks.compare.variants import FEATURES, TRANSPORTS

_CLIENTS = "benchmarks.compare.clients"
_OTHERS = "benchmarks.compare.others"


@attrs.frozen
class Client:
    """A client, and the function that opens it, as ``module:name``."""

    name: str
    function: str
    kind: Kind = Kind.SOLVE
    variant: str | None = None
    """The name of the configuration, for captchahub."""
    by_environment: bool = False
    """Whether it is shown the authority by environment variables, as it has no argument for that."""
    has_http: bool = True
    """Whether it can be pointed to a service without TLS."""


def _ways(name: str) -> list[Client]:
    module = f"{_CLIENTS}.with_captchahub"
    return [
        Client(f"{name}, sync", f"{module}:solve", variant=name),
        Client(f"{name}, async", f"{module}:solve_async", variant=name),
        Client(f"{name}, solve_many", f"{module}:solve_many", variant=name),
    ]


OURS = [client for name in TRANSPORTS for client in _ways(name)]

HAND_LOOPS = [
    Client("hand loop on requests", f"{_CLIENTS}.with_requests:loop"),
    Client("hand loop on httpx", f"{_CLIENTS}.with_httpx:loop"),
    Client("hand loop on aiohttp", f"{_OTHERS}.with_aiohttp:loop"),
    Client("hand loop on pyreqwest, sync", f"{_OTHERS}.with_pyreqwest:loop"),
    Client("hand loop on pyreqwest, async", f"{_OTHERS}.with_pyreqwest:loop_async"),
]

SYNC_PEERS = [
    Client("unicaps, sync", f"{_OTHERS}.with_unicaps:solve", by_environment=True),
    Client("unicaptcha, sync", f"{_OTHERS}.with_unicaptcha:solve", by_environment=True),
    Client("anticaptchaofficial", f"{_OTHERS}.with_anticaptchaofficial:solve", by_environment=True),
    Client("python-anticaptcha, sync", f"{_OTHERS}.with_python_anticaptcha:solve", by_environment=True),
    Client(
        "2captcha-python, sync", f"{_OTHERS}.with_2captcha_python:solve", by_environment=True, has_http=False
    ),
]

ASYNC_PEERS = [
    Client("unicaps, async", f"{_OTHERS}.with_unicaps:solve_async", by_environment=True),
    Client("unicaptcha, async", f"{_OTHERS}.with_unicaptcha:solve_async", by_environment=True),
]

FLOORS = [
    Client("http.client", f"{_CLIENTS}.with_http_client:post", Kind.POST),
    Client("requests, adapter", f"{_CLIENTS}.with_requests:adapter", Kind.POST),
    Client("requests, session", f"{_CLIENTS}.with_requests:post", Kind.POST),
    Client("aiohttp", f"{_OTHERS}.with_aiohttp:post", Kind.POST),
    Client("pyreqwest, sync", f"{_OTHERS}.with_pyreqwest:post", Kind.POST),
    Client("pyreqwest, async", f"{_OTHERS}.with_pyreqwest:post_async", Kind.POST),
]

FEATURE_CLIENTS = [Client(name, f"{_CLIENTS}.with_captchahub:solve_async", variant=name) for name in FEATURES]

TOGETHER = [
    Client("hand loop on aiohttp", f"{_OTHERS}.with_aiohttp:together", Kind.TOGETHER),
    *(
        Client(f"{name}, {way}", f"{_CLIENTS}.with_captchahub:together_{suffix}", Kind.TOGETHER, variant=name)
        for name in TRANSPORTS
        for way, suffix in (("async", "async"), ("solve_many", "many"))
    ),
]
