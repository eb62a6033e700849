"""2captcha-python, which polls at once. It speaks https only."""

from __future__ import annotations

import base64
from collections.abc import Generator
from contextlib import contextmanager

from twocaptcha import TwoCaptcha

from benchmarks.compare.protocol import KEY, Place, SolveAll, one_by_one


@contextmanager
def solve(place: Place) -> Generator[SolveAll]:
    """Solve with the blocking client. It finds the authority in REQUESTS_CA_BUNDLE."""
    client = TwoCaptcha(KEY, server=place.host)
    yield one_by_one(lambda picture: str(client.normal(base64.b64encode(picture).decode())["code"]))
