"""anticaptchaofficial. Its address and its second of sleep before a poll are fixed, so they are replaced."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from types import SimpleNamespace

from anticaptchaofficial import antinetworking
from anticaptchaofficial.imagecaptcha import imagecaptcha

from benchmarks.compare.protocol import KEY, Place, SolveAll, one_by_one


@contextmanager
def solve(place: Place) -> Generator[SolveAll]:
    """Solve with its client. It finds the authority in REQUESTS_CA_BUNDLE."""
    post = antinetworking.session.post
    antinetworking.session.post = lambda url, **options: post(
        url.replace("https://api.anti-captcha.com", place.url), **options
    )
    antinetworking.time = SimpleNamespace(sleep=lambda _seconds: None)
    client = imagecaptcha()
    client.set_key(KEY)
    yield one_by_one(lambda picture: str(client.solve_and_return_solution(None, body=picture)))
