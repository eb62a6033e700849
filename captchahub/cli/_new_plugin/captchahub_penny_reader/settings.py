"""What a user configures."""

from __future__ import annotations

from typing import Final

import attrs
from captchahub.provider import Secret, service_url, usable_secret

__all__ = ["PennyReaderSettings"]

# CHANGE: the service's address.
ADDRESS: Final = "https://api.penny-reader.example/v1"


# CHANGE: a field for each key that the service needs, with a docstring, which editors show. What is secret
# has the type Secret, so that it never shows. Without a key, set token_key = "" in the emulation.
@attrs.frozen
class PennyReaderSettings:
    """The keys of a Penny Reader provider.

    Raises ValueError for an unusable key or address; the message never holds the key.
    """

    api_key: Secret = attrs.field(validator=usable_secret)
    """The key of the account, best given as ``${env:NAME}`` or ``${file:PATH}``."""
    base_url: str = attrs.field(default=ADDRESS, converter=service_url)
    """Where the service's calls are: ``https``, or ``http`` on this machine for a sandbox."""
