"""The settings of an OMOcaptcha provider."""

from __future__ import annotations

import attrs

from captchahub.provider import Secret, service_url, usable_secret

__all__ = ["OmoSettings"]


@attrs.frozen
class OmoSettings:
    """The keys of an OMOcaptcha provider.

    Raises ValueError for an unusable token or URL. The message never contains the token.
    """

    api_token: Secret = attrs.field(validator=usable_secret)
    """The token of the OMOcaptcha account, best written as ``${env:NAME}`` or ``${file:PATH}``."""
    base_url: str = attrs.field(default="https://omocaptcha.com/api", converter=service_url)
    """The URL of the service's calls: ``https``, or ``http`` on this machine for a sandbox."""
