"""The plugin in whole hubs, which solve against the sandbox over HTTP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from captchahub_omocaptcha.provider import OmoProvider
from captchahub_omocaptcha.settings import OmoSettings
from captchahub_pillow import Pillow, captchahub_prepare_task

from captchahub import Hub, Image, ImageToText, PhoneSlide, Point, Size, SlideSolution, TextSolution
from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind
from captchahub.testing import Sandbox, load_emulation

README = (Path(__file__).parents[1] / "README.md").read_text()


class Draw(Protocol):
    def __call__(self, name: str, width: int = 64, height: int = 48, /, **saved: Any) -> Image: ...


class QuickOmo:
    """The real provider, except that the service allows a poll every 20 milliseconds."""

    @hookimpl
    def captchahub_provider_kinds(self) -> Sequence[ProviderKind[OmoSettings]]:
        class Quick(OmoProvider):
            min_poll_interval = 0.02

        return [ProviderKind("omocaptcha", OmoSettings, Quick)]


def test_loaded_by_its_name_it_converts_what_services_do_not_take(draw: Draw, tmp_path: Path) -> None:
    task, path = ImageToText(draw("WEBP", lossless=True)), tmp_path / "config.yaml"
    prepared = captchahub_prepare_task(task, "omo")
    assert prepared is not None
    with Sandbox(load_emulation("createtask", dialect="capsolver")) as sandbox:
        sandbox.script(prepared.task.image, TextSolution("x7kp2"))
        providers = {"omo": {"plugin": "createtask", **sandbox.settings()}}
        path.write_text(yaml.safe_dump({"providers": providers, "plugins": {"load": ["pillow"]}}))
        with Hub.from_yaml(path) as hub:
            assert hub.solve(task).solution.text == "x7kp2"
        [call] = sandbox.calls_to("createTask")
    assert prepared.task.image.format == "png"
    assert prepared.task.image.base64.encode() in call.call.body


def test_a_slide_on_a_smaller_screen_is_mapped_back(draw: Draw) -> None:
    task, plugin = PhoneSlide(draw("PNG", 1080, 2280)), Pillow(max_side=570)
    prepared = plugin.captchahub_prepare_task(task, "omo")
    assert prepared is not None
    assert (prepared.task.image.width, prepared.task.image.height) == (270, 570)
    with Sandbox(load_emulation("omocaptcha")) as sandbox:
        sandbox.script(prepared.task.image, SlideSolution(Point(10, 500), Point(200, 500)))
        providers = {"omo": {"plugin": "omocaptcha", **sandbox.settings()}}
        with Hub.from_mapping({"providers": providers}, plugins=[QuickOmo(), plugin]) as hub:
            slide = hub.solve(task).solution
    assert slide == SlideSolution(Point(40, 2000), Point(800, 2000), Size(1080, 2280))


def test_the_code_in_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    [code] = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == "x7kp2\n"
