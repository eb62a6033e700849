"""Tests with a running ddddocr: ``python serve.py --host 127.0.0.1``, and its address in ``DDDDOCR_URL``."""

from __future__ import annotations

import os

import pytest
from captchahub import Hub
from captchahub.testing import CLEAR_CHARACTERS, Painter

import captchahub_ddddocr

URL = os.environ.get("DDDDOCR_URL")
PICTURES = 30


@pytest.mark.skipif(URL is None, reason="DDDDOCR_URL names no running server")
@pytest.mark.parametrize("model", ["usual", "old", "beta"])
def test_it_reads_most_pictures_of_drawn_text(model: str) -> None:
    painter = Painter(5)
    drawn = [painter.text() for _ in range(PICTURES)]
    account = {"plugin": "ddddocr", "base_url": URL, "model": model}
    with Hub.from_mapping({"providers": {"mine": account}}, plugins=[captchahub_ddddocr]) as hub:
        outcomes = {one.index: one for one in hub.solve_many(picture.task() for picture in drawn)}
    right = [
        number
        for number, picture in enumerate(drawn)
        if outcomes[number].error is None and picture.accepts(outcomes[number].unwrap().solution)
    ]
    print(f"{model}: {len(right)} of {PICTURES} read right, of {CLEAR_CHARACTERS}")
    assert len(right) > PICTURES / 2
