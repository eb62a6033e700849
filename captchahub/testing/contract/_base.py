"""The attributes that a plugin's author sets, and the subject that every check uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from captchahub.errors import ProviderError
from captchahub.provider import Reply
from captchahub.tasks import Solution, Task
from captchahub.testing.contract._subject import Subject, fail, subject_of
from captchahub.testing.emulation import Emulation

_RUNS = "CAPTCHAHUB_CONTRACT_RUNS"


class Checks:
    """The attributes of :class:`captchahub.testing.contract.ProviderContract`."""

    plugin: ClassVar[object] = None
    """The plugin: its module, or an object with its hooks. None for an installed plugin; then set ``kind``.

    For a module, mypy needs the annotation: ``plugin: ClassVar[object] = my_module``.
    """
    kind: ClassVar[str | None] = None
    """The name of the provider kind. None if the plugin has only one."""
    settings: ClassVar[Mapping[str, object]] = {}
    """The plugin's own keys, as in a configuration. The emulation's address and a token are added."""
    tasks: ClassVar[Sequence[Task[Any]] | None] = None
    """Tasks to try. None for several tasks of each built-in kind."""
    answers: ClassVar[Mapping[str, Solution]] = {}
    """The emulated service's answers, by task kind. Needed for kinds that are not built in."""
    emulation: ClassVar[Emulation | Callable[[], Emulation] | None] = None
    """The emulation or its factory. None for the one that is installed under ``captchahub.sandbox``."""
    messages: ClassVar[Mapping[str, type[ProviderError]]] = {}
    """The service's error messages when a job is created, each with the error that it means."""
    job_messages: ClassVar[Mapping[str, type[ProviderError]]] = {}
    """The service's error messages when a job is polled, each with the error that it means."""

    _subject: ClassVar[Subject]

    def refusal(self, message: str) -> Reply:
        """Return the service's whole reply with one of ``messages`` or ``job_messages``."""
        fail(
            f"the suite does not know the format of a reply with {message!r}: define a method "
            "refusal(self, message) that returns the Reply"
        )

    def unknown_status(self) -> Sequence[Reply]:
        """Return replies to a poll, each with a status that the plugin cannot know.

        By default they are derived from the emulation's replies. Define this method if that is impossible, as
        for a service with a binary format.
        """
        return ()

    @classmethod
    def subject(cls) -> Subject:
        """Return what the checks use of the plugin."""
        # Stored on this class only, because a subclass can have other attributes.
        if "_subject" not in vars(cls):
            cls._subject = subject_of(cls)
        return cls._subject


def runs(default: int) -> int:
    """Return the number of random replies to try: ``CAPTCHAHUB_CONTRACT_RUNS``, or the default."""
    text = os.environ.get(_RUNS, "").strip() or str(default)
    if not (text.isascii() and text.isdecimal() and int(text)):
        fail(f"${_RUNS} is {text!r:.40}: set it to a whole number from 1, such as 20000, or unset it")
    return int(text)
