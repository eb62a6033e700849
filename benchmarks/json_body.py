"""Measures how long the body of a create takes, beside json.dumps() of a dict that has the picture's base64.

Both bodies are checked to be the same.
"""

from __future__ import annotations

import base64
import json
import os
import statistics
import time
from collections.abc import Callable

from captchahub.images import Image
from captchahub.provider import Request

_SIZES = (4_000, 300_000)
_ROUNDS = 15
_BYTES_A_ROUND = 6_000_000


def seconds_of(call: Callable[[], object], times: int) -> float:
    """Return the processor time of one call."""
    begun = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - begun) / times


def main() -> None:
    """Print the medians for each size of the picture, and their ratio."""
    for size in _SIZES:
        picture = Image(os.urandom(size), "png", 1, 1)

        def post_json(picture: Image = picture) -> bytes:
            return Request.post_json("https://a.example/", {"key": "k" * 32, "task": {"body": picture}}).body

        def dumps(picture: Image = picture) -> bytes:
            text = base64.b64encode(picture.data).decode("ascii")
            return json.dumps({"key": "k" * 32, "task": {"body": text}}, separators=(",", ":")).encode()

        if post_json() != dumps():
            raise SystemExit("the two bodies differ")
        rounds = [
            [seconds_of(one, _BYTES_A_ROUND // size) for one in (post_json, dumps)] for _ in range(_ROUNDS)
        ]
        spliced, dumped = (statistics.median(column) * 1e6 for column in zip(*rounds, strict=True))
        ratio = dumped / spliced
        print(f"body, {size:7,} B: post_json {spliced:6.1f} us, json.dumps {dumped:7.1f}, {ratio:.1f}x")


if __name__ == "__main__":
    main()
