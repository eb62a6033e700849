"""The captchahub provider for every service that speaks createTask."""

from __future__ import annotations

from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind
from captchahub_createtask.provider import CreateTaskProvider
from captchahub_createtask.settings import CreateTaskSettings

__all__ = ["CreateTaskProvider", "CreateTaskSettings", "captchahub_provider_kinds"]


@hookimpl
def captchahub_provider_kinds() -> list[ProviderKind[CreateTaskSettings]]:
    """The one kind of provider in this package."""
    return [ProviderKind("createtask", CreateTaskSettings, CreateTaskProvider)]
