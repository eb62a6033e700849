"""Solve pictures by each plugin as it is installed; run by check.py, outside the tree."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import captchahub_createtask
import captchahub_omocaptcha

import captchahub
from captchahub import Hub
from captchahub.testing import Sandbox, load_emulation

tree = Path(sys.argv[1]).resolve()
for package in (captchahub, captchahub_createtask, captchahub_omocaptcha):
    location = Path(str(package.__file__)).resolve()
    assert tree not in location.parents, f"{location} is not the installed package"
    assert (location.parent / "py.typed").is_file(), f"{location.parent} has no py.typed"
assert version("captchahub") == captchahub.__version__

with Sandbox(load_emulation("omocaptcha")) as sandbox:
    provider = {"plugin": "omocaptcha", **sandbox.settings()}
    text, slide = sandbox.draw_text(), sandbox.draw_slide()
    with Hub.from_mapping({"providers": {"omo": provider}}) as hub:
        first, second = hub.submit(text.task()), hub.submit(slide.task())
        assert text.accepts(first.result().solution)
        assert slide.accepts(second.result().solution)

with Sandbox(load_emulation("createtask")) as sandbox:
    provider = {"plugin": "createtask", "dialect": "2captcha", **sandbox.settings()}
    other = sandbox.draw_text()
    with Hub.from_mapping({"providers": {"backup": provider}}) as hub:
        assert other.accepts(hub.solve(other.task()).solution)

solved = f"{text.text!r} and a slide by omocaptcha, {other.text!r} by createtask"
print(f"wheels: {solved}, with captchahub {captchahub.__version__} as installed")
