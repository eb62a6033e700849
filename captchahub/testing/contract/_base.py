"""What an author sets, and what every check starts from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from captchahub.errors import ProviderError
from captchahub.provider import Reply
from captchahub.tasks import Solution, Task
from captchahub.testing.contract._subject import Subject, fail, subject_of
from captchahub.testing.emulation import Emulation

__all__ = ["Checks", "runs"]

_RUNS = "CAPTCHAHUB_CONTRACT_RUNS"


class Checks:
    """The attributes of :class:`captchahub.testing.contract.ProviderContract`."""

    plugin: ClassVar[object] = None
    """The plugin: its module, or an object with its hooks. None for one that is installed: set ``kind``.

    Of a module, mypy wants to read ``plugin: ClassVar[object] = my_module``.
    """
    kind: ClassVar[str | None] = None
    """The name of the provider kind; None where the plugin has only one."""
    settings: ClassVar[Mapping[str, object]] = {}
    """The plugin's own keys, as in a configuration; the emulation's address and a token are filled in."""
    tasks: ClassVar[Sequence[Task[Any]] | None] = None
    """Tasks to try; None for some of each kind that the library has."""
    answers: ClassVar[Mapping[str, Solution]] = {}
    """What the emulated service answers, by task kind; needed for kinds that the library has not."""
    emulation: ClassVar[Emulation | Callable[[], Emulation] | None] = None
    """The service's stand-in, or what makes it; None for the one installed under ``captchahub.sandbox``."""
    messages: ClassVar[Mapping[str, type[ProviderError]]] = {}
    """What the service can say to an order, and the error that it stands for."""
    job_messages: ClassVar[Mapping[str, type[ProviderError]]] = {}
    """What the service can say to the question for a job, and the error that it stands for."""

    _subject: ClassVar[Subject]

    def refusal(self, message: str) -> Reply:
        """How the service says one of ``messages`` or ``job_messages``: the whole reply."""
        fail(
            f"nothing says how a reply with {message!r} looks: write a method refusal(self, message) that "
            "returns a Reply"
        )

    def unknown_status(self) -> Sequence[Reply]:
        """Replies to the question for a job with a status that nobody has seen before.

        By default they are made of what the emulation says. Write this method where that can't be done, as
        for a service that writes bytes of its own.
        """
        return ()

    @classmethod
    def subject(cls) -> Subject:
        """The plugin, ready to be tried."""
        # A class's own: one that inherits from it has other attributes.
        if "_subject" not in vars(cls):
            cls._subject = subject_of(cls)
        return cls._subject


def runs(usual: int) -> int:
    """How often a check by chance is made: ``CAPTCHAHUB_CONTRACT_RUNS``, or so often."""
    said = os.environ.get(_RUNS, "").strip() or str(usual)
    if not (said.isascii() and said.isdecimal() and int(said)):
        fail(f"${_RUNS} is {said!r:.40}: set it to a whole number from 1, such as 20000, or unset it")
    return int(said)
