"""What the settings of plugins are made of: tokens that never show, and addresses that they may be sent to.

Plugins import all of this from :mod:`captchahub.provider`.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, NoReturn
from urllib.parse import urlsplit

import attrs

_INVALID_ADDRESS = "not a web address; write one such as 'https://api.example.com'"


class Secret:
    """A token or key that never shows: ``repr`` and ``str`` are masked; pickling and copying are refused."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the token itself, for the body or the headers of a request and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Secret is not written anywhere: load the configuration again instead of pickling it"
        )


def usable_secret(_settings: object, field: attrs.Attribute[Any], value: object) -> None:
    """An attrs validator for a setting that is a token: ``api_token: Secret = attrs.field(validator=...)``.

    Raises ValueError for anything but a :class:`Secret`, and for one that is empty or has a space, a line
    break or a control character in it, as when it was copied from a page with the text around it. The message
    uses the last word of the field's name, and never quotes the token.
    """
    name = field.name
    called = name.rpartition("_")[2]
    if not isinstance(value, Secret):
        raise ValueError(f"{name} must be wrapped so that it can't show: Secret('...')")  # noqa: TRY004 - one error type for every wrong setting
    token = value.reveal()
    if not token:
        raise ValueError(f"{name} is empty: set it to the {called} shown in your account at the service")
    # A service would refuse it without saying why.
    if not token.isprintable() or " " in token:
        raise ValueError(
            f"{name} holds a space, a line break or a control character: copy the {called} again, alone"
        )


def is_loopback(host: str | None) -> bool:
    """Return whether a host name can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


def service_url(url: str) -> str:
    """Return a service's base address without a slash at its end: an attrs converter for settings.

    Raises ValueError for anything but ``https``, unless the host is this machine, and for an address that
    carries a user, a query or a fragment. The message does not quote the address, which can hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # That error can quote a part of the address.
        raise ValueError(_INVALID_ADDRESS) from None
    # A space is the only white space that isprintable() lets pass.
    is_plain = url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not is_plain:
        raise ValueError(_INVALID_ADDRESS)
    if any(mark in url for mark in "@?#"):
        raise ValueError("an address must not carry a user name, a password, a query or a fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f"http to {parts.hostname} would send the token in the clear; use https")
    return url.rstrip("/")
