"""The Penny Reader provider for captchahub."""

from __future__ import annotations

from typing import Final

from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind

from captchahub_penny_reader.provider import PennyReaderProvider
from captchahub_penny_reader.settings import PennyReaderSettings

__all__ = [
    "PennyReaderProvider",
    "PennyReaderSettings",
    "captchahub_contract",
    "captchahub_provider_kinds",
]

# The version of the plugin contract that this is written for.
captchahub_contract: Final = 1
# What a configuration says as "plugin:", and pyproject.toml as an entry point.
NAME: Final = "penny-reader"


@hookimpl
def captchahub_provider_kinds() -> list[ProviderKind[PennyReaderSettings]]:
    """Return the provider kind of this package."""
    return [ProviderKind(NAME, PennyReaderSettings, PennyReaderProvider)]
