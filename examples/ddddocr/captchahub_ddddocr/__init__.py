"""The ddddocr provider for captchahub."""

from __future__ import annotations

from typing import Final

from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind

from captchahub_ddddocr.provider import DdddocrProvider
from captchahub_ddddocr.settings import DdddocrSettings

__all__ = [
    "DdddocrProvider",
    "DdddocrSettings",
    "captchahub_contract",
    "captchahub_provider_kinds",
]

# The version of the plugin contract that this is written for.
captchahub_contract: Final = 1
# What a configuration says as "plugin:", and pyproject.toml as an entry point.
NAME: Final = "ddddocr"


@hookimpl
def captchahub_provider_kinds() -> list[ProviderKind[DdddocrSettings]]:
    """Return the provider kind of this package."""
    return [ProviderKind(NAME, DdddocrSettings, DdddocrProvider)]
