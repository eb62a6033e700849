"""What a user configures."""

from __future__ import annotations

import attrs

from captchahub.provider import Secret, service_url

__all__ = ["OmoSettings"]


def _usable(_settings: object, _field: attrs.Attribute[Secret], value: object) -> None:
    if not isinstance(value, Secret):
        raise ValueError("api_token must be wrapped so that it can't show: Secret('...')")  # noqa: TRY004 - one error type for every wrong setting
    token = value.reveal()
    if not token:
        raise ValueError("api_token is empty: set it to the token shown in your OMOcaptcha account")
    # A token cut from a page or a file with its line end would be refused by the service without a reason.
    if not token.isprintable() or " " in token:
        raise ValueError(
            "api_token holds a space, a line break or a control character: copy the token again, alone"
        )


@attrs.frozen
class OmoSettings:
    """The keys of an OMOcaptcha provider.

    Raises ValueError for an unusable token or address; the message never holds the token.
    """

    api_token: Secret = attrs.field(validator=_usable)
    """The token of the OMOcaptcha account, best given as ``${env:NAME}`` or ``${file:PATH}``."""
    base_url: str = attrs.field(default="https://omocaptcha.com/api", converter=service_url)
    """Where the service's calls are: ``https``, or ``http`` on this machine for a sandbox."""
