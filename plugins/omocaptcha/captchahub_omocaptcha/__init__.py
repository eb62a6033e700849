"""The OMOcaptcha provider for captchahub."""

from __future__ import annotations

from typing import Final

from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind
from captchahub_omocaptcha.provider import OmoProvider
from captchahub_omocaptcha.settings import OmoSettings

__all__ = ["OmoProvider", "OmoSettings", "captchahub_contract", "captchahub_provider_kinds"]

captchahub_contract: Final = 1


@hookimpl
def captchahub_provider_kinds() -> list[ProviderKind[OmoSettings]]:
    """Return the kind of provider in this package."""
    return [ProviderKind("omocaptcha", OmoSettings, OmoProvider)]
