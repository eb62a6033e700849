"""The OMOcaptcha plugin with a short poll interval, also for programs that import no pytest."""

from __future__ import annotations

from collections.abc import Sequence

from captchahub_omocaptcha.provider import OmoProvider
from captchahub_omocaptcha.settings import OmoSettings

from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind


class QuickOmoProvider(OmoProvider):
    """The real provider, except that the service allows a poll every 20 milliseconds."""

    min_poll_interval = 0.02


class QuickOmo:
    """The plugin of that provider, to be passed to a hub."""

    @hookimpl
    def captchahub_provider_kinds(self) -> Sequence[ProviderKind[OmoSettings]]:
        """Return the one kind."""
        return [ProviderKind("omocaptcha", OmoSettings, QuickOmoProvider)]
