"""The captchahub provider for all services that speak the createTask protocol."""

from __future__ import annotations

import re
from typing import Final

from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind
from captchahub.tasks import Solution, TextSolution
from captchahub_createtask.dialects import OTHER_NAMES
from captchahub_createtask.provider import CreateTaskProvider
from captchahub_createtask.settings import CreateTaskSettings

__all__ = [
    "CreateTaskProvider",
    "CreateTaskSettings",
    "captchahub_check_solution",
    "captchahub_contract",
    "captchahub_provider_kinds",
]

captchahub_contract: Final = 1

_ALIASES: Final = {
    alias: {"dialect": name} for name, others in OTHER_NAMES.items() for alias in (name, *others)
}

# The form of the protocol's error codes. No picture shows such a word.
_ERROR_CODE: Final = re.compile(r"ERROR_[A-Z]+(_[A-Z]+)+")


@hookimpl
def captchahub_provider_kinds() -> list[ProviderKind[CreateTaskSettings]]:
    """Return the kind of provider in this package."""
    return [ProviderKind("createtask", CreateTaskSettings, CreateTaskProvider, _ALIASES)]


@hookimpl
def captchahub_check_solution(solution: Solution) -> str | None:
    """Refuse an error code, which a service may send in the place of the text."""
    if isinstance(solution, TextSolution) and _ERROR_CODE.fullmatch(solution.text):
        return f"{solution.text} is an error code of the service, not the text of a picture"
    return None
