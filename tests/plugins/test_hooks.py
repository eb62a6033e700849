"""The hooks that run before a job is created: preparing the task, and ordering the providers."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs
import pytest
from PIL import Image as Pil

from captchahub import (
    AllProvidersFailed,
    Hub,
    Image,
    ImageToText,
    PhoneSlide,
    Point,
    Result,
    Size,
    SlideSolution,
    Solution,
    Task,
    TextSolution,
)
from captchahub._engine.engine import Engine
from captchahub.extending import Candidate, Prepared
from captchahub.frames import Frame
from captchahub.hookspecs import hookimpl
from captchahub.provider import Request, Solved
from captchahub.settings import RouteSettings
from captchahub.testing import Sandbox, load_emulation
from tests.custom_providers import ScriptedProvider, provider_with, returning, run_with_providers
from tests.custom_providers import solve as solve_text
from tests.quick_omo import QuickOmo
from tests.virtual_services import PICTURE, Service, lines, run_with_services

SCREEN = Image.from_pil(Pil.radial_gradient("L").crop((0, 0, 200, 400)))
SLIDE = PhoneSlide(SCREEN)
# Where the drag is on the small picture, and on the screen it was made of.
SENT = SlideSolution(Point(10, 100), Point(50, 100))
MEANT = SlideSolution(Point(30, 220), Point(110, 220), Size(200, 400))


def cropped_and_halved(image: Image) -> Image:
    """Return the picture without 10 pixels at the left and 20 at the top, in half its size."""
    with Pil.open(io.BytesIO(image.data)) as picture:
        return Image.from_pil(picture.crop((10, 20, image.width, image.height)).reduce(2))


class CropAndHalve:
    """A plugin that crops the picture and halves it."""

    @hookimpl
    def captchahub_prepare_task(self, task: Task[Solution]) -> Prepared:
        assert isinstance(task, PhoneSlide)
        smaller = attrs.evolve(task, image=cropped_and_halved(task.image))
        return Prepared(smaller, Frame(left=10, top=20, across=2, down=2))


class Preparing:
    """A plugin whose hook is a function of the test."""

    def __init__(self, prepare: Callable[[Task[Solution]], object]) -> None:
        self._prepare = prepare

    @hookimpl
    def captchahub_prepare_task(self, task: Task[Solution]) -> object:
        return self._prepare(task)


class TestAPictureThatWasCroppedAndHalved:
    """With HTTP, a journal in a file, and several hubs."""

    @pytest.fixture(params=[0.2])
    def sandbox(self, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
        """A service that knows the small picture. The parameter is the duration of its jobs, in seconds."""
        with Sandbox(load_emulation("omocaptcha"), job_time=request.param) as running:
            running.script(cropped_and_halved(SCREEN), SENT)
            yield running

    @pytest.fixture
    def open_hub(self, sandbox: Sandbox, quick: QuickOmo, tmp_path: Path) -> Callable[[], Hub]:
        def opened() -> Hub:
            providers = {"omo": {"plugin": "omocaptcha", **sandbox.settings()}}
            mapping = {"providers": providers, "journal": str(tmp_path / "jobs.db")}
            return Hub.from_mapping(mapping, plugins=[quick, CropAndHalve()])

        return opened

    @pytest.fixture
    def left_behind(self, sandbox: Sandbox, open_hub: Callable[[], Hub]) -> str:
        """The token of a job whose hub was closed before it was done."""
        with open_hub() as hub:
            ticket = hub.submit(SLIDE)
            sandbox.wait_for_calls("getJobResult")
            token = ticket.token
        sandbox.finish_jobs()
        assert token is not None
        return token

    def test_the_drag_is_mapped_back_in_the_result_and_in_the_journal(
        self, open_hub: Callable[[], Hub]
    ) -> None:
        with open_hub() as hub:
            assert hub.solve(SLIDE).solution == MEANT
            [entry] = hub.jobs()
        assert entry.answer == {"start": {"x": 30, "y": 220}, "end": {"x": 110, "y": 220}, "screen": None}
        assert entry.fingerprint == SLIDE.fingerprint

    def test_it_is_prepared_once_if_an_equal_task_shares_the_job(
        self, open_hub: Callable[[], Hub], sandbox: Sandbox
    ) -> None:
        with open_hub() as one, open_hub() as other:
            tickets = [one.submit(SLIDE), other.submit(SLIDE)]
            assert [ticket.result().solution for ticket in tickets] == [MEANT, MEANT]
        assert len(sandbox.calls_to("createJob")) == 1

    @pytest.mark.parametrize("sandbox", [3600.0], indirect=True)
    def test_it_is_mapped_back_by_resume(self, left_behind: str, open_hub: Callable[[], Hub]) -> None:
        with open_hub() as hub:
            [collected] = hub.resume()
        assert collected.solution == attrs.evolve(MEANT, screen=None)

    @pytest.mark.parametrize("sandbox", [3600.0], indirect=True)
    def test_it_is_mapped_back_by_attach(self, left_behind: str, open_hub: Callable[[], Hub]) -> None:
        with open_hub() as hub:
            assert hub.attach(left_behind).result().solution == attrs.evolve(MEANT, screen=None)


class TestPlugins:
    """On the virtual clock, with the task that the provider receives."""

    def solved(self, *prepare: Callable[[Task[Solution]], object]) -> tuple[Task[Solution], SlideSolution]:
        """Return the task that a provider receives after these plugins, and the answer."""
        sent: list[Task[Solution]] = []

        def create_job(task: Task[Solution]) -> Request:
            sent.append(task)
            return Request("https://odd.example/create")

        async def main(engine: Engine) -> Result[SlideSolution]:
            return await engine.solve(SLIDE, 60)

        scripted = ScriptedProvider(provider_with(create_job=create_job, read_result=returning(Solved(SENT))))
        # The last one passed in is asked first.
        plugins = tuple(Preparing(one) for one in reversed(prepare))
        result = run_with_providers({"only": scripted}, main, plugins=plugins, kind="phone-slide")
        [task] = sent
        return task, result.solution

    def test_each_gets_what_the_one_before_has_made(self) -> None:
        def halve(task: Task[Solution]) -> Prepared:
            return Prepared(PhoneSlide(PICTURE), Frame(across=2, down=2))

        def crop(task: Task[Solution]) -> Prepared:
            assert task.image == PICTURE
            return Prepared(task, Frame(left=5, top=10))

        task, answer = self.solved(halve, crop)
        assert task.image == PICTURE
        assert answer == MEANT

    def test_none_leaves_it_as_it_is(self) -> None:
        task, answer = self.solved(lambda task: None)
        assert task is SLIDE
        assert (answer.start, answer.end) == (SENT.start, SENT.end)

    def test_one_that_fails_is_logged_and_left_out(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail(task: Task[Solution]) -> Prepared:
            raise OSError("the picture is broken")

        task, _ = self.solved(fail)
        assert task is SLIDE
        assert "captchahub_prepare_task of Preparing failed: ignored" in lines(caplog)

    @pytest.mark.parametrize(
        "made",
        [
            Prepared(ImageToText(PICTURE)),
            SLIDE,
            Prepared("no task"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # a slip
            Prepared(SLIDE, (10, 20)),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # one more
        ],
        ids=["a task of another kind", "a task alone", "no task", "no frame"],
    )
    def test_one_that_makes_something_else_is_logged_and_left_out(
        self, made: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        task, answer = self.solved(lambda task: made)
        assert task is SLIDE
        assert (answer.start, answer.end) == (SENT.start, SENT.end)
        gave = type(made).__name__
        assert f"captchahub_prepare_task of Preparing returned a {gave}: ignored" in lines(caplog)


class Ordering:
    """A plugin that returns these names, and records its arguments."""

    def __init__(self, *names: object) -> None:
        self.names = names
        self.asked: list[tuple[RouteSettings, Sequence[Candidate]]] = []

    @hookimpl
    def captchahub_order_providers(
        self, task: Task[Solution], route: RouteSettings, candidates: Sequence[Candidate]
    ) -> Sequence[object]:
        self.asked.append((route, candidates))
        return list(self.names)


class TestTheOrder:
    def winner(self, *plugins: Ordering) -> str:
        services = {"first": Service(settings={"prices": {"image-to-text": "0.5"}}), "second": Service()}
        result: Result[TextSolution] = run_with_services(services, solve_text, plugins=plugins)
        assert {name for name, service in services.items() if service.jobs} == {result.provider}
        return result.provider

    def test_is_that_of_the_route_without_such_a_plugin(self) -> None:
        assert self.winner() == "first"

    def test_is_that_of_the_plugin(self) -> None:
        plugin = Ordering("second", "first")
        assert self.winner(plugin) == "second"
        [(route, candidates)] = plugin.asked
        assert list(route.names) == ["first", "second"]
        assert [(one.name, one.plugin, str(one.price)) for one in candidates] == [
            ("first", "omocaptcha", "0.5"),
            ("second", "omocaptcha", "None"),
        ]

    def test_the_first_plugin_decides(self) -> None:
        # The last one passed in is asked first.
        other = Ordering("first")
        assert self.winner(other, Ordering("second")) == "second"
        assert other.asked == []

    def test_a_provider_left_out_is_not_called(self) -> None:
        services = {"first": Service(), "second": Service(answer=None)}

        async def main(engine: Engine) -> None:
            with pytest.raises(AllProvidersFailed):
                await solve_text(engine)

        run_with_services(services, main, plugins=(Ordering("second"),))
        assert (services["first"].jobs, services["second"].jobs) == (0, 1)

    @pytest.mark.parametrize("names", [(), ("third", "second"), ("second", "second"), (2, 1)], ids=repr)
    def test_what_is_no_order_is_logged_and_left_out(
        self, names: Sequence[object], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert self.winner(Ordering(*names)) == "first"
        assert "captchahub_order_providers of Ordering returned a list: ignored" in lines(caplog)

    def test_then_the_next_plugin_is_asked(self) -> None:
        assert self.winner(Ordering("second"), Ordering("third")) == "second"

    def test_a_plugin_that_fails_is_logged_and_left_out(self, caplog: pytest.LogCaptureFixture) -> None:
        class Failing(Ordering):
            @hookimpl
            def captchahub_order_providers(self) -> Sequence[object]:  # type: ignore[override]  # leaves out all
                raise ZeroDivisionError

        assert self.winner(Failing()) == "first"
        assert "captchahub_order_providers of Failing failed: ignored" in lines(caplog)
