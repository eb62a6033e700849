"""Pictures of a user's own site that a sandbox knows, and how often its accounts are polled."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from captchahub_omocaptcha import OmoProvider, OmoSettings

from captchahub import (
    AllProvidersFailed,
    ConfigError,
    Hub,
    Image,
    ImageToText,
    PhoneSlide,
    Point,
    SlideSolution,
    TaskError,
    TextSolution,
)
from captchahub.hookspecs import hookimpl
from captchahub.provider import Job, ProviderKind, Request
from captchahub.testing import Sandbox, load_emulation
from captchahub.testing.answers import read_answers
from tests.virtual_services import PICTURE

DRAG = SlideSolution(Point(60, 900), Point(310, 900))


def hub_at(sandbox: Sandbox, plugin: str = "omocaptcha", **keys: object) -> Hub:
    return Hub.from_mapping({"providers": {"omo": {"plugin": plugin, **sandbox.settings(), **keys}}})


@pytest.fixture
def screen(sandbox: Sandbox) -> Image:
    """A picture that is large enough for a drag, and that this sandbox does not know."""
    with Sandbox(sandbox.emulation) as elsewhere:
        return elsewhere.draw_slide().image


class TestASandboxKnows:
    @pytest.mark.parametrize("of", [Image.open, Path, str, Path.read_bytes])
    def test_a_picture_of_the_users_own(
        self, sandbox: Sandbox, tmp_path: Path, of: Callable[[Path], Any]
    ) -> None:
        path = tmp_path / "login.gif"
        path.write_bytes(PICTURE.data)
        picture = sandbox.know(of(path), "x7kp2")
        assert picture == PICTURE
        with hub_at(sandbox) as hub:
            assert hub.solve(ImageToText(picture)).solution.text == "x7kp2"

    def test_where_to_drag_on_one(self, sandbox: Sandbox, screen: Image) -> None:
        sandbox.know(screen, DRAG)
        with hub_at(sandbox) as hub:
            solution = hub.solve(PhoneSlide(screen)).solution
        assert (solution.start, solution.end) == (DRAG.start, DRAG.end)

    @pytest.mark.parametrize("plugin", ["omocaptcha", "createtask"])
    def test_nothing_of_it_for_another_kind_of_task(self, plugin: str, screen: Image) -> None:
        with Sandbox(load_emulation(plugin)) as sandbox, hub_at(sandbox, plugin) as hub:
            sandbox.know(screen, DRAG)
            with pytest.raises(AllProvidersFailed):
                hub.solve(ImageToText(screen))

    def test_a_picture_by_its_pixels(self, sandbox: Sandbox) -> None:
        drawn = sandbox.draw_text("x7kp2")
        with PIL.Image.open(io.BytesIO(drawn.image.data)) as picture:
            again = Image.from_pil(picture.convert("RGBA"))
            smaller = Image.from_pil(picture.crop((0, 0, 100, 45)))
        assert again.data != drawn.image.data
        with hub_at(sandbox) as hub:
            assert hub.solve(ImageToText(again)).solution.text == "x7kp2"
            with pytest.raises(AllProvidersFailed):
                hub.solve(ImageToText(smaller))

    def test_no_picture_by_its_pixels_without_pillow(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn = sandbox.draw_text("x7kp2")
        with PIL.Image.open(io.BytesIO(drawn.image.data)) as picture:
            again = Image.from_pil(picture.convert("RGBA"))
        monkeypatch.setitem(sys.modules, "PIL", None)
        with hub_at(sandbox) as hub:
            assert hub.solve(drawn.task()).solution.text == "x7kp2"
            with pytest.raises(AllProvidersFailed):
                hub.solve(ImageToText(again))

    def test_the_newest_answer(self, sandbox: Sandbox) -> None:
        sandbox.know(PICTURE, "old")
        sandbox.know(PICTURE, TextSolution("new"))
        with hub_at(sandbox) as hub:
            assert hub.solve(ImageToText(PICTURE)).solution.text == "new"

    @pytest.mark.parametrize("answer", [None, 5, b"x7kp2", ["x7kp2"]])
    def test_no_answer_that_is_none(self, sandbox: Sandbox, answer: Any) -> None:
        with pytest.raises(TypeError, match="must be a text or a Solution, not"):
            sandbox.know(PICTURE, answer)

    def test_no_other_answer_of_a_picture_that_was_drawn(self, sandbox: Sandbox) -> None:
        wrong: Any = (sandbox.draw_text("x7kp2"), "y")
        with pytest.raises(TypeError, match=r"has its own answer: know\(picture\)"):
            sandbox.know(*wrong)

    @pytest.mark.parametrize("picture", ["none.png", b"no picture", b""])
    def test_nothing_that_is_no_picture(self, sandbox: Sandbox, picture: Any) -> None:
        with pytest.raises(TaskError):
            sandbox.know(picture, "x7kp2")


class TestAFileOfAnswers:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        (tmp_path / "login.gif").write_bytes(PICTURE.data)
        return tmp_path / "answers.json"

    @pytest.mark.parametrize(
        "answer",
        [
            "x7kp2",
            {"answer": "x7kp2"},
            {"kind": "image-to-text", "answer": "x7kp2"},
            {"kind": "image-to-text", "answer": "x7kp2", "solution": {"text": "x7kp2"}},
            {"solution": {"text": "x7kp2"}},
        ],
    )
    def test_has_texts_in_short_or_as_the_sandbox_writes_them(self, file: Path, answer: object) -> None:
        file.write_text(json.dumps({"login.gif": answer}))
        assert [found[1:] for found in read_answers(file)] == [(PICTURE, TextSolution("x7kp2"))]

    @pytest.mark.parametrize("screen", [{}, {"screen": None}, {"screen": {"width": 540, "height": 1140}}])
    def test_has_drags(self, file: Path, screen: dict[str, object]) -> None:
        places = {"start": {"x": 60, "y": 900}, "end": {"x": 310, "y": 900}}
        file.write_text(json.dumps({"login.gif": {"kind": "phone-slide", "solution": {**places, **screen}}}))
        ((_, _, solution),) = read_answers(file)
        assert isinstance(solution, SlideSolution)
        assert (solution.start, solution.end) == (DRAG.start, DRAG.end)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_can_have_a_mark(self, file: Path, encoding: str) -> None:
        file.write_text('{"login.gif": "жук"}', encoding=encoding)
        assert [found[1:] for found in read_answers(file)] == [(PICTURE, TextSolution("жук"))]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "is not JSON"),
            ("{", "is not JSON"),
            ("[" * 100_000, "is not JSON"),
            ("[]", "does not map pictures to answers; write"),
            ('{"login.gif": 5}', "'login.gif' has no valid answer; write"),
            ('{"login.gif": {}}', "'login.gif' has no valid answer"),
            ('{"login.gif": {"solution": {"text": 5}}}', "'login.gif' has no valid answer"),
            (
                '{"login.gif": {"kind": "phone-slide", "answer": "1 2 3 4"}}',
                "'login.gif' has no valid answer",
            ),
            (
                '{"login.gif": {"kind": "nothing-known", "solution": {"a": 1}}}',
                "'login.gif' has no valid answer",
            ),
        ],
    )
    def test_with_a_mistake_is_told_with_its_name(self, file: Path, text: str, said: str) -> None:
        file.write_text(text)
        with pytest.raises(ValueError, match=f"answers.json:? {said}"):
            list(read_answers(file))

    def test_with_a_picture_that_is_not_there_is_told_with_that(self, file: Path) -> None:
        file.write_text('{"none.png": "x7kp2"}')
        with pytest.raises(TaskError, match=r"none\.png: .*No such file"):
            list(read_answers(file))


class TestQuickPolls:
    """The settings of a sandbox make its plugin poll often. No other provider may do that."""

    @pytest.mark.parametrize(
        ("plugin", "options"),
        [("omocaptcha", {}), ("createtask", {}), ("createtask", {"dialect": "capmonster"})],
    )
    def test_find_an_answer_when_it_is_there(self, plugin: str, options: dict[str, object]) -> None:
        with Sandbox(load_emulation(plugin, **options), job_time=3600) as sandbox:
            picture = sandbox.draw_text("x7kp2")
            with hub_at(sandbox, plugin) as hub:
                ticket = hub.submit(picture.task())
                # At the pace of the service this takes longer than it is waited for.
                sandbox.wait_for_calls(sandbox.emulation.poll_call, 20)
                sandbox.finish_jobs()
                assert ticket.result().solution.text == "x7kp2"

    def test_are_not_there_where_the_test_wants_the_pace_of_the_service(self, sandbox: Sandbox) -> None:
        assert "poll" not in sandbox.settings(quick=False)
        assert not sandbox.world.accounts["sandbox-token"].is_quick
        assert sandbox.settings()["poll"] == {"first": "10ms", "every": "10ms"}
        assert sandbox.world.accounts["sandbox-token"].is_quick

    def test_are_no_quicker_than_the_emulation_takes_them(self) -> None:
        with Sandbox(load_emulation("createtask", min_poll_interval=0.2), job_time=0.3) as sandbox:
            assert sandbox.settings()["poll"] == {"first": "200ms", "every": "200ms"}
            with hub_at(sandbox, "createtask") as hub:
                assert hub.solve(sandbox.draw_text("x7kp2").task()).solution.text == "x7kp2"

    @pytest.mark.parametrize(
        "provider",
        [
            {"plugin": "omocaptcha", "api_token": "t0ken"},
            {"plugin": "omocaptcha", "api_token": "t0ken", "base_url": "https://127.0.0.1.example.com/api"},
            {"plugin": "createtask", "client_key": "k3y", "dialect": "2captcha"},
        ],
    )
    def test_of_a_real_service_are_refused(self, provider: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match=r"providers\.omo\.poll\.every: 0\.01s is less than the "):
            Hub.from_mapping({"providers": {"omo": {**provider, "poll": {"every": "10ms"}}}})

    @pytest.mark.parametrize("interval", ["2s", "5s", "1m"])
    def test_as_slow_as_the_service_wants_them_or_slower_are_fine(self, interval: str) -> None:
        provider = {"plugin": "omocaptcha", "api_token": "t0ken", "poll": {"every": interval}}
        Hub.from_mapping({"providers": {"omo": provider}}).close()

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8"])
    def test_are_taken_for_this_machine(self, host: str) -> None:
        provider = {"plugin": "omocaptcha", "api_token": "t", "base_url": f"http://{host}:1/api"}
        Hub.from_mapping({"providers": {"omo": {**provider, "poll": {"every": "10ms"}}}}).close()

    @pytest.mark.parametrize(
        ("base_url", "is_refused"), [("http://127.0.0.1:1/api", False), ("https://omo.example/api", True)]
    )
    def test_are_judged_by_the_settings_where_a_plugin_can_not_be_asked(
        self, base_url: str, *, is_refused: bool
    ) -> None:
        class Particular(OmoProvider):
            def poll_job(self, job: Job) -> Request:
                raise KeyError(job.id)

        class Plugin:
            @hookimpl
            def captchahub_provider_kinds(self) -> list[ProviderKind[OmoSettings]]:
                return [ProviderKind("particular", OmoSettings, Particular)]

        provider = {"plugin": "particular", "api_token": "t", "base_url": base_url, "poll": {"every": "10ms"}}
        refused = None
        try:
            Hub.from_mapping({"providers": {"omo": provider}}, plugins=[Plugin()]).close()
        except ConfigError as error:
            refused = error
        assert (refused is not None) is is_refused
