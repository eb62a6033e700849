"""An engine in the same process as a provider: the second shape a plugin can have."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence

import attrs
import pytest

from captchahub import (
    AllProvidersFailed,
    ConfigError,
    Hub,
    Image,
    ImageToText,
    JobFailed,
    JobTimeout,
    NotOffered,
    PluginFault,
    Point,
    SlideSolution,
    Solution,
    Task,
    TextSolution,
    UnsupportedTask,
)
from captchahub.hookspecs import hookimpl
from captchahub.provider import LocalProvider, ProviderKind

PICTURE = Image.from_base64("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs=")


@attrs.frozen
class ReaderSettings:
    word: str = "local"


class Reader(LocalProvider):
    """An engine that reads one word, and does as the hint says."""

    kinds = frozenset({"image-to-text"})
    go_on = threading.Event()

    def __init__(self, settings: ReaderSettings) -> None:
        self._word = settings.word

    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        return ("hint",)

    def solve(self, task: Task[Solution]) -> Solution:
        match task.options.get("hint"):
            case "too small":
                raise UnsupportedTask("this engine reads large letters only")
            case "crash":
                raise TimeoutError("a fault of the engine")
            case "hang":
                self.go_on.wait(10)
            case "confuse":
                return SlideSolution(Point(0, 0), Point(1, 1))
            case _:
                pass
        return TextSolution(self._word)


class ReaderPlugin:
    @hookimpl
    def captchahub_provider_kinds(self) -> Sequence[ProviderKind[ReaderSettings]]:
        return [ProviderKind("reader", ReaderSettings, Reader)]


@pytest.fixture
def hub() -> Iterator[Hub]:
    Reader.go_on.clear()
    first = {"plugin": "reader", "timeout": "200ms"}
    with Hub.from_mapping({"providers": {"own": first}}, plugins=[ReaderPlugin()]) as running:
        yield running
        Reader.go_on.set()


def test_answers_without_a_job(hub: Hub) -> None:
    result = hub.solve(ImageToText(PICTURE, length=5, hint="large letters"))
    assert result.solution.text == "local"
    assert result.job_id is None
    assert result.ignored_options == ("length",)


@pytest.mark.parametrize(
    ("hint", "error"),
    [
        ("too small", UnsupportedTask),
        ("crash", JobFailed),
        ("hang", JobTimeout),
        ("confuse", PluginFault),
    ],
)
def test_a_failure_of_the_engine_fails_the_attempt(hub: Hub, hint: str, error: type[Exception]) -> None:
    with pytest.raises(AllProvidersFailed) as caught:
        hub.solve(ImageToText(PICTURE, hint=hint))
    assert [type(attempt.error) for attempt in caught.value.attempts] == [error]


def test_goes_on_to_the_next_provider() -> None:
    mapping = {"providers": {"a": {"plugin": "reader", "word": "no"}, "b": {"plugin": "reader"}}}
    with Hub.from_mapping(mapping, plugins=[ReaderPlugin()]) as hub:
        result = hub.solve(ImageToText(PICTURE, length=5))
    assert result.provider == "b"


def test_has_no_balance_and_no_price_list(hub: Hub) -> None:
    assert isinstance(hub.balances()["own"], NotOffered)
    with pytest.raises(NotOffered, match="own works in this process"):
        hub.services("own")


def test_nobody_charges_for_it_so_it_has_no_budget() -> None:
    own = {"plugin": "reader", "budget": {"limit": 1, "per": "day"}}
    told = r"providers\.own\.budget: reader works in this process, where no service charges anything; leave"
    with pytest.raises(ConfigError, match=told):
        Hub.from_mapping({"providers": {"own": own}}, plugins=[ReaderPlugin()])
