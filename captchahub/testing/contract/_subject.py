"""The subject of the checks: a plugin's kind of provider with settings, tasks and an emulation."""

from __future__ import annotations

import inspect
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache, cached_property, partial
from typing import Any, NoReturn, Protocol, TypeVar

import attrs
import pytest

from captchahub._config.loader import read_mapping
from captchahub._plugins.manager import Plugins, Unusable
from captchahub._support.redaction import secrets_in
from captchahub.errors import ConfigError
from captchahub.images import Image
from captchahub.provider import LocalProvider, Provider, ProviderKind
from captchahub.settings import ProviderSettings
from captchahub.tasks import ImageToText, PhoneSlide, Point, SlideSolution, Solution, Task, TextSolution
from captchahub.testing.emulation import Emulation
from captchahub.testing.emulations import installed_emulations, load_emulation
from captchahub.testing.pictures import Painter

NAME = "checked"
"""The provider's name in the configuration."""

SECRET = "kEy-7f3a91c2e8-b5d04c6f"  # noqa: S105 - opens nothing but the emulation

T = TypeVar("T")


def fail(message: str) -> NoReturn:
    """End a check with one sentence for the plugin's author."""
    pytest.fail(message, pytrace=False)


def skip(reason: str) -> NoReturn:
    """End a check that does not apply."""
    pytest.skip(reason)


def location(error: BaseException) -> str:
    """Return where an error was raised, as `` (at provider.py:42)``, or nothing if that is unknown."""
    trace = error.__traceback__
    if trace is None:
        return ""
    frames = inspect.getinnerframes(trace, context=0)
    return f" (at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})"


class PluginDescription(Protocol):
    """The attributes that an author sets; see :class:`captchahub.testing.contract.ProviderContract`."""

    plugin: object
    kind: str | None
    settings: Mapping[str, object]
    tasks: Sequence[Task[Any]] | None
    answers: Mapping[str, Solution]
    emulation: Emulation | Callable[[], Emulation] | None


@attrs.frozen(eq=False)
class Subject:
    """A kind of provider, with what the checks need to run it."""

    kind: ProviderKind[object]
    plugins: Plugins
    keys: Mapping[str, object]
    """The provider's keys in a configuration, ``plugin`` included."""
    make_emulation: Callable[[], Emulation] | None
    tasks: Sequence[Task[Solution]]
    answers: Mapping[str, Solution]

    def load(self) -> ProviderSettings:
        """Return the settings, read from the configuration again."""
        return read_mapping({"providers": {NAME: self.keys}}, self.plugins).providers[NAME]

    @cached_property
    def own_settings(self) -> object:
        """The plugin's own settings, read once: a provider is built for nearly every reply."""
        return self.load().own

    def build(self, own: object = None) -> Provider | LocalProvider:
        """Return a new provider."""
        provider = self.kind.build(own or self.own_settings)
        # The plugin's author may not use a type checker.
        if not isinstance(provider, (Provider, LocalProvider)):  # pyright: ignore[reportUnnecessaryIsInstance]
            found = type(provider).__name__
            fail(f"ProviderKind.build returns a {found}: return a Provider or a LocalProvider")
        return provider

    def remote(self, own: object = None) -> Provider:
        """Return a new provider of a service. Skip the check for an engine in this process."""
        provider = self.build(own)
        return provider if isinstance(provider, Provider) else skip("this engine has no service")

    def emulation(self) -> Emulation:
        """Return a new emulation. Skip the check if there is none."""
        if self.make_emulation is None:
            skip(
                "the service has no emulation: set emulation, or ship one in the entry-point group "
                "captchahub.sandbox"
            )
        return self.make_emulation()

    @property
    def token(self) -> str:
        """The account's token at the emulation."""
        return str(self.keys.get(self.emulation().token_key, ""))

    @property
    def secrets(self) -> Sequence[str]:
        """Return every text that must not show, longest first."""
        found = {*secrets_in(self.own_settings), *([] if self.make_emulation is None else [self.token])}
        # A short secret can be part of another word by chance.
        return sorted((one for one in found if len(one) >= _MIN_SECRET_LENGTH), key=len, reverse=True)

    def first_tasks(self) -> list[Task[Solution]]:
        """Return the first task of each kind."""
        return list({task.kind: task for task in reversed(self.tasks)}.values())[::-1]

    def answer_to(self, kind: str) -> Solution:
        """Return the emulated service's answer to tasks of a kind."""
        if kind not in self.answers:
            fail(f"the suite has no answer to a {kind!r} task: set answers = {{{kind!r}: a Solution}}")
        return self.answers[kind]


_MIN_SECRET_LENGTH = 8


def subject_of(description: PluginDescription) -> Subject:
    """Return the subject of an author's class. Fails if its attributes do not fit together."""
    passed = [] if description.plugin is None else [description.plugin]
    name = description.kind or _only_kind(description.plugin)
    try:
        plugins = Plugins(passed)
        kind = plugins.kind(name)
    except (ConfigError, Unusable) as error:
        fail(f"the plugin can't be used: {error}")
    make = _emulation_maker(description, name)
    keys = _keys(description, name, None if make is None else make())
    tasks, answers = sample_tasks(description.tasks, description.answers)
    return _loadable(Subject(kind, plugins, keys, make, tasks, answers), description)


def _loadable(subject: Subject, description: PluginDescription) -> Subject:
    """Return the subject with an unmistakable token, or with its own if the settings refuse that."""
    token_key = None if subject.make_emulation is None else subject.make_emulation().token_key
    for keys in ({**subject.keys, token_key: SECRET} if token_key else subject.keys, subject.keys):
        one = attrs.evolve(subject, keys=keys)
        try:
            one.load()
        except ConfigError as error:
            refused = error
        else:
            return _with_its_tasks(one, description)
    fail(f"the settings are refused, so set others in settings: {refused}")


def _with_its_tasks(subject: Subject, description: PluginDescription) -> Subject:
    if description.tasks is not None:
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
    except Exception as error:  # noqa: BLE001 - reported to the author
        fail(f"captchahub_provider_kinds raises {type(error).__name__}: {error}{location(error)}")
    if len(names) != 1:
        fail(f"the plugin offers {', '.join(names) or 'no kind'}: set kind to the name of one of its kinds")
    return names[0]


def _emulation_maker(description: PluginDescription, kind: str) -> Callable[[], Emulation] | None:
    given = description.emulation
    if given is None:
        return _installed(kind, description.settings) if kind in installed_emulations() else None
    # An emulation can have state, and each check starts with a fresh copy.
    return (lambda: deepcopy(given)) if isinstance(given, Emulation) else given


def _installed(kind: str, settings: Mapping[str, object]) -> Callable[[], Emulation]:
    # The author sets what provider and emulation must agree on, such as a dialect.
    agreed = {key: settings[key] for key in load_emulation(kind).provider_settings if key in settings}
    return partial(load_emulation, kind, **agreed)


def _keys(description: PluginDescription, kind: str, emulation: Emulation | None) -> Mapping[str, object]:
    keys: dict[str, object] = {"plugin": kind}
    if emulation is not None:
        # Nothing listens at this address, because the checks pass the requests to the emulation directly.
        address = f"http://127.0.0.1:1{emulation.base_path}"
        keys |= {**emulation.provider_settings, emulation.base_url_key: address}
        keys |= {emulation.token_key: SECRET} if emulation.token_key else {}
    return keys | dict(description.settings)


# Two values of each option, to see whether a request contains the value, and not only that there is one.
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
class UnknownTask(Task[TextSolution]):
    """A kind of task that no provider knows."""

    kind = "unknown-kind"
    solution_type = TextSolution

    image: Any

    def check(self, solution: Solution) -> str | None:  # noqa: ARG002 - the contract's
        return None


def sample_tasks(
    given: Sequence[Task[Any]] | None, answers: Mapping[str, Solution]
) -> tuple[Sequence[Task[Solution]], Mapping[str, Solution]]:
    """Return the tasks, by default several of each built-in kind, and an answer for each kind."""
    built_in: Mapping[str, Solution] = {
        ImageToText.kind: TextSolution("x7kp2"),
        PhoneSlide.kind: SlideSolution(Point(12, 30), Point(80, 30)),
    }
    return _drawn_tasks() if given is None else given, {**built_in, **answers}


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
