"""The settings of the provider."""

from __future__ import annotations

from typing import Final

import attrs
from captchahub.provider import Secret, service_url, usable_secret

__all__ = ["PennyReaderSettings"]

# CHANGE: the service's address.
ADDRESS: Final = "https://api.penny-reader.example/v1"


# CHANGE: a field for each setting, with a docstring, which editors show. A secret has the type Secret, so
# that it never shows. If the service needs no key, set token_key = "" in the emulation.
@attrs.frozen
class PennyReaderSettings:
    """The keys of a Penny Reader provider.

    Raises ValueError for an invalid key or address. The message never contains the key.
    """

    api_key: Secret = attrs.field(validator=usable_secret)
    """The key of the account. Use ``${env:NAME}`` or ``${file:PATH}`` to keep it out of the file."""
    base_url: str = attrs.field(default=ADDRESS, converter=service_url)
    """The address of the service: ``https``, or ``http`` for a sandbox on this machine."""
