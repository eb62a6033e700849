"""The names that a configuration can use: keys that every provider has, names of providers, task kinds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from captchahub._config.type_info import keys_of
from captchahub.provider import ProviderKind
from captchahub.settings import ProviderSettings
from captchahub.tasks import Task

PROVIDER_NAME = r"[\w.-]+"
"""What the names of providers are made of."""

COMMON_KEYS = keys_of(ProviderSettings)
"""The keys that every provider has, whatever its plugin."""


def task_kinds(used: Iterable[ProviderKind[object]]) -> frozenset[str]:
    """Return the task kinds that can occur: of every task type in the program, and of the providers used.

    A provider is not built to learn its kinds; they are read from ``build`` if that is its class.
    """
    # A program may define its own task types, which no plugin registers.
    kinds = set(_subclass_kinds(Task))
    for kind in used:
        declared: object = getattr(kind.build, "kinds", None)
        # Building one that declares something else fails, and is reported there.
        if isinstance(declared, (set, frozenset)):
            kinds |= {str(one) for one in declared}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # of anything
    return frozenset(kinds)


def _subclass_kinds(task_type: type[Any]) -> Iterable[str]:
    for subclass in task_type.__subclasses__():
        kind = getattr(subclass, "kind", None)
        if isinstance(kind, str):
            yield kind
        yield from _subclass_kinds(subclass)
