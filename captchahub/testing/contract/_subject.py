"""What is checked: a plugin's kind of provider with settings, tasks, and an emulation to talk to."""

from __future__ import annotations

import inspect
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache, partial
from typing import Any, NoReturn, Protocol, TypeVar

import attrs
import pytest

from captchahub._plugins.manager import Plugins, Unusable
from captchahub._support.redaction import secrets_in
from captchahub.config import load_mapping
from captchahub.errors import ConfigError
from captchahub.images import Image
from captchahub.provider import LocalProvider, Provider, ProviderKind
from captchahub.settings import ProviderSettings
from captchahub.tasks import ImageToText, PhoneSlide, Point, SlideSolution, Solution, Task, TextSolution
from captchahub.testing.emulation import Emulation
from captchahub.testing.emulations import installed_emulations, load_emulation
from captchahub.testing.pictures import Painter

__all__ = [
    "NAME",
    "Described",
    "Subject",
    "Unheard",
    "fail",
    "location",
    "sample_tasks",
    "skip",
    "subject_of",
]

NAME = "checked"
"""What the provider is called in the configuration."""

SECRET = "kEy-7f3a91c2e8-b5d04c6f"  # noqa: S105 - opens nothing but the emulation

T = TypeVar("T")


def fail(message: str) -> NoReturn:
    """End a check with one sentence for the plugin's author."""
    pytest.fail(message, pytrace=False)


def skip(reason: str) -> NoReturn:
    """End a check that does not apply."""
    pytest.skip(reason)


def location(error: BaseException) -> str:
    """Where an error was raised, as ``provider.py:42``; empty where nobody knows."""
    trace = error.__traceback__
    if trace is None:
        return ""
    frames = inspect.getinnerframes(trace, context=0)
    return f" (at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})"


class Described(Protocol):
    """What an author says of the plugin; see :class:`captchahub.testing.contract.ProviderContract`."""

    plugin: object
    kind: str | None
    settings: Mapping[str, object]
    tasks: Sequence[Task[Any]] | None
    answers: Mapping[str, Solution]
    emulation: Emulation | Callable[[], Emulation] | None


@attrs.frozen(eq=False)
class Subject:
    """A kind of provider, with all that it takes to try it."""

    kind: ProviderKind[object]
    plugins: Plugins
    keys: Mapping[str, object]
    """What stands below the provider's name in a configuration, ``plugin`` included."""
    make_emulation: Callable[[], Emulation] | None
    tasks: Sequence[Task[Solution]]
    answers: Mapping[str, Solution]

    def load(self) -> ProviderSettings:
        """The settings, read anew from the configuration."""
        return load_mapping({"providers": {NAME: self.keys}}, self.plugins).providers[NAME]

    def build(self, own: object = None) -> Provider | LocalProvider:
        """A new provider; of settings of its own unless some are given."""
        provider = self.kind.build(own or self.load().own)
        # The plugin's author need not use a type checker.
        if not isinstance(provider, (Provider, LocalProvider)):  # pyright: ignore[reportUnnecessaryIsInstance]
            found = type(provider).__name__
            fail(f"ProviderKind.build gives a {found}: let it return a Provider or a LocalProvider")
        return provider

    def remote(self, own: object = None) -> Provider:
        """A new provider of a service; skips the check for an engine in this process."""
        provider = self.build(own)
        return provider if isinstance(provider, Provider) else skip("this engine has no service to talk to")

    def emulation(self) -> Emulation:
        """The service's stand-in; skips the check where there is none."""
        if self.make_emulation is None:
            skip(
                "no emulation of the service: set emulation, or ship one in the entry-point group "
                "captchahub.sandbox"
            )
        return self.make_emulation()

    @property
    def token(self) -> str:
        """The account's token at the emulation."""
        return str(self.keys.get(self.emulation().token_key, ""))

    @property
    def secrets(self) -> Sequence[str]:
        """Every text that must not show, longest first."""
        own: object = self.load().own
        found = {*secrets_in(own), *([] if self.make_emulation is None else [self.token])}
        # A short one stands in other words by chance.
        return sorted((one for one in found if len(one) >= _TELLING), key=len, reverse=True)

    def first_tasks(self) -> list[Task[Solution]]:
        """The first task of each kind."""
        return list({task.kind: task for task in reversed(self.tasks)}.values())[::-1]

    def answer_to(self, kind: str) -> Solution:
        """What the emulated service answers to tasks of a kind."""
        if kind not in self.answers:
            fail(f"nothing says how a {kind!r} task is answered: set answers = {{{kind!r}: a Solution}}")
        return self.answers[kind]


_TELLING = 8


def subject_of(described: Described) -> Subject:
    """The subject of an author's class; fails where what it says does not fit together."""
    passed = [] if described.plugin is None else [described.plugin]
    name = described.kind or _only_kind(described.plugin)
    try:
        plugins = Plugins(passed)
        kind = plugins.kind(name)
    except (ConfigError, Unusable) as error:
        fail(f"the plugin can't be used: {error}")
    make = _emulation_maker(described, name)
    keys = _keys(described, name, None if make is None else make())
    tasks, answers = sample_tasks(described.tasks, described.answers)
    return _loadable(Subject(kind, plugins, keys, make, tasks, answers), described)


def _loadable(subject: Subject, described: Described) -> Subject:
    """The subject with a token that can be told from other words, or its own where that is not taken."""
    token_key = None if subject.make_emulation is None else subject.make_emulation().token_key
    for keys in ({**subject.keys, token_key: SECRET} if token_key else subject.keys, subject.keys):
        one = attrs.evolve(subject, keys=keys)
        try:
            one.load()
        except ConfigError as error:
            refused = error
        else:
            return _with_its_tasks(one, described)
    fail(f"the settings are refused, so set others in settings: {refused}")


def _with_its_tasks(subject: Subject, described: Described) -> Subject:
    if described.tasks is not None:
        return subject
    kinds = subject.build().kinds
    return attrs.evolve(subject, tasks=[task for task in subject.tasks if task.kind in kinds])


def _only_kind(plugin: object) -> str:
    offer: Callable[[], Any] | None = getattr(plugin, "captchahub_provider_kinds", None)
    if not callable(offer):
        fail("set plugin to an object with the hook captchahub_provider_kinds, or kind to an installed one")
    try:
        answer: Any = offer()
        names = [one.name for one in answer if isinstance(one, ProviderKind)]
    # The plugin's own code can fail in any way.
    except Exception as error:  # noqa: BLE001 - told to the author
        fail(f"captchahub_provider_kinds raises {type(error).__name__}: {error}{location(error)}")
    if len(names) != 1:
        fail(f"the plugin offers {', '.join(names) or 'no kind'}: set kind to the name of one of its kinds")
    return names[0]


def _emulation_maker(described: Described, kind: str) -> Callable[[], Emulation] | None:
    given = described.emulation
    if given is None:
        return _installed(kind, described.settings) if kind in installed_emulations() else None
    # An emulation can remember what it was asked, and each trial begins with none of that.
    return (lambda: deepcopy(given)) if isinstance(given, Emulation) else given


def _installed(kind: str, settings: Mapping[str, object]) -> Callable[[], Emulation]:
    # What the two have to agree on, such as a dialect, is the author's to say.
    agreed = {key: settings[key] for key in load_emulation(kind).provider_settings if key in settings}
    return partial(load_emulation, kind, **agreed)


def _keys(described: Described, kind: str, emulation: Emulation | None) -> Mapping[str, object]:
    keys: dict[str, object] = {"plugin": kind}
    if emulation is not None:
        # Nobody listens there: whatever is sent to the service goes another way.
        address = f"http://127.0.0.1:1{emulation.base_path}"
        keys |= {**emulation.provider_settings, emulation.base_url_key: address}
        keys |= {emulation.token_key: SECRET} if emulation.token_key else {}
    return keys | dict(described.settings)


# Two values of each option, so that it can be seen whether the value is told and not only that there is one.
_OPTIONS: Mapping[str, Sequence[Any]] = {
    "length": (5, 6),
    "min_length": (3, 4),
    "max_length": (6, 7),
    "charset": (string.digits, string.ascii_letters),
    "case_sensitive": (True, False),
    "phrase": (True, False),
    "math": (True, False),
    "language": ("en", "ru"),
    "hint": ("the red ones", "the blue ones"),
}


@attrs.frozen
class Unheard(Task[TextSolution]):
    """A kind of task that no provider knows."""

    kind = "unheard-of"
    solution_type = TextSolution

    image: Any

    def check(self, solution: Solution) -> str | None:  # noqa: ARG002 - the contract's
        return None


def sample_tasks(
    given: Sequence[Task[Any]] | None, answers: Mapping[str, Solution]
) -> tuple[Sequence[Task[Solution]], Mapping[str, Solution]]:
    """The tasks that were given, or some of each kind that the library has; and an answer for each kind."""
    usual: Mapping[str, Solution] = {
        ImageToText.kind: TextSolution("x7kp2"),
        PhoneSlide.kind: SlideSolution(Point(12, 30), Point(80, 30)),
    }
    return _drawn_tasks() if given is None else given, {**usual, **answers}


# A picture takes longer to draw than most checks take.
@cache
def _drawn_tasks() -> Sequence[Task[Solution]]:
    painter = Painter(7)
    slide = painter.slide()
    return (*_texts(painter.text("x7kp2").image), slide.task())


def _texts(image: Image) -> Iterator[ImageToText]:
    yield ImageToText(image)
    for name, values in _OPTIONS.items():
        for value in values:
            yield ImageToText(image, **{name: value})
