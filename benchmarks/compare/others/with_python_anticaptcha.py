"""python-anticaptcha, which polls at once."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from python_anticaptcha import AnticaptchaClient, ImageToTextTask

from benchmarks.compare.protocol import KEY, Place, SolveAll, one_by_one


@contextmanager
def solve(place: Place) -> Generator[SolveAll]:
    """Solve with the blocking client. It finds the authority in REQUESTS_CA_BUNDLE."""
    with AnticaptchaClient(KEY, host=place.host, use_ssl=place.authority is not None) as client:

        def solve_one(picture: bytes) -> str:
            job = client.create_task(ImageToTextTask(image=picture))
            job.join()
            return str(job.get_captcha_text())

        yield one_by_one(solve_one)
